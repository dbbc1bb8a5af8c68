"""The connection to Redis or Valkey: commands, scripts, blocking reads.

Every failure becomes one of two exceptions: `StreamUnavailable` (wait and come again) or
`StreamRefused` (waiting will not help). The client's own retries are off: redis-py would repeat
a command whose outcome is unknown up to ten times; here the caller decides, because only the
caller knows what repeating means. A server that sends us elsewhere has done nothing, so there we
follow; who is to be asked is the topology's business.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import redis.asyncio as aioredis
from redis import exceptions
from redis.asyncio.client import PubSub

from gateway.errors import Fenced, StreamRefused, StreamUnavailable
from gateway.stream import keys
from gateway.stream.access import Access
from gateway.stream.clients import Clients
from gateway.stream.link import pack
from gateway.stream.links import Links
from gateway.stream.replies import GONE, Arg, Failure, explain, is_deposed, redirection
from gateway.stream.scripts import script
from gateway.stream.servers import topology_of

Call = tuple[str, Sequence[str], Sequence[Arg]]  # a script's name, its keys and arguments
_ERRORS = (exceptions.RedisError, OSError, TimeoutError)
_MOST_HOPS = 5
_QUIET_S = 2.0  # without a message, after which a listener asks whether the other side is there


class Engine:
    """Redis, seen from the gateway. Safe to share between tasks of one loop."""

    def __init__(self, url: str, *, timeout_s: float = 5.0, access: Access | None = None) -> None:
        self.url, self.timeout_s, self.access = url, timeout_s, access or Access()
        self._topology = topology_of(url, self.access, timeout_s)
        # Grows whenever a server fails: what answers next may have lost the newest of its data.
        self.interruptions = 0
        self._clients = Clients(self.access, timeout_s)
        self._links = Links(self.access, timeout_s)
        self._is_stale = False  # a server is not what it was: connect anew, by name

    @property
    def is_cluster(self) -> bool:
        """Whether different shards may lie on different servers."""
        return self._topology.is_split

    @property
    def together(self) -> Sequence[Sequence[int]]:
        """Return all shards, in groups that one command can be about."""
        every = range(keys.SHARDS)
        return [(shard,) for shard in every] if self._topology.is_split else [every]

    async def command(self, *args: Arg) -> Any:
        """Run one command, whose first argument is its key.

        Raises `StreamUnavailable` or `StreamRefused`.
        """
        return await self._execute(_key_of(args), args)

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
        pipeline = self._clients.of(await self._locate(_key_of((b"", key)))).pipeline(
            transaction=False
        )
        for command in commands:
            pipeline.execute_command(*command)
        try:
            results = await pipeline.execute(raise_on_error=False)
        except _ERRORS as error:
            raise self._explained(error) from error
        for result in results[may_fail:]:
            if isinstance(result, Exception):
                raise self._explained(result)

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
        """Run one blocking command on a connection of its own, given up after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._execute(key, args, blocking=True)
        except TimeoutError as error:
            self._interrupted()
            raise StreamUnavailable(f"no answer within {timeout_s} s") from error

    async def listen(self, channel: str) -> AsyncIterator[bytes | None]:
        """Yield what is published to `channel`; None first, once all of it is heard.

        Raises `StreamUnavailable` or `StreamRefused`, within seconds also when the connection has
        died without a word; what is published meanwhile is not heard.
        """
        client = self._clients.of(await self._locate(channel), blocking=True)
        try:
            async with client.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                while True:
                    said = await self._hear(pubsub)
                    if said["type"] in ("subscribe", "message"):
                        yield said["data"] if said["type"] == "message" else None
        except _ERRORS as error:
            if isinstance(error, TimeoutError | exceptions.TimeoutError):
                self._interrupted()
            raise self._explained(error) from error

    async def _hear(self, pubsub: PubSub) -> dict[str, Any]:
        """Return what comes next; where nothing does, ask whether the other side is there."""
        async with asyncio.timeout(_QUIET_S + 2 * self.timeout_s):
            if (said := await pubsub.get_message(timeout=_QUIET_S)) is None:
                await pubsub.ping()
                said = await pubsub.get_message(timeout=self.timeout_s)
        if said is None:
            raise TimeoutError(f"no answer within {self.timeout_s} s")
        found: dict[str, Any] = said
        return found

    async def run(self, name: str, names: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run a script on the keys `names` by digest; load it first where it is not known.

        Raises `StreamUnavailable` (the outcome is then unknown) or `StreamRefused`.
        """
        lua = script(name)
        try:
            return await self._execute(names[0], ("EVALSHA", lua.sha, len(names), *names, *args))
        except StreamRefused as error:
            if not str(error).startswith(("NOSCRIPT", "No matching script")):
                raise
            return await self._execute(names[0], ("EVAL", lua.source, len(names), *names, *args))

    async def run_many(self, calls: Sequence[Call]) -> list[Any | Failure]:
        """Run scripts (name, keys, args) in one round trip; each has a result or an error of
        its own, in the same order.

        Raises `StreamUnavailable` when the connection fails: all outcomes are then unknown. Where
        there are several servers, that is an error of the calls of that server.
        """
        if not self._topology.is_split:
            return await self._run_on(await self._locate(""), calls)
        places: dict[str, list[int]] = {}
        for at, (_, names, _) in enumerate(calls):
            places.setdefault(await self._locate(names[0]), []).append(at)
        answered = await asyncio.gather(
            *(self._run_some(server, [calls[at] for at in some]) for server, some in places.items())
        )
        results: list[Any] = [None] * len(calls)
        for some, answers in zip(places.values(), answered, strict=True):
            for at, answer in zip(some, answers, strict=True):
                results[at] = answer
        return results

    async def _run_some(self, server: str, calls: Sequence[Call]) -> list[Any | Failure]:
        try:
            return await self._run_on(server, calls)
        except StreamUnavailable as failure:
            return [failure] * len(calls)

    async def _run_on(self, server: str, calls: Sequence[Call]) -> list[Any | Failure]:
        packed = [
            pack("EVALSHA", script(name).sha, len(names), *names, *args)
            for name, names, args in calls
        ]
        try:
            results = await self._links.exchange(server, packed)
        except StreamUnavailable as failure:
            cause = failure.__cause__
            raise self._explained(cause if isinstance(cause, Exception) else failure) from failure
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
        except (StreamUnavailable, StreamRefused, Fenced) as failure:
            return failure

    async def _execute(self, key: str, args: Sequence[Arg], *, blocking: bool = False) -> Any:
        server, asking = await self._locate(key), False
        for _ in range(_MOST_HOPS):
            try:
                client = self._clients.of(server, blocking=blocking)
                if asking:
                    return await _asking(client, args)
                # Empty options: redis-py must not reshape any reply.
                return await client.execute_command(*args, NEVER_DECODE=False)  # type: ignore[no-untyped-call]
            except _ERRORS as error:
                found = redirection(error)
                named = found and self._topology.elsewhere(found, server)
                if found is None or named is None:
                    raise self._explained(error) from error
                server, asking = named, found.once
                if not found.once:
                    self._topology.moved(key, named)
        raise StreamUnavailable("the servers of the Cluster send us in circles")

    async def _ask(self, server: str, args: Sequence[Arg]) -> Any:
        try:
            return await self._clients.of(server).execute_command(*args, NEVER_DECODE=False)  # type: ignore[no-untyped-call]
        except _ERRORS as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> Failure:
        if is_deposed(error):
            self._interrupted()
            # A connection that failed is made anew by itself; one that works is not.
            self._is_stale |= not self._topology.is_asked and not isinstance(error, GONE)
        if self._topology.is_split and redirection(error) is not None:
            self._topology.doubt()
            return StreamUnavailable(f"its slot has moved: {error}")
        return explain(error)

    def _interrupted(self) -> None:
        self.interruptions += 1
        self._topology.doubt()

    async def _locate(self, key: str) -> str:
        if self._is_stale:
            self._is_stale = False
            await self._disconnect()
        server = self._topology.known(key)
        if server is None:
            server = await self._topology.locate(key)
            await self._clients.keep(self._topology.servers())
            await self._links.keep(self._topology.servers())
        return server

    async def _disconnect(self) -> None:
        await self._clients.close()
        await self._links.close()

    async def close(self) -> None:
        await self._disconnect()
        await self._topology.close()


async def _asking(client: aioredis.Redis, args: Sequence[Arg]) -> Any:
    """Run a command where its key is about to be; only this once."""
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("ASKING")
    pipeline.execute_command(*args)
    result = (await pipeline.execute(raise_on_error=False))[1]
    if isinstance(result, Exception):
        raise result  # as the server told it: execute() would wrap its text
    return result


def _key_of(args: Sequence[Arg]) -> str:
    key = args[1] if len(args) > 1 else ""
    return key.decode(errors="surrogateescape") if isinstance(key, bytes) else str(key)
