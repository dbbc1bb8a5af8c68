"""The whole ledger: the journals' side and the streams' side, compared.

    accepted = in the journals + published + refused as duplicate + not events

The journals count the left one and what they still hold, the scripts in Redis count the others.
Nothing stops the traffic for a look, so the two sides are read a moment apart: a difference
counts only when both stood still, or when no moment between the two looks explains it.

A journal that nobody has open (its worker died a moment ago) or that has not yet heard from
Redis tells only what it accepted: what it holds is then that less what the streams took of it.
Of journals elsewhere (another replica's, one that is gone) there is the streams' word alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.engine.engine import Engine
from gateway.store.upkeep.ledger import JournalAccount, read_ledger

# A difference may be an answer of Redis that is on its way back: look again, later each time.
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.01, 0.16


@dataclass(frozen=True, slots=True)
class JournalSide:
    """One journal: `written` records ever, `waiting` of them not published, None: not known."""

    id: str
    written: int
    waiting: int | None


@dataclass(frozen=True, slots=True)
class Side:
    """All journals here together; what they wrote is without `damaged` and `forgotten`."""

    accepted: int = 0
    in_journal: int = 0
    damaged: int = 0
    outlived: int = 0
    forgotten: int = 0


Look = Callable[[], Awaitable[Sequence[JournalSide]]]


async def compose(engine: Engine, look: Look) -> dict[str, Any]:
    """Return the ledger, ready for JSON; `look` tells of every journal of this gateway.

    Raises `EngineUnavailable` when Redis is away.
    """
    ledger = await _composed(engine, look)
    pause_s = _FIRST_PAUSE_S
    while not ledger["balanced"] and pause_s <= _LAST_PAUSE_S:
        await asyncio.sleep(pause_s)
        pause_s *= 2
        ledger = await _composed(engine, look)
    return ledger


async def _composed(engine: Engine, look: Look) -> dict[str, Any]:
    first = await look()
    streams = await read_ledger(engine)
    accounts: dict[str, JournalAccount] = streams["journals"]
    before, after = _side(first, accounts), _side(await look(), accounts)
    ours = {one.id for one in first}
    elsewhere = sum(account.count for name, account in accounts.items() if name not in ours)
    left = sum(totals(streams).values()) - elsewhere
    overall = {
        # The earlier look at the journals: whatever they had left by then is in the accounts.
        **asdict(before),
        "accepted": before.accepted + elsewhere,
        **totals(streams),
        "balance": _balance(before, left, after),
    }
    subscribers = streams["subscribers"]
    balanced = not overall["balance"] and all_balance(subscribers)
    return {"overall": overall, "subscribers": subscribers, "balanced": balanced}


def _side(journals: Sequence[JournalSide], accounts: Mapping[str, JournalAccount]) -> Side:
    accepted = in_journal = damaged = outlived = forgotten = 0
    for one in journals:
        account = accounts.get(one.id, JournalAccount())
        took = one.written - account.damaged + account.outlived - account.forgotten
        accepted += took
        in_journal += took - account.count if one.waiting is None else one.waiting
        damaged += account.damaged
        outlived += account.outlived + account.before
        forgotten += account.forgotten
    return Side(accepted, in_journal, damaged, outlived, forgotten)


def totals(streams: Mapping[str, Any]) -> dict[str, int]:
    """Return what became of all that left the journals, from what `read_ledger` returned."""
    return {
        "published": streams["published"],
        "duplicates": streams["duplicates"],
        "not_events": streams["unfit"],
    }


def all_balance(subscribers: Mapping[str, Any]) -> bool:
    """Whether every subscriber's account adds up."""
    return all(account["balance"] == 0 for account in subscribers.values())


def _balance(before: Side, left: int, after: Side) -> int:
    """Return what is missing (positive) or counted twice (negative); `left` was read between.

    Standing still, what the journals no longer hold must have arrived. In motion, whatever had
    left them before must have arrived, and nothing can have that was not accepted since.
    """
    if before == after:
        return after.accepted - after.in_journal - left
    missing = before.accepted - before.in_journal - left
    return max(missing, 0) or min(after.accepted - left, 0)
