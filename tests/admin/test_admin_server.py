"""The admin listener over real sockets."""

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.server import AdminServer
from gateway.errors import EngineRefused, EngineUnavailable, GatewayError
from gateway.metrics import Metrics
from gateway.options import AdminOptions


class Parts:
    """What the listener shows."""

    def __init__(self):
        self.counted = Metrics()
        self.against = []
        self.answer = {"balanced": True}

    async def metrics(self):
        return self.counted.render()

    async def warnings(self):
        return []

    async def reasons(self):
        return self.against

    async def ledger(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def parts():
    return Parts()


@pytest.fixture
async def server(parts):
    server = AdminServer(AdminOptions(port=0), parts)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server):
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        yield client


async def test_the_metrics_can_be_read_by_prometheus(client, parts):
    """The whole catalogue, in text format 0.0.4, with labels that need escaping."""
    parts.counted.webhooks.add("200", by=3)
    parts.counted.unauthorized.add('we"ird\\app\n')
    parts.counted.ack_seconds.observe(0.0001)
    parts.counted.connections.track(read=lambda: 7)
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await answer.text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) == len(vars(parts.counted))
    (webhooks,) = families["gateway_webhooks"].samples
    assert (webhooks.labels, webhooks.value) == ({"status": "200"}, 3)
    (unauthorized,) = families["gateway_webhooks_unauthorized"].samples
    assert unauthorized.labels == {"app": 'we"ird\\app\n'}
    (connections,) = families["gateway_connections"].samples
    assert connections.value == 7
    buckets = families["gateway_ack_seconds"].samples
    assert {s.value for s in buckets if s.name.endswith("_count")} == {1}


async def test_health_is_answered_while_the_loop_turns(client):
    """200, whatever else is wrong."""
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"healthy": True})


async def test_readiness_gives_its_reasons(client, parts):
    """200 while there is none against it, else 503 with all of them."""
    async with client.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True, "reasons": []})
    parts.against = ["redis is away", "the journal is full"]
    async with client.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"ready": False, "reasons": parts.against}


@pytest.mark.parametrize(
    ("answer", "status"),
    [({"balanced": True}, 200), (EngineUnavailable("away"), 503), (EngineRefused("odd"), 500)],
)
async def test_the_ledger_is_shown_or_why_it_cannot_be(client, parts, answer, status):
    """JSON in every case."""
    parts.answer = answer
    async with client.get("/ledger") as got:
        assert got.status == status
        shown = await got.json()
    assert shown == answer if status == 200 else str(answer) in shown["error"]


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/ledger"])
async def test_everything_is_for_reading_only(client, path):
    """GET and HEAD; other methods are answered 405 with what is allowed."""
    async with client.head(path) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        async with client.request(method, path) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")


@pytest.mark.parametrize("path", ["/metrics", "/nothing"])
@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
async def test_foreign_pages_are_refused_everywhere(client, path, headers):
    """403 before anything else is looked at."""
    async with client.get(path, headers=headers) as answer:
        assert answer.status == 403
        assert "foreign" in (await answer.json())["error"]


async def test_other_paths_are_not_found_and_nothing_is_stored_by_caches(client):
    """404 as JSON; every answer says no-store."""
    async with client.get("/nothing") as answer:
        assert (answer.status, await answer.json()) == (404, {"error": "Not Found"})
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_port_that_is_taken_is_told(server, parts):
    """One clear error instead of a traceback; the other listener goes on."""
    second = AdminServer(AdminOptions(port=server.port), parts)
    with pytest.raises(GatewayError, match=f"admin listener on 127.0.0.1:{server.port}"):
        await second.start()
