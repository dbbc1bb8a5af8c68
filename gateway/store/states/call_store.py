"""The state of calls, in Redis: a document of our own for each (app, call_cid).

What is stored is what /video answers: JSON with RFC 3339 times, so that an answer is put together
from bytes. It lies in two pieces, because `settings` and the like are most of it, seldom change,
and are of no use to a query. All of a call is in its shard's slot, and changes in one step:
whoever writes says which version it has read, and if that is no longer the last one reads again.

Reads take turns: however many requests ask at once, so many connections are busy at most.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.clock import now_ms
from gateway.engine.engine import Engine
from gateway.engine.resp import Arg
from gateway.store import keys
from gateway.store.scripts import ScriptCall, call, script
from gateway.store.states.call_documents import (
    CallDocument,
    Draft,
    Id,
    User,
    Whole,
    arguments,
    deletion,
    read_deletion,
    read_document,
    read_more,
    read_user,
)

MAX_USERS_READ = 1000  # of one call in one answer
_AT_ONCE = 16
_SWEEP, _SWEEP_BESIDE = 200, 20  # calls forgotten in one step
_NO_BOUND = 1 << 53
_DELETED_KEPT_MS, _MOST_DELETED = 7 * 86_400_000, 5000  # names of a shard
_Read = Callable[[int, list[bytes]], Awaitable[list[bytes | None]]]


class CallStore:
    """Everything raises `EngineUnavailable` or `EngineRefused`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def get(self, app: str, cid: str) -> bytes | None:
        """Return JSON of the call's state as /video answers it, None for an unknown call."""
        whole = await self.read(app, cid)
        if whole is None:
            return None
        members = b",".join(whole.members(MAX_USERS_READ))
        return b'{"call":' + whole.call + b',"members":[' + members + b"]}"

    async def names(self, app: str, cid: str, user_id: str) -> bool:
        """Tell whether the call names this user, as one who may watch it."""
        found = await self.users_of(app, [cid], user_id)
        return found[0] is not None and found[0].may_watch

    async def read(self, app: str, cid: str) -> Whole | None:
        key = keys.call_key(app, cid)
        names = keys.call_states(keys.shard_of(key))[:2]
        async with self._turns:
            reply = await self._engine.run(script("read_call"), names, (key, MAX_USERS_READ))
        if not reply:
            return None
        users = zip(reply[2][::2], reply[2][1::2], strict=True)
        return Whole(
            read_document(reply[0]),
            read_more(reply[1]),
            {name.decode(): read_user(value) for name, value in users},
        )

    async def documents(self, app: str, cids: Sequence[str]) -> list[CallDocument | None]:
        """Return the states of `cids`, in their order."""
        found = await self._each(app, cids, self._read_documents)
        return [None if value is None else read_document(value) for value in found]

    async def users_of(self, app: str, cids: Sequence[str], user_id: str) -> list[User | None]:
        """Return how each of `cids` names a user, in their order; None: it does not."""

        async def read(shard: int, calls: list[bytes]) -> list[bytes | None]:
            async with self._turns:
                found: list[bytes | None] = await self._engine.run(
                    script("read_users"), keys.call_states(shard)[:1], (user_id, *calls)
                )
            return found

        found = await self._each(app, cids, read)
        return [None if value is None else read_user(value) for value in found]

    async def documents_at(self, shard: int, calls: Sequence[bytes]) -> list[CallDocument | None]:
        """Return the states of calls of one shard, by their keys."""
        found = await self._read_documents(shard, list(calls))
        return [None if value is None else read_document(value) for value in found]

    async def put(self, draft: Draft) -> bool:
        """Write a state; False: it is not any more what the draft has read."""
        async with self._turns:
            return await call(self._engine, put_call(draft))

    async def note_deleted(self, app: str, cid: str, event: Id) -> None:
        """Keep which event has deleted a call, for as long as history may be asked for."""
        call = keys.call_key(app, cid)
        name = keys.calls_deleted(keys.shard_of(call))
        await self._command("ZADD", name, deletion(event), call)
        oldest = deletion((now_ms() - _DELETED_KEPT_MS, 0))
        await self._command("ZREMRANGEBYSCORE", name, "-inf", oldest)
        await self._command("ZREMRANGEBYRANK", name, 0, -_MOST_DELETED - 1)

    async def deletions(self, app: str, cids: Sequence[str]) -> list[Id]:
        """Return for each call behind which event it begins: the last that deleted its name."""

        async def read(shard: int, calls: list[bytes]) -> list[bytes | None]:
            found: list[bytes | None] = await self._command(
                "ZMSCORE", keys.calls_deleted(shard), *calls
            )
            return found

        return [read_deletion(score) for score in await self._each(app, cids, read)]

    async def drop(self, app: str, cid: str) -> None:
        """Forget a call."""
        async with self._turns:
            await call(self._engine, drop_call(app, cid))

    async def sweep(self, *, oldest_ms: int, max_calls: int, max_bytes: int) -> int:
        """Forget calls that are too old, and of too many the longest untouched; say how many."""
        total = 0
        for shard in range(keys.SHARDS):
            sweep = _sweep_call(shard, oldest_ms, max_calls, max_bytes, _SWEEP)
            total += await _all_of(self._engine, sweep)
        return total

    async def sweep_beside(self, app: str, cid: str, *, max_calls: int, max_bytes: int) -> None:
        """Forget a few of the longest untouched that share a call's shard, if it holds too much."""
        shard = keys.shard_of(keys.call_key(app, cid))
        async with self._turns:
            await call(self._engine, _sweep_call(shard, 0, max_calls, max_bytes, _SWEEP_BESIDE))

    async def naming(self, app: str, user_id: str) -> set[str]:
        """Return the calls that name a user, in whatever way."""
        found = await asyncio.gather(
            *(
                self._command("SMEMBERS", keys.calls_naming(shard, app, user_id))
                for shard in range(keys.SHARDS)
            )
        )
        return {cid.decode() for part in found for cid in part}

    async def newest(
        self, app: str, shard: int, *, start: int, count: int, oldest_first: bool = False
    ) -> list[tuple[str, int]]:
        """Return calls of one shard and when they were created, Unix ms, by that time."""
        order = () if oldest_first else ("REV",)
        flat = await self._command(
            "ZRANGE", keys.calls_of(shard, app), start, start + count - 1, *order, "WITHSCORES"
        )
        return [
            (cid.decode(), int(float(at))) for cid, at in zip(flat[::2], flat[1::2], strict=True)
        ]

    async def _read_documents(self, shard: int, calls: list[bytes]) -> list[bytes | None]:
        found: list[bytes | None] = await self._command("HMGET", keys.call_states(shard)[0], *calls)
        return found

    async def _each(self, app: str, cids: Sequence[str], read: _Read) -> list[bytes | None]:
        """Have `read` return what it has for the calls of each shard; return it in order."""
        shards: dict[int, dict[str, bytes]] = {}
        for cid in cids:
            key = keys.call_key(app, cid)
            shards.setdefault(keys.shard_of(key), {})[cid] = key
        values: dict[str, bytes | None] = {}
        replies = await asyncio.gather(
            *(read(shard, list(calls.values())) for shard, calls in shards.items())
        )
        for calls, reply in zip(shards.values(), replies, strict=True):
            values.update(zip(calls, reply, strict=True))
        return [values[cid] for cid in cids]

    async def _command(self, *args: Arg) -> Any:
        async with self._turns:
            return await self._engine.command(*args)


def _sweep_call(
    shard: int, oldest_ms: int, max_calls: int, max_bytes: int, most: int
) -> ScriptCall[int]:
    """Bounds are of all shards together."""
    bounds = (oldest_ms, max_calls // keys.SHARDS, max_bytes // keys.SHARDS, most)
    return ScriptCall("drop_calls", keys.call_states(shard), bounds, int)


async def forget_beyond(engine: Engine, shard: int, max_bytes: int) -> int:
    """Forget the longest untouched calls of a shard whose states are more than that; say how many.

    Raises `EngineUnavailable` or `EngineRefused`.
    """
    bounds = (0, _NO_BOUND, max_bytes, _SWEEP)
    sweep = ScriptCall("drop_calls", keys.call_states(shard), bounds, int)
    return await _all_of(engine, sweep)


async def _all_of(engine: Engine, sweep: ScriptCall[int]) -> int:
    """Sweep until nothing is left that has to go; say how many went."""
    total, dropped = 0, _SWEEP
    while dropped == _SWEEP:
        dropped = await call(engine, sweep)
        total += dropped
    return total


def put_call(draft: Draft) -> ScriptCall[bool]:
    """Read as whether it was written."""
    names = keys.call_states(keys.shard_of(keys.call_key(draft.app, draft.cid)))
    return ScriptCall("put_call", names, list(arguments(draft, now_ms())), bool)


def drop_call(app: str, cid: str) -> ScriptCall[int]:
    key = keys.call_key(app, cid)
    return ScriptCall("drop_calls", keys.call_states(keys.shard_of(key)), (0, 0, 0, 0, key), int)
