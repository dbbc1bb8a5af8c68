"""A Redis of one's own behind TLS: rediss:// with an authority and a client certificate."""

from collections import Counter

import trustme
from support.eventually import eventually
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from support.tls_front import tls_front


async def test_everything_goes_through_tls_and_survives_its_resets(tmp_path, engine_url):
    """Through rediss:// with a client certificate nothing acked is lost, cut as it may be."""
    async with tls_front(tmp_path, engine_url) as front, running_receiver() as receiver:
        settings = {
            "redis": front.arguments,
            "ingest": {"ack": "redis"},
            "subscribers": [{"name": "app", "kind": "http", "url": receiver.url}],
        }
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port)
            await load.run(150)
            taken = front.taken
            front.cut()
            await load.run(150, first=150)
            await eventually(lambda: front.taken > taken)
            ledger = await gateway.settled()
            assert Counter(load.acked).keys() == set(receiver.bodies)
            assert ledger["overall"]["accepted"] == len(load.acked) == 300


async def test_a_redis_that_nobody_vouches_for_is_not_used(tmp_path, engine_url):
    """Behind an unknown authority webhooks wait in the journal, and the log says why."""
    async with tls_front(tmp_path, engine_url) as front:
        trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
        settings = {"redis": {**front.arguments, "ca": str(tmp_path / "other.pem")}}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port)
            await load.run(20)
            await eventually(lambda: "certificate verify failed" in gateway.log_text)
            assert load.statuses == Counter({200: 20})
            assert await gateway.ask("/readyz") is None
