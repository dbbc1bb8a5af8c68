"""What an engine still holds for somebody: all that would be missed if it were left behind."""

from typing import NamedTuple

from gateway.stream import keys
from gateway.stream.connection import Engine
from gateway.stream.dead_letters import DeadLetters
from gateway.stream.ledger import read_account
from gateway.stream.subscriptions import Subscriptions


class Holdings(NamedTuple):
    """Deliveries, over all subscribers; `buried`: dead letters, those of the gateway included."""

    waiting: int
    parked: int
    buried: int

    def __str__(self) -> str:
        letters = "dead letter" if self.buried == 1 else "dead letters"
        return f"{self.waiting} waiting, {self.parked} parked, {self.buried} {letters}"


async def read_holdings(engine: Engine) -> Holdings:
    """Count them. Raises `StreamUnavailable` or `StreamRefused`."""
    names = await Subscriptions(engine).read()
    accounts = [await read_account(engine, name) for name in names]
    letters = DeadLetters(engine)
    return Holdings(
        waiting=sum(account.unread + account.in_flight for account in accounts),
        parked=sum(account.parked for account in accounts),
        buried=sum([await letters.count(name) for name in (*names, keys.GATEWAY)]),
    )
