"""Strangers who do not wait: floods of connections, and of requests on one."""

import asyncio
import ssl

import pytest
import trustme
from support.doorway import FAST, ask, connected, opened, same
from support.eventually import eventually
from support.strangers import BAD_WEBHOOK, HEALTH, UNSIGNED, strangers
from support.webhooks import distinct_event, signed_request

from gateway.ingest import answers
from gateway.options import TlsOptions

KINDS = {
    "silent": (b"", b""),
    "spoke": (HEALTH, b""),
    "half a head": (UNSIGNED[:60], b""),
    "unsigned without a pause": (b"", BAD_WEBHOOK * 10),
    "requests without a pause": (b"", HEALTH * 10),
}


def good(n, way=FAST):
    body = distinct_event(n)
    return way.request(body, signed_request(body))


@pytest.mark.parametrize("is_native", [True, False], ids=["native", "python"])
@pytest.mark.parametrize("kind", KINDS)
async def test_who_brings_a_webhook_is_heard(tmp_path, kind, is_native):
    """However fast strangers come back: each webhook on a connection of its own is answered, 200
    or 503, and who was told 503 is heard when it comes again.
    """
    limits = {"max_connections": 20, "header_timeout_s": 600, "body_timeout_s": 600}
    async with opened(tmp_path, is_native=is_native, **limits) as doorway:
        with strangers(doorway.port) as some:
            flood = asyncio.create_task(some.return_for_ever(40, *KINDS[kind]))
            await eventually(lambda: some.came > 100)
            for n in range(20):

                async def is_stored(n=n):
                    answer = await ask(doorway.port, good(n))
                    assert answer.status in {200, 503}
                    return answer.status == 200

                await eventually(is_stored)
            flood.cancel()
            await asyncio.wait([flood])
        assert len(doorway.events()) == 20


@pytest.mark.parametrize("is_native", [True, False], ids=["native", "python"])
async def test_nobody_is_refused_for_ever_in_a_row(tmp_path, is_native):
    """Of many unsigned requests at once some are answered, in words, the last of them with its
    end: others have their turn. Who has brought a signed one is answered all.
    """
    many = 500
    async with opened(tmp_path, is_native=is_native) as doorway:
        async with connected(doorway.port) as stranger:
            stranger.send(BAD_WEBHOOK * many)
            heard = await stranger.rest()
            assert 0 < heard.count(b"HTTP/1.1 401 ") < many
            assert heard.count(b"HTTP/1.1 ") == heard.count(b"HTTP/1.1 401 ")
            assert heard.count(b"Connection: close") == 1
        async with connected(doorway.port) as signer:
            same(await signer.ask(good(1)), answers.STORED)
            signer.send(BAD_WEBHOOK * many)
            for _ in range(many):
                assert (await signer.response()).status == 401


async def test_over_tls_who_has_no_place_is_told(tmp_path):
    """Where all places are of some who have signed, 503 is what a webhook gets over TLS too."""
    authority = trustme.CA()
    cert = authority.issue_cert("127.0.0.1")
    tls = TlsOptions(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    cert.cert_chain_pems[0].write_to_path(tls.cert)
    cert.private_key_pem.write_to_path(tls.key)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with opened(tmp_path, tls=tls, max_connections=1) as doorway:
        async with connected(doorway.port, trusting) as signer:
            same(await signer.ask(good(1)), answers.STORED)
            for n in range(2, 8):
                same(await ask(doorway.port, good(n), trusting), answers.TOO_MANY_CONNECTIONS)
            same(await signer.ask(good(9)), answers.STORED)
