"""A Redis that comes back with nothing, and gateways that are killed meanwhile, on command."""

import os
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from support.eventually import eventually
from support.load import Load
from support.ports import free_port
from support.receiver import Receiver, running_receiver
from support.running_gateway import RunningGateway, running_gateway
from support.servers import Server, data_lines

from gateway.store import keys

NAMES = ("ordered", "plain", "third")


class Scene:
    """One Redis, a receiver for each subscriber, gateways that share them, and who sends.

    `url`: of more than the one `server`, if there are more.
    """

    def __init__(
        self,
        folder: Path,
        server: Server | None,
        receivers: dict[str, Receiver],
        stack: AsyncExitStack,
        url: str = "",
    ) -> None:
        self.folder, self._server, self.receivers = folder, server, receivers
        self.url = url or f"redis://127.0.0.1:{self.server.port}"
        self.gateways: dict[str, RunningGateway] = {}
        self.loads: list[Load] = []
        self._stack = stack

    @property
    def server(self) -> Server:
        assert self._server is not None, "it is somebody else's"
        return self._server

    async def gateway(self, name: str, *args: str, **more: Any) -> RunningGateway:
        """Start one under a name; under a name that there was before, with its data directory."""
        subscribers = [
            {
                "name": one,
                "kind": "http",
                "url": receiver.url,
                **({"order": "call"} if one == "ordered" else {}),
            }
            for one, receiver in self.receivers.items()
        ]
        config = {"redis": {"url": self.url, "lease": "3s"}, "subscribers": subscribers, **more}
        made = running_gateway(self.folder / name, args=args, **config)
        self.gateways[name] = await self._stack.enter_async_context(made)
        return self.gateways[name]

    async def send(self, gateway: RunningGateway, count: int) -> None:
        load = Load(gateway.port, name=f"{len(self.loads)}-")
        self.loads.append(load)
        first = sum(len(one.acked) for one in self.loads)
        await load.run(count, first=first, connections=4)

    @property
    def acked(self) -> set[bytes]:
        return {body for load in self.loads for body in load.acked}

    async def arrived(self) -> None:
        """Wait until every subscriber has all that was acknowledged."""

        def missing() -> dict[str, int]:
            return {name: len(self.acked - set(one.bodies)) for name, one in self.receivers.items()}

        try:
            await eventually(lambda: not any(missing().values()), within_s=60)
        except AssertionError:
            said = {name: one.log_text[-3000:] for name, one in self.gateways.items()}
            raise AssertionError(f"missing: {missing()}\n{said}") from None

    def most_often(self) -> int:
        """How often that event came which came most often to one subscriber."""
        return max(max(Counter(one.bodies).values()) for one in self.receivers.values())

    async def wipe(self) -> None:
        """kill -9 of Redis and its disk gone."""
        await self.server.kill()
        shutil.rmtree(self.server.folder / "appendonlydir", ignore_errors=True)

    async def has_events(self) -> bool:
        lengths = [await self.server.client.xlen(keys.events(at)) for at in range(keys.SHARDS)]
        return any(lengths)

    async def has_subscribers(self) -> bool:
        return bool(await self.server.client.exists(keys.SUBSCRIBERS))

    async def knows_all(self) -> bool:
        return bool(await self.server.client.hlen(keys.SUBSCRIBERS) == len(self.receivers))

    async def assert_accounted(self) -> None:
        """Every gateway's ledger adds up, and nothing is before the start of a subscriber."""
        for gateway in self.gateways.values():
            ledger = await gateway.settled()
            assert set(ledger["subscribers"]) == set(self.receivers)
            for account in ledger["subscribers"].values():
                assert account["before_start"] == 0, ledger
                assert account["published"] == ledger["overall"]["published"], ledger


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """A scene with no gateway yet."""
    async with AsyncExitStack() as stack:
        server = Server(folder / "redis", free_port(), data_lines())
        stack.push_async_callback(server.close)
        await server.start()
        yield Scene(folder, server, await _receivers(stack), stack)


@asynccontextmanager
async def scene_on(folder: Path, url: str) -> AsyncIterator[Scene]:
    """The same on a Redis that somebody else has started and looks at."""
    async with AsyncExitStack() as stack:
        yield Scene(folder, None, await _receivers(stack), stack, url)


async def _receivers(stack: AsyncExitStack) -> dict[str, Receiver]:
    return {name: await stack.enter_async_context(running_receiver()) for name in NAMES}


async def kill_worker(gateway: RunningGateway, number: int) -> None:
    """kill -9 of one worker; return once another is in its place."""
    pid = await eventually(lambda: gateway.workers().get(number))
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: gateway.workers().get(number, pid) != pid, within_s=60)


async def restart(gateway: RunningGateway) -> None:
    """kill -9 of a gateway, and a start."""
    await gateway.kill()
    await gateway.start()
