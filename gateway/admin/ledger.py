"""The whole ledger: the journal's side and the streams' side, compared.

    accepted = in the journal + published + refused as duplicate + not events

The journal counts the left one and what it still holds, the scripts in Redis count the others.
Nothing stops the traffic for a look, so the two sides are read a moment apart: a difference
counts only when both stood still, or when no moment between the two looks explains it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from gateway.stream.connection import Engine
from gateway.stream.ledger import read_ledger

# A difference may be an answer of Redis that is on its way back: look again, later each time.
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.01, 0.16
Side = Mapping[str, Any]


async def compose(engine: Engine, intake_side: Callable[[], Side]) -> dict[str, Any]:
    """Return the ledger, ready for JSON; `intake_side` gives at least accepted and in_journal.

    Raises `StreamUnavailable` when Redis is away.
    """
    ledger = await _look(engine, intake_side)
    pause_s = _FIRST_PAUSE_S
    while not ledger["balanced"] and pause_s <= _LAST_PAUSE_S:
        await asyncio.sleep(pause_s)
        pause_s *= 2
        ledger = await _look(engine, intake_side)
    return ledger


async def _look(engine: Engine, intake_side: Callable[[], Side]) -> dict[str, Any]:
    before = dict(intake_side())
    streams = await read_ledger(engine)
    return _composed(before, streams, dict(intake_side()))


def _composed(before: Side, streams: Mapping[str, Any], after: Side) -> dict[str, Any]:
    # The earlier look at the journal: whatever it had left by then is in the accounts.
    overall = {
        **before,
        **totals(streams),
        "balance": _balance(before, sum(totals(streams).values()), after),
    }
    subscribers = streams["subscribers"]
    balanced = not overall["balance"] and all_balance(subscribers)
    return {"overall": overall, "subscribers": subscribers, "balanced": balanced}


def totals(streams: Mapping[str, Any]) -> dict[str, int]:
    """Return what became of all that left the journal, from what `read_ledger` returned."""
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

    Standing still, what the journal no longer holds must have arrived. In motion, whatever had
    left it before must have arrived, and nothing can have that was not accepted since.
    """
    if before == after:
        return int(after["accepted"] - after["in_journal"] - left)
    missing = before["accepted"] - before["in_journal"] - left
    return int(max(missing, 0) or min(after["accepted"] - left, 0))
