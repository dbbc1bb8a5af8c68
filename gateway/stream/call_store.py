"""The state of calls, in Redis: a document of our own for each (app, call_cid).

What is stored is what /video answers: JSON with RFC 3339 times, so that an answer is put together
from bytes. It lies in two pieces, because `settings` and the like are most of it, seldom change,
and are of no use to a query. All of a call is in its shard's slot, and changes in one step:
whoever writes says which version it has read, and if that is no longer the last one reads again.

Reads take turns: however many requests ask at once, so many connections are busy at most.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from gateway.clock import now_ms
from gateway.stream import keys
from gateway.stream.calls import ScriptCall, call
from gateway.stream.connection import Arg, Engine
from gateway.stream.doorbell import NOTHING, Id, parse

MAX_USERS_READ = 1000  # of one call in one answer
_AT_ONCE = 16
_DIGEST_BYTES = 6
_SWEEP = 200  # calls forgotten in one step
_Read = Callable[[int, list[bytes]], Awaitable[list[bytes | None]]]


@dataclass(frozen=True, slots=True)
class Document:
    """A call's state as read. `applied`: the last event in it; `seen_ns`: when that was made.

    `call`: JSON of the call without what lies in `more`; `digest` stands for that.
    """

    version: int
    applied: Id
    seen_ns: int
    digest: str
    call: bytes


class Named(NamedTuple):
    """What changes of a user whom the call names. Flags: m member, c creator, b blocked."""

    user_id: str
    set: str = ""
    clear: str = ""
    member: bytes = b""  # JSON; empty: as it was


@dataclass(slots=True)
class Draft:
    """A call's next state. `more` None: as it was."""

    app: str
    cid: str
    read: Document | None
    call: bytes
    created_ms: int
    more: bytes | None = None
    users: list[Named] = field(default_factory=list)
    applied: Id = NOTHING
    seen_ns: int = 0


class User(NamedTuple):
    """A user whom a call names; `member`: JSON, empty for one that is no member."""

    flags: str
    member: bytes

    @property
    def may_watch(self) -> bool:
        return "b" not in self.flags and ("m" in self.flags or "c" in self.flags)


class Whole(NamedTuple):
    """All of a call's state. `users` by id, `MAX_USERS_READ` at most."""

    document: Document
    more: bytes
    users: dict[str, User]

    @property
    def call(self) -> bytes:
        """JSON of the whole call."""
        return _joined(self.document.call, self.more)

    def members(self, limit: int) -> list[bytes]:
        return [user.member for user in self.users.values() if user.member][:limit]


class CallStore:
    """Everything raises `StreamUnavailable` or `StreamRefused`."""

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
            reply = await self._engine.run("read_call", names, (key, MAX_USERS_READ))
        if not reply:
            return None
        users = zip(reply[2][::2], reply[2][1::2], strict=True)
        return Whole(
            _document(reply[0]),
            unpacked(reply[1]),
            {name.decode(): _user(value) for name, value in users},
        )

    async def documents(self, app: str, cids: Sequence[str]) -> list[Document | None]:
        """Return the states of `cids`, in their order."""
        found = await self._each(app, cids, self._read_documents)
        return [None if value is None else _document(value) for value in found]

    async def users_of(self, app: str, cids: Sequence[str], user_id: str) -> list[User | None]:
        """Return how each of `cids` names a user, in their order; None: it does not."""

        async def read(shard: int, calls: list[bytes]) -> list[bytes | None]:
            async with self._turns:
                found: list[bytes | None] = await self._engine.run(
                    "read_users", keys.call_states(shard)[:1], (user_id, *calls)
                )
            return found

        found = await self._each(app, cids, read)
        return [None if value is None else _user(value) for value in found]

    async def put(self, draft: Draft) -> bool:
        """Write a state; False: it is not any more what the draft has read."""
        async with self._turns:
            return await call(self._engine, put_call(draft))

    async def drop(self, app: str, cid: str) -> None:
        """Forget a call."""
        async with self._turns:
            await call(self._engine, drop_call(app, cid))

    async def sweep(self, *, oldest_ms: int, max_calls: int, max_bytes: int) -> int:
        """Forget calls that are too old, and of too many the longest untouched; say how many."""
        total = 0
        bounds = (oldest_ms, max_calls // keys.SHARDS, max_bytes // keys.SHARDS, _SWEEP)
        for shard in range(keys.SHARDS):
            dropped = _SWEEP
            while dropped == _SWEEP:
                one = ScriptCall("drop_calls", keys.call_states(shard), bounds, int)
                dropped = await call(self._engine, one)
                total += dropped
        return total

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
            (cid.decode(), int(float(at)))
            for cid, at in zip(flat[::2], flat[1::2], strict=True)
        ]  # fmt: skip

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


def put_call(draft: Draft) -> ScriptCall[bool]:
    """Read as whether it was written."""
    read = draft.read
    digest = _digest(draft.more) if draft.more is not None else read.digest if read else "-"
    more = b""
    if draft.more is not None and (read is None or digest != read.digest):
        more = zlib.compress(draft.more, 1)
    version = read.version if read else 0
    line = f"{version + 1} {draft.applied[0]}-{draft.applied[1]} {draft.seen_ns} {digest}\n"
    args: list[Arg] = [
        draft.app, draft.cid, version, line.encode() + draft.call, more, now_ms(),
        draft.created_ms,
    ]  # fmt: skip
    for user in draft.users:
        args += user
    names = keys.call_states(keys.shard_of(keys.call_key(draft.app, draft.cid)))
    return ScriptCall("put_call", names, args, bool)


def drop_call(app: str, cid: str) -> ScriptCall[int]:
    key = keys.call_key(app, cid)
    names = keys.call_states(keys.shard_of(key))
    return ScriptCall("drop_calls", names, (0, 0, 0, 0, key), int)


def unpacked(more: bytes) -> bytes:
    return zlib.decompress(more) if more else b"{}"


def _document(value: bytes) -> Document:
    line, _, content = value.partition(b"\n")
    version, applied, seen_ns, digest = line.split(b" ")
    return Document(int(version), parse(applied), int(seen_ns), digest.decode(), content)


def _user(value: bytes) -> User:
    flags, _, member = value.partition(b" ")
    return User(flags.decode(), member)


def _joined(one: bytes, other: bytes) -> bytes:
    """Return one JSON object with the fields of two."""
    if other == b"{}":
        return one
    return other if one == b"{}" else one[:-1] + b"," + other[1:]


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()
