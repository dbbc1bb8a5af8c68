"""Which dead letters a command means: by subscriber, id and reason. Reads only."""

from collections.abc import AsyncIterator, Sequence

from gateway.engine.engine import Engine
from gateway.errors import GatewayError
from gateway.store import keys
from gateway.store.taking.dead_letters import DeadLetter, DeadLetterPlace, DeadLetters
from gateway.store.taking.subscriptions import Subscriptions

_PAGE = 200


async def names(engine: Engine) -> list[str]:
    """Return whoever may have dead letters, the gateway itself last."""
    return [*sorted(await Subscriptions(engine).read()), keys.GATEWAY]


async def check_name(engine: Engine, name: str) -> None:
    """Raise `GatewayError`, naming those that there are, when there is no such subscriber."""
    known = await names(engine)
    if name not in known:
        raise GatewayError(f"no subscriber {name} here, there are: {', '.join(known)}")


async def matching(engine: Engine, name: str, reason: str | None) -> AsyncIterator[DeadLetter]:
    """Yield the letters buried for `reason`, or all, oldest first."""
    found = DeadLetters(engine)
    after: DeadLetterPlace | None = None
    while places := await found.places(name, limit=_PAGE, after=after):
        for place in places:
            letter = await found.get(name, place.id, at=place)
            if letter is not None and reason in {None, letter.parcel.reason}:
                yield letter
        after = places[-1]


async def get(engine: Engine, name: str, ids: Sequence[str]) -> list[DeadLetter]:
    """Return these letters. Raises `GatewayError` when one is missing, naming some that exist."""
    found = {one: await DeadLetters(engine).get(name, one) for one in dict.fromkeys(ids)}
    if missing := [one for one, letter in found.items() if letter is None]:
        known = [place.id for place in await DeadLetters(engine).places(name, limit=5)]
        raise GatewayError(
            f"{name} has no dead letter {', '.join(missing)};"
            f" the oldest it has: {', '.join(known) or 'none'}"
        )
    return [letter for letter in found.values() if letter is not None]


async def choose(
    engine: Engine, name: str, ids: Sequence[str], reason: str | None
) -> list[str] | None:
    """Return the ids to move, None for all that there are. Raises like `get`."""
    if ids:
        found = await get(engine, name, ids)
        return [one.place.id for one in found if reason in {None, one.parcel.reason}]
    if reason is None:
        return None
    return [letter.place.id async for letter in matching(engine, name, reason)]
