"""feed.js, unchanged, in Node: by WebSocket, and by server-sent events where there is none."""

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from plain_client import CALL, token

HERE = Path(__file__).parent
FEED_JS = HERE.parents[1] / "gateway/feed/static/feed.js"


@pytest.fixture(scope="session")
def node():
    """Node from PATH, or the one that `make test` has installed for Stream's SDKs."""
    found = Path(sys.prefix) / "sdk.json"
    own = json.loads(found.read_text()).get("node") if found.exists() else None
    if (path := own or shutil.which("node")) is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no Node")
    return path


class Told:
    def __init__(self, process):
        self._process = process

    async def next(self, what, within_s=60):
        """The next thing told, which is `what`, or before it that a drain lets in nobody."""
        async with asyncio.timeout(within_s):
            line = json.loads(await self._process.stdout.readline())
            while line["what"] == "error" != what and line["said"] == 9:
                line = json.loads(await self._process.stdout.readline())
        assert line["what"] == what, line
        return line.get("said")

    async def numbers(self, count):
        return [(await self.next("event"))["n"] for _ in range(count)]


@asynccontextmanager
async def feed_js(node, transport, gateway, calls=(CALL,), **more):
    """feed.js that watches `calls`."""
    url = f"http://127.0.0.1:{gateway.port}/feed"
    process = await asyncio.create_subprocess_exec(
        node,
        "--experimental-websocket",
        "--no-warnings",
        HERE / "watch.mjs",
        transport,
        FEED_JS.as_uri(),
        url,
        token(**more),
        ",".join(calls),
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        yield Told(process)
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 30)


@pytest.mark.parametrize("transport", ["socket", "stream"])
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_it_comes_back_and_has_missed_nothing(node, gateway, sender, transport, how):
    """Over a restart of the gateway, drained or killed: every event once, in order."""
    async with feed_js(node, transport, gateway) as told:
        assert await told.next("watching") is None
        await sender.number(5)
        assert await told.numbers(5) == [0, 1, 2, 3, 4]
        await getattr(gateway, how)()
        await gateway.start()
        await sender.number(50)
        assert await told.next("watching", within_s=60) is True
        assert await told.numbers(50) == list(range(5, 55))


@pytest.mark.parametrize("transport", ["socket", "stream"])
async def test_a_refusal_is_told(node, gateway, transport):
    """With Stream's code, so that an application can fetch another token."""
    async with feed_js(node, transport, gateway, lifetime_s=-60) as told:
        assert await told.next("error") == 40


async def test_a_page_that_may_not_come_is_told(node, gateway):
    """The refusal's own code reaches it, and feed.js passes it on."""
    async with feed_js(node, "page", gateway) as told:
        assert await told.next("error") == 4003


class TestMembers:
    @pytest.fixture
    def feed_defaults(self):
        return {"access": "members"}

    @pytest.mark.parametrize("transport", ["socket", "stream"])
    async def test_no_call_is_given_up_that_has_not_come_yet(
        self, node, gateway, sender, transport
    ):
        """Not one that is waited for, nor one for which there was no place: it is asked for again."""
        calls = [f"default:c{n:02}" for n in range(11)]

        def created(cid):
            return json.dumps(
                {"type": "call.created", "call_cid": cid, "members": [{"user_id": "alice"}]}
            ).encode()

        async with feed_js(node, transport, gateway, calls) as told:
            await told.next("watching")
            waits = await told.next("waiting")
            assert (waits["calls"], len(waits["waiting"])) == ([], 10)
            late = (set(calls) - set(waits["waiting"])).pop()
            await sender.send(created(late))
            await sender.send(created(waits["waiting"][0]))
            heard = set()
            while heard != {late, waits["waiting"][0]}:
                await told.next("watching")
                heard |= set((await told.next("waiting"))["calls"])
            await sender.number(call=late)
            assert await told.numbers(1) == [0]
