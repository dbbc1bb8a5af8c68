"""What the store of call states reads and writes, and how it is written down. Pure.

A state's value is a line of bookkeeping (version, last event taken in, when its `call` was made,
digest of the rest), then JSON of the call.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

Id = tuple[int, int]  # of an entry of the stream
NOTHING: Id = (0, 0)
MEMBER, CREATOR, BLOCKED, MADE_HERE = "mcbh"  # flags of a user whom a call names
_DIGEST_BYTES = 6
_NO_DIGEST = "-"
_IN_A_MS = 1024


@dataclass(frozen=True, slots=True)
class CallDocument:
    """A call's state as read. `applied`: the last event in it; `seen_ns`: when its call was made.

    `call`: JSON of the call without what lies in `more`; `digest` stands for that.
    """

    version: int
    applied: Id
    seen_ns: int
    digest: str
    call: bytes


class Named(NamedTuple):
    """What changes of a user whom the call names, in flags."""

    user_id: str
    set: str = ""
    clear: str = ""
    member: bytes = b""  # JSON; empty: as it was


@dataclass(slots=True)
class Draft:
    """A call's next state. `more` None: as it was."""

    app: str
    cid: str
    read: CallDocument | None
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
    def is_blocked(self) -> bool:
        return BLOCKED in self.flags

    @property
    def may_watch(self) -> bool:
        return not self.is_blocked and (MEMBER in self.flags or CREATOR in self.flags)

    @property
    def is_of_call_made_here(self) -> bool:
        """Tell whether nobody but a client of ours says so."""
        return MADE_HERE in self.flags


class Whole(NamedTuple):
    """All of a call's state; `users` by id, as many as one answer may hold."""

    document: CallDocument
    more: bytes
    users: dict[str, User]

    @property
    def call(self) -> bytes:
        """JSON of the whole call."""
        one, other = self.document.call, self.more
        if other == b"{}":
            return one
        return other if one == b"{}" else one[:-1] + b"," + other[1:]

    def members(self, limit: int) -> list[bytes]:
        """JSON of members, `limit` at most."""
        return [user.member for user in self.users.values() if user.member][:limit]


def deletion(event: Id) -> int:
    """Return a deletion's id as a score, which holds 53 bits: of many in a millisecond the last."""
    return event[0] * _IN_A_MS + min(event[1], _IN_A_MS - 1)


def read_deletion(score: bytes | None) -> Id:
    """Return the id again; before all others, where there was no deletion."""
    return NOTHING if score is None else divmod(int(float(score)), _IN_A_MS)


def read_document(value: bytes) -> CallDocument:
    line, _, call = value.partition(b"\n")
    version, applied, seen_ns, digest = line.split(b" ")
    ms, _, seq = applied.partition(b"-")
    return CallDocument(int(version), (int(ms), int(seq)), int(seen_ns), digest.decode(), call)


def read_user(value: bytes) -> User:
    flags, _, member = value.partition(b" ")
    return User(flags.decode(), member)


def read_more(packed: bytes) -> bytes:
    return zlib.decompress(packed) if packed else b"{}"


def arguments(draft: Draft, now_ms: int) -> Iterator[bytes | str | int]:
    """Yield a draft as `put_call.lua` reads it."""
    read = draft.read
    version, digest = (read.version, read.digest) if read else (0, _NO_DIGEST)
    more = b""
    if draft.more is not None:
        now = blake2b(draft.more, digest_size=_DIGEST_BYTES).hexdigest()
        if now != digest:
            digest, more = now, zlib.compress(draft.more, 1)
    line = f"{version + 1} {draft.applied[0]}-{draft.applied[1]} {draft.seen_ns} {digest}\n"
    yield from (draft.app, draft.cid, version, line.encode() + draft.call, more, now_ms)
    yield draft.created_ms
    for user in draft.users:
        yield from user
