"""Every key in Redis: its name, type, and what it is for. Pure.

All keys of a shard carry one hash tag, so what must be atomic lives in one Cluster slot. The
number of shards is part of the stored format: it never changes under a running installation,
so that outgrowing the embedded engine moves data and changes nothing else.

| key                      | type   | holds                                                        |
|--------------------------|--------|--------------------------------------------------------------|
| gw:format                | string | format version and number of shards                          |
| gw:moving_to, _from      | string | marks of a move to another engine, here or from there        |
| gw:subscribers           | hash   | name -> JSON {state, since_ms, new}; state active or paused  |
| gw:holders               | zset   | who delivers, and to whom -> Unix ms until which it is true  |
| gw:ticket:<digest>       | string | whom a ticket of the plain feed stands for; lives seconds    |
| gw:rate:<bound>:<user>   | string | Unix us up to which what a user, a call or an app makes is   |
|                          |        | paid for; lives as long as a burst takes to come back        |
| gw:{N}:events            | stream | the events of shard N; fields below                          |
| gw:{N}:shard             | hash   | life, epoch, published, duplicates, unfit, bytes, trimmed;   |
|                          |        | for a journal pos:<name>, owner:<name>, clock:, alive:,      |
|                          |        | hands:, count:, damaged:, outlived:, forgotten:, before:; of |
|                          |        | these last five the sums over names that have left, as if    |
|                          |        | theirs were `gone`; left, when the last of them did, Unix    |
|                          |        | ms; for a slice length low:<ms>, slice:<ms> (oldest, newest  |
|                          |        | index)                                                       |
| gw:{N}:seen:<ms>:<index> | set    | digests of events accepted in that slice of time             |
| gw:{N}:sub:<name>        | hash   | token, holder, expires_ms, start_seq, taken_seq, taken_bytes,|
|                          |        | taken_id, floor_id, delivered, unmatched, buried, discarded, |
|                          |        | expired, repeats, parked_bytes, dead_bytes                   |
| gw:{N}:due:<name>        | zset   | id -> Unix ms at which a parked delivery is due again        |
| gw:{N}:parked:<name>     | hash   | id -> the parked delivery, body included                     |
| gw:{N}:dead:<name>       | hash   | id -> the dead letter, body included                         |
| gw:{N}:dead_at:<name>    | zset   | id -> Unix ms at which it was buried                         |
| gw:{N}:calls             | hash   | <call> -> a line of bookkeeping, then JSON of its state      |
| gw:{N}:calls_more        | hash   | <call> -> packed JSON: what of its state seldom changes      |
| gw:{N}:calls_at          | zset   | <call> -> Unix ms at which its state last changed            |
| gw:{N}:calls_of:<app>    | zset   | call_cid -> Unix ms at which the call was created            |
| gw:{N}:calls_deleted     | zset   | <call> -> the event that deleted it, of late (`deletion`)    |
| gw:{N}:calls_size        | string | bytes of all states, users included                          |
| gw:{N}:users:<call>      | hash   | user -> flags (m member, c creator, b blocked, h named by a  |
|                          |        | call that was made here alone), JSON                         |
| gw:{N}:named:<user>      | set    | call_cid of the calls that name this user                    |

A <call> is app, a zero byte, call_cid: what its shard is computed from. A <user> likewise.

An entry of the stream has four fields: `n` its number in the shard, contiguous from 1; `o` the
bytes published to the shard before it; `m` its meta (`gateway.event.Meta`); `b` its body. So
counts and bytes between any two entries are one subtraction.
"""

from collections.abc import Sequence
from typing import Final
from zlib import crc32

# Measured (bench/micro/shards.py): see there before you touch it, and FORMAT_VERSION with it.
SHARDS = 8
FORMAT_VERSION = 1

FORMAT = "gw:format"
SUBSCRIBERS = "gw:subscribers"
MOVING_TO: Final = "gw:moving_to"
MOVING_FROM: Final = "gw:moving_from"
HOLDERS = "gw:holders"

# Dead letters of the gateway itself: signed bodies that are no event. No subscriber may take
# this name.
GATEWAY = "gateway"

# Where the keeper of call states stands: lease and place, in fields as a subscriber has them, but
# no group. No subscriber's name has a colon in it.
CALL_KEEPER = "gateway:calls"


def shard_of(order_key: bytes) -> int:
    """Return the shard of a call, or of an event that belongs to none."""
    return shard_at(crc32(order_key))


def shard_at(order_hash: int) -> int:
    """Return the same from `Event.order_hash`."""
    return order_hash % SHARDS


def events(shard: int) -> str:
    return f"gw:{{{shard}}}:events"


EVENTS: Final = tuple(map(events, range(SHARDS)))  # where a shard is, all of it is


def together(*, is_split: bool) -> Sequence[Sequence[int]]:
    """Return all shards, in groups that one command can be about; `is_split`: over servers."""
    every = range(SHARDS)
    return [(shard,) for shard in every] if is_split else [every]


def shard_state(shard: int) -> str:
    return f"gw:{{{shard}}}:shard"


def seen(shard: int, slice_ms: int, index: int) -> str:
    return f"gw:{{{shard}}}:seen:{slice_ms}:{index}"


def subscription(shard: int, name: str) -> str:
    return f"gw:{{{shard}}}:sub:{name}"


def due(shard: int, name: str) -> str:
    return f"gw:{{{shard}}}:due:{name}"


def parked(shard: int, name: str) -> str:
    return f"gw:{{{shard}}}:parked:{name}"


def dead(shard: int, name: str) -> str:
    return f"gw:{{{shard}}}:dead:{name}"


def dead_at(shard: int, name: str) -> str:
    return f"gw:{{{shard}}}:dead_at:{name}"


def call_key(app: str, cid: str) -> bytes:
    """Return what a call is named by below, and sharded by (`Event.order_key`)."""
    return f"{app}\0{cid}".encode()


def call_states(shard: int) -> tuple[str, str, str, str]:
    """Return the keys that scripts about call states are given, in their order."""
    base = f"gw:{{{shard}}}:calls"
    return base, f"{base}_more", f"{base}_at", f"{base}_size"


def calls_deleted(shard: int) -> str:
    return f"gw:{{{shard}}}:calls_deleted"


def calls_of(shard: int, app: str) -> str:
    return f"gw:{{{shard}}}:calls_of:{app}"


def call_users(shard: int, call: bytes) -> bytes:
    return f"gw:{{{shard}}}:users:".encode() + call


def calls_naming(shard: int, app: str, user_id: str) -> str:
    return f"gw:{{{shard}}}:named:{app}\0{user_id}"


def ticket(digest: str) -> str:
    return f"gw:ticket:{digest}"


def rate(name: str, app: str, of: str) -> str:
    """Return the key for how fast something comes: what is bounded, and of whom."""
    return f"gw:rate:{name}:{app}\0{of}"


def mailbox(process: str) -> str:
    """Return the channel on which a process hears others."""
    return f"gw:process:{process}"
