"""Redis loses everything, after the journal has let go of the oldest: what is left adds up."""

from support.eventually import eventually
from support.load import Load, assert_in_order
from support.receiver import running_receiver
from support.running_gateway import running_gateway

SMALL = {"segment_size": "512KiB", "max_size": "4MiB", "keep": "1s"}


async def test_an_empty_redis_in_place_of_the_old_one(tmp_path):
    """What the journal still holds is published and delivered again, what it does not is counted as
    forgotten; so the ledger adds up, then and after a restart, and nothing new is missed.
    """
    async with running_receiver() as receiver:
        app = {"name": "app", "kind": "http", "url": receiver.url, "order": "call"}
        config = {"journal": SMALL, "ingest": {"max_body": "256KiB"}, "subscribers": [app]}
        async with running_gateway(tmp_path / "g", **config) as gateway:
            load = Load(gateway.port)
            while min(starts(gateway)) == 0:
                await load.run(500, first=len(load.acked), connections=16)
            await gateway.settled()
            before = len(load.acked)
            async with await gateway.redis() as client:
                await client.flushall()
            await eventually(lambda: "healing from the journal" in gateway.log_text, within_s=60)
            await load.run(200, first=before, connections=16)
            await eventually(lambda: set(load.acked) <= set(receiver.bodies), within_s=60)
            ledger = await gateway.settled()
            overall = ledger["overall"]
            assert 0 < overall["forgotten"] < before
            assert overall["accepted"] + overall["forgotten"] == len(load.acked)
            assert overall["published"] == ledger["subscribers"]["app"]["delivered"]
            assert_in_order(receiver.bodies)
            await gateway.stop()
            await gateway.start()
            await load.run(100, first=len(load.acked))
            await eventually(lambda: set(load.acked) <= set(receiver.bodies), within_s=60)
            again = (await gateway.settled())["overall"]
            assert again["forgotten"] == overall["forgotten"]
            assert again["accepted"] == overall["accepted"] + 100


def starts(gateway):
    """The positions at which the files of the journal begin."""
    return [int(path.stem) for path in (gateway.data / "journal" / "0").glob("*.journal")]
