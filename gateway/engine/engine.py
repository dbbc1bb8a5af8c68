"""The connection to Redis or Valkey: commands, scripts, blocking reads.

Every failure becomes one of two exceptions: `EngineUnavailable` (wait and come again) or
`EngineRefused` (waiting will not help). Nothing whose outcome is unknown is sent again here: the
caller decides, because only the caller knows what repeating means. A server that sends us
elsewhere has done nothing, so there we follow; who is to be asked is the topology's business.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from gateway.engine.access import EngineAccess
from gateway.engine.dialing import address_of
from gateway.engine.listening import listening
from gateway.engine.pool import LinkPool
from gateway.engine.replies import BROKEN, Failure, explain, is_deposed, redirection
from gateway.engine.resp import Arg, ErrorReply, pack
from gateway.engine.script import Script
from gateway.engine.servers import topology_of
from gateway.engine.spread import spread
from gateway.errors import EngineRefused, EngineUnavailable, Fenced

Call = tuple[Script, Sequence[str], Sequence[Arg]]  # a script, its keys and arguments
_ASKING = pack("ASKING")
_MOST_HOPS = 5


class Engine:
    """Redis, seen from the gateway. Safe to share between tasks of one loop."""

    def __init__(
        self, url: str, *, timeout_s: float = 5.0, access: EngineAccess | None = None
    ) -> None:
        self.url, self.timeout_s, self.access = url, timeout_s, access or EngineAccess()
        self._topology = topology_of(url, self.access, timeout_s)
        # Grows whenever a server fails: what answers next may have lost the newest of its data.
        self.interruptions = 0
        self._links = LinkPool(self.access, timeout_s)
        self._blocking = LinkPool(self.access, timeout_s)
        self._is_stale = False  # a server is not what it was: connect anew, by name

    @property
    def is_cluster(self) -> bool:
        """Whether different keys may lie on different servers, and only some fit one command."""
        return self._topology.is_split

    async def command(self, *args: Arg) -> Any:
        """Run one command, whose first argument is its key.

        Raises `EngineUnavailable` or `EngineRefused`.
        """
        return await self._execute(_key_of(args), args)

    async def where(self, key: str, *args: Arg) -> Any:
        """Run one command, that names no key, on the server of `key`. Raises like `command`."""
        return await self._execute(key, args)

    async def by_server(self, names: Sequence[str]) -> list[list[int]]:
        """Return the places of the keys `names`, those of one server together.

        Raises like `command`.
        """
        found: dict[str, list[int]] = {}
        for at, name in enumerate(names):
            found.setdefault(await self._locate(name), []).append(at)
        return list(found.values())

    async def everywhere(self, *args: Arg) -> list[Any]:
        """Run one command on every server that takes writes. Raises like `command`."""
        await self._topology.make_sure()
        return [await self._ask(server, args) for server in sorted(self._topology.servers())]

    async def in_one_go(
        self, key: bytes, commands: Sequence[Sequence[Arg]], *, may_fail: int = 0
    ) -> None:
        """Run commands about one key in one round trip; the first `may_fail` of them may fail.

        Raises the first error of the others; those behind it have run nevertheless.
        """
        packed = [pack(*command) for command in commands]
        replies = await self._exchange(await self._locate(_key_of((b"", key))), packed)
        for reply in replies[may_fail:]:
            if isinstance(reply, ErrorReply):
                raise self._explained(reply)

    async def names(self, pattern: str) -> AsyncIterator[bytes]:
        """Yield the keys of all servers that match. Some may come twice. Raises like `command`."""
        await self._topology.make_sure()
        for server in sorted(self._topology.servers()):
            cursor: Any = 0
            while True:
                scan = ("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
                cursor, page = await self._ask(server, scan)
                for name in page:
                    yield name
                if int(cursor) == 0:
                    break

    async def blocking(self, *args: Arg, key: str, timeout_s: float) -> Any:
        """Run one blocking command on a connection of its own; its answer may take `timeout_s`."""
        return await self._execute(key, args, blocking_s=timeout_s)

    async def listen(self, channel: str) -> AsyncIterator[bytes | None]:
        """Yield what is published to `channel`; None first, once all of it is heard.

        Raises `EngineUnavailable` or `EngineRefused`, within seconds also when the connection has
        died without a word; what is published meanwhile is not heard.
        """
        server = await self._locate(channel)
        address = address_of(server)
        try:
            async with listening(address, channel, self.access, self.timeout_s) as listener:
                if self._topology.known(channel) not in (server, None):  # dropped meanwhile
                    raise ConnectionError("connection given up")
                with self._blocking.along(server, listener):
                    while True:
                        yield await listener.next()
        except BROKEN as error:
            raise self._explained(error) from error

    async def run(self, script: Script, names: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run `script` on the keys `names` by digest; in full where it is not known.

        Raises `EngineUnavailable` (the outcome is then unknown) or `EngineRefused`.
        """
        try:
            return await self._execute(names[0], ("EVALSHA", script.sha, len(names), *names, *args))
        except EngineRefused as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            return await self._execute(names[0], ("EVAL", script.source, len(names), *names, *args))

    async def run_many(self, calls: Sequence[Call]) -> list[Any | Failure]:
        """Run scripts (script, keys, args) in one round trip; each has a result or an error of
        its own, in the same order.

        Raises `EngineUnavailable` when the connection fails: all outcomes are then unknown. Where
        there are several servers, that is an error of the calls of that server.
        """
        if not self._topology.is_split:
            return await self._run_on(await self._locate(""), calls)
        servers = [await self._locate(names[0]) for _, names, _ in calls]
        return await spread(
            servers, lambda server, some: self._run_some(server, [calls[at] for at in some])
        )

    async def _run_some(self, server: str, calls: Sequence[Call]) -> list[Any | Failure]:
        try:
            return await self._run_on(server, calls)
        except EngineUnavailable as failure:
            return [failure] * len(calls)

    async def _run_on(self, server: str, calls: Sequence[Call]) -> list[Any | Failure]:
        packed = [
            pack("EVALSHA", script.sha, len(names), *names, *args) for script, names, args in calls
        ]
        results = await self._exchange(server, packed)
        return [
            await self._outcome(call, result) if isinstance(result, Exception) else result
            for call, result in zip(calls, results, strict=True)
        ]

    async def _outcome(self, call: Call, error: Exception) -> Any | Failure:
        is_lost = str(error).startswith("NOSCRIPT")
        if not is_lost and not (self._topology.is_split and redirection(error)):
            return self._explained(error)
        try:
            return await self.run(*call)
        except (EngineUnavailable, EngineRefused, Fenced) as failure:
            return failure

    async def _execute(
        self, key: str, args: Sequence[Arg], *, blocking_s: float | None = None
    ) -> Any:
        server, commands = await self._locate(key), [pack(*args)]
        for _ in range(_MOST_HOPS):
            reply = (await self._exchange(server, commands, blocking_s))[-1]
            if not isinstance(reply, ErrorReply):
                return reply
            found = redirection(reply)
            named = found and self._topology.elsewhere(found, server)
            if found is None or named is None:
                raise self._explained(reply)
            server, commands = named, [_ASKING, commands[-1]] if found.once else commands[-1:]
            if not found.once:
                self._topology.moved(key, named)
        raise EngineUnavailable("the servers of the Cluster send us in circles")

    async def _ask(self, server: str, args: Sequence[Arg]) -> Any:
        (reply,) = await self._exchange(server, [pack(*args)])
        if isinstance(reply, ErrorReply):
            raise self._explained(reply)
        return reply

    async def _exchange(
        self, server: str, commands: Sequence[bytes], blocking_s: float | None = None
    ) -> list[Any]:
        links = self._links if blocking_s is None else self._blocking
        try:
            return await links.exchange(server, commands, timeout_s=blocking_s)
        except BROKEN as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> Failure:
        if is_deposed(error):
            self._interrupted()
            # A connection that failed is made anew by itself; one that works is not.
            self._is_stale |= not self._topology.is_asked and not isinstance(error, OSError)
        if self._topology.is_split and redirection(error) is not None:
            self._topology.doubt()
            return EngineUnavailable(f"its slot has moved: {error}")
        return explain(error)

    def _interrupted(self) -> None:
        self.interruptions += 1
        self._topology.doubt()

    async def _locate(self, key: str) -> str:
        if self._is_stale:
            self._is_stale = False
            self._keep(frozenset())
        server = self._topology.known(key)
        if server is None:
            server = await self._topology.locate(key)
            self._keep(self._topology.servers())
        return server

    def _keep(self, servers: frozenset[str]) -> None:
        self._links.keep(servers)
        self._blocking.keep(servers)

    async def close(self) -> None:
        self._keep(frozenset())
        await self._topology.close()


def _key_of(args: Sequence[Arg]) -> str:
    key = args[1] if len(args) > 1 else ""
    return key.decode(errors="surrogateescape") if isinstance(key, bytes) else str(key)
