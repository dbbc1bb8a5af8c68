"""`gateway ledger`, with a gateway and without."""

import json

import pytest
from redis.asyncio import Redis
from support.commands import run, write_config
from support.receiver import raw, running_receiver, status
from support.streams import Recorder, TestPublisher, delivering, event, served, settled

from gateway.admin.ledger import JournalSide, compose
from gateway.admin.server import AdminServer
from gateway.engine.engine import Engine
from gateway.errors import EngineUnavailable
from gateway.options import AdminOptions
from gateway.store import keys


@pytest.fixture
async def url(engine_url):
    """An engine with three events delivered."""
    publisher = TestPublisher(engine_url)
    async with delivering(engine_url, served(Recorder())):
        await publisher.publish(*(event(n) for n in range(3)))
        await settled(engine_url)
    await publisher.close()
    return engine_url


async def asked(tmp_path, url, port, *args):
    path = write_config(tmp_path, redis=url, more=f"admin: {{port: {port}}}")
    return await run("ledger", "--config", path, *args)


@pytest.fixture
async def admin(url):
    """An admin listener whose ledger is `compose`'s; `admin.accepted` is the journal's side."""
    engine = Engine(url)

    class Shown:
        async def ledger(self):
            if server.accepted is None:
                raise EngineUnavailable("away")
            return await compose(engine, self.sides)

        async def sides(self):
            return [JournalSide("here", server.accepted, 0)]

    server = AdminServer(AdminOptions(port=0), Shown())
    server.accepted = 3
    await server.start()
    yield server
    await server.stop()
    await engine.close()


async def test_a_running_gateway_is_asked(tmp_path, url, admin):
    """Both sides are told, and that they agree."""
    result = await asked(tmp_path, url, admin.port)
    assert result.exit_code == 0
    assert "everything adds up" in result.stdout
    assert result.stderr == ""
    found = json.loads((await asked(tmp_path, url, admin.port, "--json")).stdout)
    assert found["overall"]["accepted"] == 3
    assert found["subscribers"]["sub"]["delivered"] == 3


async def test_what_does_not_add_up_ends_with_1(tmp_path, url, admin):
    """Whatever the side on which it is."""
    admin.accepted = 4
    result = await asked(tmp_path, url, admin.port)
    assert result.exit_code == 1
    assert "IT DOES NOT ADD UP" in result.stdout


async def test_redis_away_from_a_running_gateway_is_told(tmp_path, url, admin):
    """The gateway's own words."""
    admin.accepted = None
    result = await asked(tmp_path, url, admin.port)
    assert result.exit_code == 1
    assert "Redis is away" in result.stderr


async def test_without_a_gateway_the_streams_side_is_read(tmp_path, url):
    """It is said that the journal's is missing; an account that is wrong still ends with 1."""
    for port in (0, 1):
        result = await asked(tmp_path, url, port)
        assert result.exit_code == 0
        assert "no gateway answers" in result.stderr
        assert "sub" in result.stdout
    redis = Redis.from_url(url)
    await redis.hincrby(keys.subscription(0, "sub"), "delivered", 1)
    await redis.aclose()
    assert (await asked(tmp_path, url, 1)).exit_code == 1


@pytest.mark.parametrize("answer", [status(404), status(200, body=b"[]"), raw(b"nonsense\r\n\r\n")])
async def test_something_else_on_the_port_is_told(tmp_path, url, answer):
    """A server that is no gateway is not taken for one."""
    async with running_receiver(otherwise=answer) as receiver:
        result = await asked(tmp_path, url, receiver.port)
    assert result.exit_code == 1
    assert str(receiver.port) in result.stderr
