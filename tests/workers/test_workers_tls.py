"""HTTPS on a port that workers share."""

import asyncio
import ssl

import aiohttp
import trustme
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.webhooks import distinct_event, signed_request


async def test_workers_speak_tls(tmp_path):
    """Webhooks over TLS are stored whichever worker takes them; who speaks none costs nobody
    anything, and leaves no trace.
    """
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    server = {"workers": 2, "tls": {"cert": str(cert), "key": str(key)}, "header_timeout": "3s"}
    async with running_gateway(tmp_path / "g", server=server) as gateway:
        plain, silent = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(2)]
        plain[1].write(b"POST /webhooks/stream HTTP/1.1\r\n\r\n")
        for number in range(8):
            body = distinct_event(number)
            async with aiohttp.ClientSession() as session:
                url = f"https://127.0.0.1:{gateway.port}/webhooks/stream"
                async with session.post(
                    url, data=body, headers=signed_request(body), ssl=trusting
                ) as response:
                    assert response.status == 200
        for reader, writer in (plain, silent):  # closed, the silent one after its time
            await asyncio.wait_for(_end(reader), 60)
            writer.close()
        await eventually(lambda: _accepted(gateway, 8))


async def _accepted(gateway, count):
    return await gateway.metric("gateway_accepted_total") == count


async def _end(reader):
    try:
        while await reader.read(1000):
            pass
    except ConnectionError:
        pass
