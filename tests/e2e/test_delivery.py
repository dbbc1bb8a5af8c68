"""From a signed webhook to subscribers of every temper, through the real process."""

import asyncio
import ssl

import aiohttp
import pytest
import trustme
from support import receiver as behaviours
from support.eventually import eventually
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from support.webhooks import distinct_event, sample_bodies, signed_request

FAST = {"total": "2s", "waits": ["50ms", "100ms"], "slow_first": "1s", "slow_horizon": "1d"}


def http(name, receiver, **more):
    return {"name": name, "kind": "http", "url": receiver.url, **more}


async def post(gateway, body, *, secret="demo-secret", api_key="demo-key", **headers):
    async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session:
        signed = {**signed_request(body, secret, api_key), **headers}
        async with session.post(gateway.url, data=body, headers=signed) as response:
            await response.read()
            return response.status


async def test_every_sample_arrives_as_it_was_signed(tmp_path):
    """All sample types go through byte for byte, with Stream's own headers."""
    async with running_receiver() as receiver:
        settings = {"subscribers": [http("app", receiver), {"name": "console", "kind": "log"}]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            samples = sample_bodies()
            for body in samples.values():
                assert await post(gateway, body) == 200
            ledger = await gateway.settled()
            assert sorted(receiver.bodies) == sorted(samples.values())
            for request in receiver.requests:
                signed = signed_request(request.body)
                assert request.headers["x-signature"] == signed["X-SIGNATURE"]
                assert request.headers["x-api-key"] == "demo-key"
                assert request.headers["x-webhook-attempt"] == "1"
            assert ledger["subscribers"]["console"]["delivered"] == len(samples)
            assert gateway.log_text.count("type=call.created") == 1


async def test_duplicates_across_a_restart(tmp_path):
    """A repeat is acked and not delivered, under any id, before and after a restart."""
    async with running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", subscribers=[http("app", receiver)]) as gateway:
            body = distinct_event(1)
            assert [await post(gateway, body) for _ in range(3)] == [200] * 3
            await gateway.settled()  # killed before, it would have to deliver it again
            await gateway.kill()
            await gateway.start()
            assert await post(gateway, body) == 200
            ledger = await gateway.settled()
            assert receiver.bodies == [body]
            assert ledger["overall"]["duplicates"] == 3
            await gateway.stop()


async def test_two_apps_with_the_same_call(tmp_path):
    """No event of one app reaches a subscriber of the other, though the bodies are the same."""
    async with running_receiver() as one, running_receiver() as other:
        subscribers = [
            http("one", one, match={"apps": ["demo-key"]}),
            http("other", other, match={"apps": ["other-key"]}),
        ]
        async with running_gateway(tmp_path / "g", subscribers=subscribers) as gateway:
            for n in range(20):
                body = distinct_event(n)
                assert await post(gateway, body) == 200
                assert await post(gateway, body, secret="second-secret", api_key="other-key") == 200
            await gateway.settled()
            for receiver, key in ((one, "demo-key"), (other, "other-key")):
                assert len(receiver.bodies) == 20
                assert {r.headers["x-api-key"] for r in receiver.requests} == {key}


TEMPERS = {
    "500": behaviours.status(500),
    "401": behaviours.status(401),
    "429": behaviours.too_many("1"),
    "410": behaviours.gone(),
    "drip": behaviours.drip(every_s=1.0),
    "endless": behaviours.endless(500),
    "redirect": behaviours.redirect("http://127.0.0.1:9/"),
    "reset": behaviours.reset(),
    "black-hole": behaviours.black_hole(),
}


@pytest.mark.parametrize("temper", TEMPERS)
async def test_a_bad_subscriber_hurts_nobody_else(tmp_path, temper):
    """However one subscriber misbehaves, the others receive everything meanwhile."""
    async with running_receiver(otherwise=TEMPERS[temper]) as bad, running_receiver() as good:
        subscribers = [
            http("bad", bad, retry=FAST, timeout="1s", concurrency=4),
            http("good", good),
        ]
        async with running_gateway(tmp_path / "g", subscribers=subscribers) as gateway:
            load = Load(gateway.port)
            await load.run(300)
            await eventually(lambda: set(good.bodies) == set(load.acked), within_s=60)
            await eventually(lambda: bad.requests)
            ledger = await gateway.ledger()
            assert ledger["balanced"], ledger
            account = ledger["subscribers"]["bad"]
            assert account["delivered"] == 0
            if temper in {"410", "redirect"}:
                await eventually(lambda: _buried(gateway, 300), within_s=60)


async def _buried(gateway, count):
    ledger = await gateway.ledger()
    return ledger["subscribers"]["bad"]["buried"] == count


async def test_a_subscriber_that_comes_back_gets_everything(tmp_path):
    """What failed in the fast lane is delivered by the slow lane, marked late."""
    async with running_receiver(otherwise=behaviours.status(503)) as receiver:
        subscribers = [http("app", receiver, retry=FAST, timeout="1s")]
        async with running_gateway(tmp_path / "g", subscribers=subscribers) as gateway:
            assert await post(gateway, distinct_event(1)) == 200
            await eventually(lambda: len(receiver.requests) >= 3, within_s=60)
            receiver.otherwise = behaviours.ok()
            ledger = await gateway.settled()
            last = receiver.requests[-1]
            assert last.headers["x-gateway-late"] == "1"
            assert int(last.headers["x-webhook-attempt"]) >= 4
            assert ledger["subscribers"]["app"]["delivered"] == 1


async def test_what_is_signed_but_no_event_is_buried(tmp_path):
    """A signed body that is no event is answered 200 and kept in the gateway's dead letters."""
    async with running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", subscribers=[http("app", receiver)]) as gateway:
            for body in (b"[]", b"not json", b'{"type":7}', b"[" * 5000):
                assert await post(gateway, body) == 200
            ledger = await gateway.settled()
            assert ledger["overall"]["not_events"] == 4
            assert receiver.bodies == []


async def test_where_and_types(tmp_path):
    """A rule over types and over the event itself picks what it says, all else is unmatched."""
    async with running_receiver() as receiver:
        match = {"types": ["custom"], "where": "event.custom.n % 2 == 0"}
        async with running_gateway(
            tmp_path / "g", subscribers=[http("app", receiver, match=match)]
        ) as gateway:
            for n in range(10):
                assert await post(gateway, distinct_event(n)) == 200
            await post(gateway, sample_bodies()["call.created"])
            ledger = await gateway.settled()
            assert sorted(receiver.bodies) == sorted(distinct_event(n) for n in range(0, 10, 2))
            assert ledger["subscribers"]["app"]["unmatched"] == 6


async def test_a_full_backlog_buries_the_oldest(tmp_path):
    """Beyond a subscriber's backlog the oldest are buried, counted; others notice nothing."""
    async with running_receiver(otherwise=behaviours.black_hole()) as bad:
        async with running_receiver() as good:
            subscribers = [
                http(
                    "bad",
                    bad,
                    timeout="1s",
                    retry=FAST,
                    concurrency=1,
                    backlog={"max_size": "64KiB"},
                ),
                http("good", good),
            ]
            async with running_gateway(tmp_path / "g", subscribers=subscribers) as gateway:
                load = Load(gateway.port)
                await load.run(9000)
                await eventually(lambda: set(good.bodies) == set(load.acked), within_s=60)
                await eventually(lambda: _some_buried(gateway), within_s=60)
                ledger = await gateway.ledger()
                assert ledger["balanced"], ledger


async def _some_buried(gateway):
    ledger = await gateway.ledger()
    return ledger["subscribers"]["bad"]["buried"] > 500


async def test_a_full_journal(tmp_path):
    """A journal that is full answers 503 with Retry-After; when Redis is back all is delivered."""
    async with running_receiver() as receiver:
        settings = {
            "redis": {"url": f"unix://{tmp_path}/nothing.sock"},
            "journal": {"max_size": "256KiB", "segment_size": "64KiB"},
            "ingest": {"max_body": "16KiB"},
            "subscribers": [http("app", receiver)],
        }
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port)
            sending = asyncio.create_task(load.run(2000))
            await eventually(lambda: load.statuses[503] > 3, within_s=60)
            load.stop = True
            await sending
            async with aiohttp.ClientSession() as session:
                body = distinct_event(9999, size_bytes=12_000)
                async with session.post(
                    gateway.url, data=body, headers=signed_request(body)
                ) as response:
                    assert response.status == 503
                    assert int(response.headers["Retry-After"]) > 0
                async with session.get(f"http://127.0.0.1:{gateway.port}/readyz") as response:
                    assert response.status == 503
            await gateway.stop()
            gateway.config["redis"] = {"url": "embedded"}
            await gateway.start()
            await gateway.settled()
            assert set(receiver.bodies) == set(load.acked)
            assert await post(gateway, distinct_event(9999)) == 200


async def test_https_through_the_whole_process(tmp_path):
    """Webhooks over HTTPS arrive; a client that does not trust the certificate gets nowhere."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "cert.pem"), append=True)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    tls = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    async with running_receiver() as receiver:
        settings = {"server": {"tls": tls}, "subscribers": [http("app", receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            url = gateway.url.replace("http:", "https:")
            body = distinct_event(1)
            async with aiohttp.ClientSession() as session:
                signed = signed_request(body)
                async with session.post(url, data=body, headers=signed, ssl=trusting) as response:
                    assert response.status == 200
                with pytest.raises(aiohttp.ClientConnectorCertificateError):
                    await session.post(url, data=body, headers=signed)
            await gateway.settled()
            assert receiver.bodies == [body]
