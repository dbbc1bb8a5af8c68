"""Stream's SDKs, each in a process of its own, asked by lines of JSON (node/lines.js tells how).

A `Client` is one user or server in such a process. What it is asked it answers or raises
`Refused`; what its SDK was given by the gateway gathers in `events` and `heard`.
"""

import asyncio
import itertools
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from support.eventually import eventually

FOLDER = Path(__file__).parent
_LONGEST_LINE_BYTES = 8 << 20
_ANSWER_S = 90  # also of the first one, which a browser has to start for
# What the SDKs tell their listeners of themselves, beside the gateway's events.
_OWN = ("connection.", "health.", "network.", "transport.", "capabilities.", "mic.")


class Refused(Exception):
    """The SDK threw: `code` and `status` are Stream's, None where it brought none."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('name')}: {error.get('message')}")
        self.code, self.status = error.get("code"), error.get("status")
        self.message = error.get("message") or ""


class Client:
    def __init__(self, driver: "Driver", name: str) -> None:
        self._driver, self.name = driver, name
        self.events: list[dict[str, Any]] = []  # to client.on("all"), without the SDK's own
        self.heard: list[dict[str, Any]] = []  # to call.on("custom")
        self.online = 0  # how often it went online; a short absence is not told

    async def ask(self, do: str, **args: Any) -> Any:
        """Raises `Refused`."""
        return await self._driver.ask(self.name, do, args)

    async def hears(self, count: int, within_s: float = 60) -> list[Any]:
        """The payloads of exactly `count` custom events."""
        await eventually(lambda: len(self.heard) >= count, within_s=within_s)
        assert len(self.heard) == count
        return [event["custom"] for event in self.heard]

    async def events_of(self, kind: str, count: int, within_s: float = 60) -> list[dict[str, Any]]:
        """Exactly `count` events of a type, of all calls."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.events if event["type"] == kind]

        await eventually(lambda: len(found()) >= count, within_s=within_s)
        assert len(found()) == count
        return found()

    async def is_online(self, times: int, within_s: float = 60) -> None:
        """Wait until it has gone online `times` times."""
        await eventually(lambda: self.online >= times, within_s=within_s)

    def take(self, said: dict[str, Any]) -> None:
        if "heard" in said:
            self.heard.append(said["heard"])
        elif said["event"]["type"] == "connection.changed":
            self.online += said["event"]["online"]
        elif not said["event"]["type"].startswith(_OWN):
            self.events.append(said["event"])


class Driver:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._clients: dict[str, Client] = {}
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count(1)
        self._reader = asyncio.create_task(self._read())

    def client(self, name: str) -> Client:
        return self._clients.setdefault(name, Client(self, name))

    async def ask(self, client: str, do: str, args: dict[str, Any]) -> Any:
        number = next(self._ids)
        command = {"id": number, "client": client, "do": do, "with": args}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(_ANSWER_S):
            return await answer

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            if "id" not in said:
                self.client(said["client"]).take(said)
            elif not (answer := self._asked.pop(said["id"])).done():
                self._settle(answer, said)
        for answer in self._asked.values():  # it ended: nobody is to wait for it
            answer.cancel()

    @staticmethod
    def _settle(answer: asyncio.Future[Any], said: dict[str, Any]) -> None:
        if "error" in said:
            answer.set_exception(Refused(said["error"]))
        else:
            answer.set_result(said["ok"])

    async def end(self) -> None:
        """End it by closing its input; what it hosted goes with it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(30):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader


@asynccontextmanager
async def running(*command: str, log: Path) -> AsyncIterator[Driver]:
    """A driver; what it says on standard error goes to `log`."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=FOLDER, stdin=PIPE, stdout=PIPE, stderr=errors, limit=_LONGEST_LINE_BYTES
        )
    driver = Driver(process)
    try:
        yield driver
    finally:
        await driver.end()


def in_node(node: str, log: Path) -> AbstractAsyncContextManager[Driver]:
    return running(node, "node/in_node.js", log=log)


def in_chromium(node: str, chromium: str, log: Path) -> AbstractAsyncContextManager[Driver]:
    return running(node, "node/in_chromium.js", chromium, log=log)


def node_sdk(node: str, log: Path) -> AbstractAsyncContextManager[Driver]:
    return running(node, "node/server_side.js", log=log)


def python_sdk(log: Path) -> AbstractAsyncContextManager[Driver]:
    return running(sys.executable, "python_sdk.py", log=log)
