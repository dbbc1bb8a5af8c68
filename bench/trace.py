"""The way of one webhook through the code: how many calls, in how many files.

    python -m bench.trace [--json]              GATEWAY_NATIVE=0 python -m bench.trace

A gateway in this process takes signed webhooks one at a time and delivers each to one HTTP
subscriber, while `sys.setprofile` counts the calls of Python functions in `gateway/`. Of many
webhooks the one with the fewest calls is told: in it no timer of something else has run. Counted
until the 200 is written, until the subscriber has the body, and until Redis has it settled.
"""

import asyncio
import json
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import uvloop

import gateway
from bench.processes import valkey
from gateway import app
from gateway.config import load
from gateway.sending.bodies import samples
from gateway.sending.webhook import sign

_ROOT = str(Path(gateway.__file__).parent)
_WEBHOOKS = 40
_KEY, _SECRET = "trace", "trace-secret"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
# The functions at whose end a step is reached, whatever their files are called.
_ACKED, _SETTLED = "_ack", "count_settled"


@dataclass
class Counted:
    """Calls so far, and the files and functions that they were in."""

    calls: int = 0
    files: set[str] = field(default_factory=set)
    functions: set[tuple[str, int]] = field(default_factory=set)

    def told(self) -> dict[str, int]:
        return {"calls": self.calls, "files": len(self.files), "functions": len(self.functions)}


class Trace:
    """Of one webhook, step by step."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, int]] = {}
        self._now = Counted()
        self._is_inside: dict[str, bool] = {}

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event not in {"call", "return"}:
            return
        if not self._inside(code.co_filename):
            if event == "call" and code.co_name == "subscriber_has_it":
                self.step("subscriber")
            return
        if event == "call":
            self._now.calls += 1
            self._now.files.add(code.co_filename)
            self._now.functions.add((code.co_filename, code.co_firstlineno))
        elif code.co_name == _ACKED:
            self.step("ack")
        elif code.co_name == _SETTLED:
            self.step("settled")

    def _inside(self, name: str) -> bool:
        found = self._is_inside.get(name)
        if found is None:
            found = self._is_inside[name] = name.startswith(_ROOT)
        return found

    def step(self, name: str) -> None:
        self.steps.setdefault(name, self._now.told())


class Subscriber(asyncio.Protocol):
    """Answers 200 to whatever comes whole, which one webhook does."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        subscriber_has_it()
        self._transport.write(_ANSWER)


def subscriber_has_it() -> None:
    """Looked for by `Trace.profile`."""


async def _trace(folder: Path, url: str) -> dict[str, dict[str, int]]:
    loop = asyncio.get_running_loop()
    sink = await loop.create_server(Subscriber, "127.0.0.1", 0)
    port = sink.sockets[0].getsockname()[1]
    path = folder / "config.yaml"
    path.write_text(
        f"server: {{port: 0}}\nadmin: {{port: 0}}\ndata_dir: {folder}/data\n"
        f'redis: {{url: "{url}"}}\nlog: {{level: error}}\n'
        f"apps: [{{api_key: {_KEY}, secrets: [{_SECRET}]}}]\n"
        f'subscribers: [{{name: one, kind: http, url: "http://127.0.0.1:{port}/"}}]\n'
    )
    ready: asyncio.Future[app.Ports] = loop.create_future()
    running = asyncio.create_task(app.run(load(path, {}), on_ready=ready.set_result))
    either: list[asyncio.Future[Any]] = [running, ready]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if running.done():  # it could not even start
        await running
    reader, writer = await asyncio.open_connection("127.0.0.1", (await ready).public_port)
    bodies = [sample.body for sample in samples()]
    best: dict[str, dict[str, int]] = {}
    for number in range(_WEBHOOKS):
        body = bodies[0].replace(b"{", b'{"trace":%d,' % number, 1)
        head = (
            f"POST /webhooks/stream HTTP/1.1\r\nhost: gateway\r\nx-api-key: {_KEY}\r\n"
            f"x-signature: {sign(body, _SECRET)}\r\nx-webhook-id: trace-{number}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        trace = Trace()
        sys.setprofile(trace.profile)
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        await reader.readexactly(int(answer.lower().split(b"content-length: ")[1].split()[0]))
        while "settled" not in trace.steps:
            await asyncio.sleep(0.001)
        sys.setprofile(None)
        await asyncio.sleep(0.02)
        if not best or trace.steps["settled"]["calls"] < best["settled"]["calls"]:
            best = trace.steps
    writer.close()
    sink.close()
    signal.raise_signal(signal.SIGTERM)
    await running
    return best


def main() -> None:
    with tempfile.TemporaryDirectory() as name, valkey(Path(name) / "engine", core=1) as engine:
        steps = uvloop.run(_trace(Path(name), engine.url))
    if "--json" in sys.argv:
        print(json.dumps(steps))
        return
    for step in ("ack", "subscriber", "settled"):
        told = steps[step]
        print(
            f"until {step:10} {told['calls']:5} calls {told['files']:3} files {told['functions']:4} functions"
        )


if __name__ == "__main__":
    main()
