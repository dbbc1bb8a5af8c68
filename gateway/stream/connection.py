"""The connection to Redis or Valkey: commands, scripts, blocking reads.

Every failure becomes one of two exceptions: `StreamUnavailable` (wait and come again) or
`StreamRefused` (waiting will not help). The client's own retries are off: redis-py would repeat
a command whose outcome is unknown up to ten times; here the caller decides, because only the
caller knows what repeating means.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import redis.asyncio as aioredis
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.errors import Fenced, StreamRefused, StreamUnavailable
from gateway.options import RedisOptions
from gateway.stream.scripts import Script, script

Arg = bytes | str | int | float
Failure = StreamUnavailable | StreamRefused | Fenced

# Error replies that pass by themselves: loading, full, demoted, failing over.
_PASSING = (
    "LOADING", "OOM", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "MISCONF", "BUSY",
    "NOREPLICAS", "UNBLOCKED",
)  # fmt: skip
_GONE = (exceptions.ConnectionError, exceptions.TimeoutError, OSError, TimeoutError)


def explain(error: Exception) -> Failure:
    """Say whose turn it is after `error`: wait (`StreamUnavailable`) or give up.

    A script that finds its lease taken by somebody else answers `Fenced`.
    """
    text = str(error) or type(error).__name__
    if text.startswith("FENCED"):
        return Fenced(text)
    passing = (exceptions.ReadOnlyError, exceptions.OutOfMemoryError, exceptions.ClusterDownError)
    if isinstance(error, (*_GONE, *passing)) or text.startswith(_PASSING):
        return StreamUnavailable(text)
    return StreamRefused(text)


def tls_arguments(options: RedisOptions) -> dict[str, Any]:
    """Return what redis-py needs beside the URL to speak TLS; nothing unless it is rediss://."""
    files = {
        "ssl_ca_certs": options.ca,
        "ssl_certfile": options.client_cert,
        "ssl_keyfile": options.client_key,
    }
    if not options.url.startswith("rediss:"):
        return {}
    return {name: str(file) for name, file in files.items() if file is not None}


class Engine:
    """Redis, seen from the gateway. Safe to share between tasks of one loop."""

    def __init__(
        self, url: str, *, timeout_s: float = 5.0, tls: Mapping[str, Any] | None = None
    ) -> None:
        """`tls`: what `tls_arguments` returned."""
        self.url = url
        self._tls = tls or {}
        self.timeout_s = timeout_s
        self._client = self._new_client(timeout_s)
        # A blocking read outlives any reply time-out; its deadline is the caller's.
        self._blocking = self._new_client(None)

    def _new_client(self, timeout_s: float | None) -> aioredis.Redis:
        return aioredis.Redis.from_url(
            self.url,
            protocol=2,  # raw lists, the same shape from every engine
            socket_timeout=timeout_s,
            socket_connect_timeout=self.timeout_s,
            retry=Retry(NoBackoff(), 0),
            max_connections=64,
            **self._tls,
        )

    async def command(self, *args: Arg) -> Any:
        """Run one command. Raises `StreamUnavailable` or `StreamRefused`."""
        return await self._execute(self._client, args)

    async def blocking(self, *args: Arg, timeout_s: float) -> Any:
        """Run one blocking command on a connection of its own, given up after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._execute(self._blocking, args)
        except TimeoutError as error:
            raise StreamUnavailable(f"no answer within {timeout_s} s") from error

    async def listen(self, channel: str) -> AsyncIterator[bytes | None]:
        """Yield what is published to `channel`; None first, once all of it is heard.

        Raises `StreamUnavailable` or `StreamRefused`; what is published meanwhile is not heard.
        """
        try:
            async with self._blocking.pubsub() as pubsub:
                await pubsub.subscribe(channel)
                async for said in pubsub.listen():
                    yield said["data"] if said["type"] == "message" else None
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise explain(error) from error

    async def run(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """Run a script by digest; load it first where the engine does not know it.

        Raises `StreamUnavailable` (the outcome is then unknown) or `StreamRefused`.
        """
        lua = script(name)
        try:
            return await self._execute(self._client, ("EVALSHA", lua.sha, len(keys), *keys, *args))
        except StreamRefused as error:
            if not str(error).startswith(("NOSCRIPT", "No matching script")):
                raise
            return await self._load_and_run(lua, keys, args)

    async def run_many(
        self, calls: Sequence[tuple[str, Sequence[str], Sequence[Arg]]]
    ) -> list[Any | Failure]:
        """Run scripts (name, keys, args) in one round trip; each has a result or an error of
        its own, in the same order.

        Raises `StreamUnavailable` when the connection fails: all outcomes are then unknown.
        """
        pipeline = self._client.pipeline(transaction=False)
        for name, names, args in calls:
            pipeline.execute_command("EVALSHA", script(name).sha, len(names), *names, *args)
        try:
            results = await pipeline.execute(raise_on_error=False)
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise explain(error) from error
        return [
            await self._outcome(call, result) if isinstance(result, Exception) else result
            for call, result in zip(calls, results, strict=True)
        ]

    async def _outcome(
        self, call: tuple[str, Sequence[str], Sequence[Arg]], error: Exception
    ) -> Any | Failure:
        if not isinstance(error, exceptions.NoScriptError):
            return explain(error)
        try:
            return await self._load_and_run(script(call[0]), call[1], call[2])
        except (StreamUnavailable, StreamRefused, Fenced) as failure:
            return failure

    async def _load_and_run(self, lua: Script, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        return await self._execute(self._client, ("EVAL", lua.source, len(keys), *keys, *args))

    async def _execute(self, client: aioredis.Redis, args: Sequence[Arg]) -> Any:
        try:
            # Empty options: redis-py must not reshape any reply.
            return await client.execute_command(*args, NEVER_DECODE=False)  # type: ignore[no-untyped-call]
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise explain(error) from error

    async def close(self) -> None:
        await self._client.aclose()
        await self._blocking.aclose()
