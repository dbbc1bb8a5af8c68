"""What the gateway publishes to SQS, read by Stream's own SDKs."""

import aiohttp
import pytest
from drivers import Refused
from support.running_gateway import running_gateway
from support.webhooks import sample_bodies, signed_request
from users import server

# getstream reads times that are whole nanoseconds, and no others.
EVENT = (
    b'{"type":"call.session_started","created_at":1778198400000000000,'
    b'"call_cid":"default:\\u003c\xc3\xa4","session_id":"s"}'
)


async def published(gateway, queue, *bodies):
    """Send `bodies` as webhooks; return the texts of the messages that came of them."""
    async with aiohttp.ClientSession() as session:
        for body in bodies:
            headers = signed_request(body)
            async with session.post(gateway.url, data=body, headers=headers) as response:
                assert response.status == 200
    await gateway.settled()
    return [message["Body"] for message in queue.drain()]


@pytest.fixture
def queue(local_sqs):
    return local_sqs.queue()


def to(queue, **more):
    return {"subscribers": [{"name": "q", "kind": "sqs", **queue.config, **more}]}


@pytest.mark.parametrize("written", ["base64", "gzip"])
async def test_sdks_parse_what_is_published(tmp_path, queue, servers, written):
    """In the default format and gzipped, both SDKs find the event that Stream signed."""
    async with running_gateway(tmp_path / "g", **to(queue, format=written)) as gateway:
        app = await server(servers, gateway)
        (text,) = await published(gateway, queue, EVENT)
        event = await app.ask("parse_sqs", body=text)
    assert (event["type"], event["call_cid"]) == ("call.session_started", "default:<ä")


async def test_node_parses_every_sample(tmp_path, queue, node_server):
    """Also with times as webhooks have them today."""
    bodies = sample_bodies().values()
    async with running_gateway(tmp_path / "g", **to(queue)) as gateway:
        app = await server(node_server, gateway)
        texts = await published(gateway, queue, *bodies)
        types = [(await app.ask("parse_sqs", body=text))["type"] for text in texts]
    assert len(types) == len(bodies)
    assert all(types)


async def test_raw_is_for_consumers_that_read_json(tmp_path, queue, python_server, node_server):
    """Raw JSON is what getstream reads and node-sdk does not: no default, but to be had."""
    async with running_gateway(tmp_path / "g", **to(queue, format="raw")) as gateway:
        (text,) = await published(gateway, queue, EVENT)
        assert text.encode() == EVENT
        python, node = await server(python_server, gateway), await server(node_server, gateway)
        assert (await python.ask("parse_sqs", body=text))["type"] == "call.session_started"
        with pytest.raises(Refused, match="base64"):
            await node.ask("parse_sqs", body=text)
