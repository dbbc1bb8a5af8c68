"""A parcel: an event on its way with its history, as parked deliveries and dead letters keep it.

It carries its own body, so neither a retry nor a dead letter holds the stream back. Packed as a
MessagePack array: a new field goes to the end, with a default, and old records stay readable.
"""

import msgspec


class Parcel(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event and what was tried with it. Times are Unix milliseconds."""

    meta: bytes  # as in the stream: `gateway.event.Meta`
    body: bytes
    attempts: int = 0
    first_attempt_ms: int = 0
    reason: str = ""
    status: int | None = None
    detail: str = ""
    snippet: str = ""  # the start of the last answer's body
    buried_ms: int = 0  # 0: parked, not buried
    late: bool = False  # out of its call's order: it was parked or revived
    slow_attempts: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Parcel).decode


def pack(parcel: Parcel) -> bytes:
    """Return `parcel` as Redis keeps it."""
    return _encode(parcel)


def unpack(packed: bytes) -> Parcel:
    """Undo `pack`. Raises `msgspec.MsgspecError` for anything else."""
    return _decode(packed)
