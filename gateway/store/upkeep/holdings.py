"""What an engine still holds for somebody: all that would be missed if it were left behind."""

from typing import NamedTuple

from gateway.engine.engine import Engine
from gateway.store import keys
from gateway.store.taking.dead_letters import DeadLetters
from gateway.store.taking.subscriptions import Subscriptions
from gateway.store.upkeep.ledger import read_account


class Holdings(NamedTuple):
    """Deliveries, over all subscribers; `buried`: dead letters, those of the gateway included."""

    waiting: int
    parked: int
    buried: int

    def __str__(self) -> str:
        letters = "dead letter" if self.buried == 1 else "dead letters"
        return f"{self.waiting} waiting, {self.parked} parked, {self.buried} {letters}"


async def read_holdings(engine: Engine) -> Holdings:
    """Count them. Raises `EngineUnavailable` or `EngineRefused`."""
    names = await Subscriptions(engine).read()
    accounts = [await read_account(engine, name) for name in names]
    letters = DeadLetters(engine)
    return Holdings(
        waiting=sum(account.unread + account.in_flight for account in accounts),
        parked=sum(account.parked for account in accounts),
        buried=sum([await letters.count(name) for name in (*names, keys.GATEWAY)]),
    )
