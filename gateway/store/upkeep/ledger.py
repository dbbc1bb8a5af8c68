"""The ledger: per subscriber, everything published since it started is somewhere.

    published = unmatched + delivered + waiting + buried + discarded

The two sides are counted by different scripts at different times, the left one when an event is
published, the right one when it is read and settled; `balance` is their difference. What was
published before a subscriber started is not for it, and shown. Each shard is read in one moment
and costs the same however much waits.
"""

from collections import defaultdict
from typing import Any

import msgspec

from gateway.engine.engine import Engine
from gateway.store import keys
from gateway.store.scripts import ScriptCall, call_together
from gateway.store.taking.subscriptions import Subscriptions


class Account(msgspec.Struct):
    """One subscriber. `published` counts from where it started."""

    before_start: int = 0  # published before that, and so not for it
    published: int = 0
    repeats: int = 0  # read anew because a group had been destroyed behind our back
    unmatched: int = 0
    delivered: int = 0
    unread: int = 0
    in_flight: int = 0
    parked: int = 0
    buried: int = 0
    discarded: int = 0
    expired: int = 0  # of the buried: no longer kept

    @property
    def waiting(self) -> int:
        return self.unread + self.in_flight + self.parked

    @property
    def balance(self) -> int:
        """What is missing (positive) or counted twice (negative): 0, unless there is a bug."""
        settled = self.unmatched + self.delivered + self.buried + self.discarded
        return self.published + self.repeats - settled - self.waiting

    def add(self, row: list[int]) -> None:
        """Add one shard's numbers, as `ledger.lua` returns them."""
        published, start, taken, in_flight, parked, *counted = row
        if start >= 0:
            self.before_start += start
            self.published += published - start
            self.unread += published - taken
            self.in_flight += in_flight
            self.parked += parked
        unmatched, delivered, buried, discarded, repeats, expired = counted
        self.unmatched += unmatched
        self.delivered += delivered
        self.buried += buried
        self.discarded += discarded
        self.repeats += repeats
        self.expired += expired


def _ledger(shard: int, name: str) -> ScriptCall[list[int]]:
    names = (
        keys.events(shard),
        keys.shard_state(shard),
        keys.subscription(shard, name),
        keys.due(shard, name),
    )
    return ScriptCall("ledger", names, (name,), list)


async def read_account(engine: Engine, name: str) -> Account:
    """Return one subscriber's account. Raises `EngineUnavailable`."""
    account = Account()
    calls = [_ledger(shard, name) for shard in range(keys.SHARDS)]
    for row in await call_together(engine, calls):
        if isinstance(row, Exception):
            raise row
        account.add(row)
    return account


class JournalAccount(msgspec.Struct):
    """What the streams say of one journal; its name is empty for events that were in none."""

    count: int = 0  # events taken from it
    damaged: int = 0  # records lost to damage
    outlived: int = 0  # records lost after they had been published, less those `before`
    before: int = 0  # records that were published under another name
    forgotten: int = 0  # events that the streams had and lost, and the journal holds no more


async def read_ledger(engine: Engine) -> dict[str, Any]:
    """Return the whole ledger, ready for JSON. Raises `EngineUnavailable`."""
    subscribers = {
        name: _shown(await read_account(engine, name))
        for name in sorted(await Subscriptions(engine).read())
    }
    totals = {"published": 0, "duplicates": 0, "unfit": 0, "trimmed": 0}
    journals: defaultdict[str, JournalAccount] = defaultdict(JournalAccount)
    for shard in range(keys.SHARDS):
        flat = await engine.command("HGETALL", keys.shard_state(shard))
        for name, value in zip(flat[::2], flat[1::2], strict=True):
            field, _, journal = name.decode().partition(":")
            if field in totals:
                totals[field] += int(value)
            elif field in JournalAccount.__struct_fields__:
                account = journals[journal]
                setattr(account, field, getattr(account, field) + int(value))
    return {**totals, "subscribers": subscribers, "journals": dict(journals)}


def _shown(account: Account) -> dict[str, Any]:
    return {
        "before_start": account.before_start,
        "published": account.published,
        "repeats": account.repeats,
        "unmatched": account.unmatched,
        "delivered": account.delivered,
        "waiting": {
            "unread": account.unread,
            "in_flight": account.in_flight,
            "parked": account.parked,
        },
        "buried": account.buried,
        "discarded": account.discarded,
        "expired": account.expired,
        "balance": account.balance,
    }
