"""Webhooks over TLS, beside strangers who come back without a pause."""

import asyncio
import contextlib
import ssl

import pytest
import trustme
from support.eventually import eventually
from support.load import Load
from support.running_gateway import running_gateway
from support.strangers import BAD_WEBHOOK, HEALTH, strangers
from support.webhooks import distinct_event

PLACES, STRANGERS, EVENTS = 30, 45, 20
CLOSE = b"Host: x\r\nConnection: close"
WORDS = {
    "silent": b"",
    "an unsigned webhook": BAD_WEBHOOK,
    "the last webhook": BAD_WEBHOOK.replace(b"Host: x", CLOSE),
    "the last request": HEALTH.replace(b"Host: x", CLOSE),
}


def certify(folder):
    """Return the gateway's certificate and key, and a context that trusts it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    folder.mkdir(exist_ok=True)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}, context


async def return_for_ever(port, context, words, came):
    while True:
        with contextlib.suppress(OSError, EOFError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            came.append(1)
            with contextlib.closing(writer):
                writer.write(words)
                await reader.read()
        await asyncio.sleep(0)


async def answer(port, context, request):
    """Return the status of the answer; 0: a handshake that came to nothing."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        with contextlib.closing(writer):
            writer.write(request)
            return int((await reader.readline() or b"- 0").split()[1])
    except OSError:
        return 0


@pytest.mark.parametrize("words", [*WORDS, "no handshake"])
async def test_strangers_over_tls_cause_no_error(tmp_path, words):
    """More strangers than places, who end by themselves or are ended, and come again: every webhook
    is 200 within a few attempts, and nothing of it is an error of ours.
    """
    tls, context = certify(tmp_path / "tls")
    async with running_gateway(
        tmp_path / "g",
        server={"max_connections": PLACES, "tls": tls},
        subscribers=[{"name": "console", "kind": "log"}],
    ) as gateway:
        await gateway.up()
        came = []
        with strangers(gateway.port) as some:
            if words == "no handshake":
                coming = [some.return_for_ever(STRANGERS)]
            else:
                coming = [
                    return_for_ever(gateway.port, context, WORDS[words], came)
                    for _ in range(STRANGERS)
                ]
            flood = asyncio.gather(*coming)
            await eventually(lambda: len(came) + some.came > 2 * PLACES, within_s=60)
            for n in range(EVENTS):
                request = Load(gateway.port).request(distinct_event(n))

                async def is_taken(request=request):
                    return await answer(gateway.port, context, request) == 200

                await eventually(is_taken, within_s=60)
            flood.cancel()
            await asyncio.wait([flood])
        ledger = await gateway.settled()
        assert ledger["overall"]["published"] == EVENTS
        assert ledger["subscribers"]["console"]["delivered"] == EVENTS
        assert '"ERROR"' not in gateway.log_text
