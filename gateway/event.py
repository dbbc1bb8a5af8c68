"""An event: one body that Stream signed, and the little we say about it. Pure.

The body is opaque bytes, delivered exactly as it was signed. Everything else travels beside it
as `meta`, one compact JSON array that the journal, the streams, parked retries and dead letters
all carry unchanged; its fields are, in order, those of `Meta`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, Self
from zlib import crc32

import msgspec
import orjson

KEY_BYTES = 16
MADE_HERE = "api"  # the `source` of what a client had us make, and Stream did not


class Meta(msgspec.Struct, array_like=True, gc=False):
    """What travels beside a body. New fields go to the end, with a default."""

    app: str  # API key of the app that signed it
    type: str
    call_cid: str | None  # None: an event of no call, its own unit of order
    accepted_ms: int  # Unix time, milliseconds
    key: str  # hex digest of app and body: the event's identity
    webhook_id: str = ""  # X-WEBHOOK-ID, not signed: for logs and subscribers only
    signature: str = ""  # X-SIGNATURE as received; empty if it came unsigned
    source: str = "webhook"
    unfit: str = ""  # why this signed body is no event; empty for an event
    again: bool = False  # it may have been published before, longer ago than duplicates are known


_decode_meta = msgspec.json.Decoder(Meta).decode


class Event:
    """An accepted event. `meta` is encoded once, here, and carried as bytes ever after.

    `order_hash` is the CRC-32 of `order_key`, from which the shard follows.
    """

    __slots__ = (
        "accepted_ms",
        "app",
        "body",
        "call_cid",
        "key",
        "meta",
        "order_hash",
        "type",
        "unfit",
    )

    def __init__(
        self,
        *,
        app: str,
        type: str,  # noqa: A002  # Stream's own word
        call_cid: str | None,
        accepted_ms: int,
        key: bytes,
        body: bytes,
        webhook_id: str = "",
        signature: str = "",
        source: str = "webhook",
        unfit: str = "",
    ) -> None:
        self.app = app
        self.type = type
        self.call_cid = call_cid
        self.accepted_ms = accepted_ms
        self.key = key
        self.body = body
        self.unfit = unfit
        self.order_hash = crc32(self.order_key)
        self.meta = orjson.dumps(
            [app, type, call_cid, accepted_ms, key.hex(), webhook_id, signature, source, unfit]
        )

    @classmethod
    def restored(cls, meta: bytes, body: bytes) -> "Event":
        """Return the event whose `meta` and body were stored, `meta` byte for byte.

        Raises `msgspec.MsgspecError` or `ValueError` when `meta` is nothing that we wrote.
        """
        read = _decode_meta(meta)
        event = cls.__new__(cls)
        event.app, event.type, event.call_cid = read.app, read.type, read.call_cid
        event.accepted_ms, event.unfit = read.accepted_ms, read.unfit
        event.key = bytes.fromhex(read.key)
        event.order_hash = crc32(event.order_key)
        event.meta, event.body = meta, body
        return event

    def marked_again(self) -> "Event":
        """Return it as one that may have been published before."""
        meta = _decode_meta(self.meta)
        meta.again = True
        return Event.restored(msgspec.json.encode(meta), self.body)

    @property
    def order_key(self) -> bytes:
        """What its shard is computed from: its call, or itself when it has none."""
        if self.call_cid is None:
            return self.key
        return f"{self.app}\0{self.call_cid}".encode()


class Stored(NamedTuple):
    """An event and where it stands in the journal: from `start` up to `end`, the `number`th."""

    start: int
    end: int
    number: int
    event: Event


class Stretch(Protocol):
    """Events as they stand in the journal, one behind the other.

    What is asked of its ends makes no event; an index and a loop make those that they give. All
    of these raise `ValueError` or `IndexError` where nothing stands; `len()` and a loop never do.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Stored: ...
    def __iter__(self) -> Iterator[Stored]: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def first_number(self) -> int: ...
    @property
    def last_number(self) -> int: ...
    @property
    def first_ms(self) -> int:
        """When the first was accepted: Unix time, milliseconds."""

    @property
    def last_ms(self) -> int: ...
    def part(self, begin: int, end: int, /) -> Self:
        """Return the `begin`th up to the `end`th of them."""

    def extend(self, more: Self, /) -> None:
        """Add what stands behind."""


def read_meta(meta: bytes) -> Meta:
    """Decode what `Event.meta` encoded. Raises `msgspec.MsgspecError` on anything else."""
    return _decode_meta(meta)


def describe(meta: Meta) -> dict[str, Any]:
    """Return the fields that logs and listings show of an event."""
    return {
        "app": meta.app,
        "type": meta.type,
        "call_cid": meta.call_cid,
        "event": meta.key,
        "webhook_id": meta.webhook_id,
    }
