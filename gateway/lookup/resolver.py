"""The addresses of a name: asked for anew each time, and the last known ones while nobody tells.

Of one name there is one lookup at a time. It is shared by all who ask meanwhile, and outlives
them: a name server that takes longer than anybody waits has still been heard. Names do not hold
each other up (`threads`). A number is no name, and is never looked up.

What was answered before (`known`) is used after a moment's patience, when a lookup hangs; and
nearly at once while the name is in trouble: its last lookup has hung, or failed for the moment. The
lookup goes on beside, so that the trouble ends by itself.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from aiohappyeyeballs import AddrInfoType

from gateway.lookup.known import KnownAddresses, LookupBounds
from gateway.lookup.threads import ThreadTurns
from gateway.lookup.trouble import Trouble, is_gone

PATIENCE_S = 0.5
_IN_TROUBLE_S = 0.05  # enough for a server that is well again
TELL_AFTER_S = 3.0
_MOST_NAMES = 1024


class LookupTask(NamedTuple):
    host: str
    family: int
    flags: int


Look = Callable[[LookupTask], Sequence[AddrInfoType]]
_Lookup = asyncio.Future[Sequence[AddrInfoType]]


def _ask_system(asked: LookupTask) -> Sequence[Any]:
    return socket.getaddrinfo(
        asked.host, 0, family=asked.family, type=socket.SOCK_STREAM, flags=asked.flags
    )


class _Name:
    def __init__(self, asked: LookupTask, bounds: LookupBounds) -> None:
        self.asked = asked
        self.known, self.trouble = KnownAddresses(bounds), Trouble(asked.host)
        self.lookup: _Lookup | None = None
        self.began_at = 0.0
        self.alarms: tuple[asyncio.TimerHandle, ...] = ()


class Resolver:
    """Looks names up for one event loop. `look` blocks; it is called in threads."""

    def __init__(
        self,
        look: Look = _ask_system,
        *,
        patience_s: float = PATIENCE_S,
        tell_after_s: float = TELL_AFTER_S,
        bounds: LookupBounds | None = None,
        turns: ThreadTurns | None = None,
    ) -> None:
        self._look, self._patience_s, self._tell_after_s = look, patience_s, tell_after_s
        self._bounds, self._turns = bounds or LookupBounds(), turns or ThreadTurns("lookup")
        self._names: dict[LookupTask, _Name] = {}

    async def addresses(
        self,
        host: str,
        port: int,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = 0,
        max_age_s: float = 0.0,
    ) -> list[AddrInfoType]:
        """Return where `host` is, for connections of TCP, as `getaddrinfo` would.

        Waits for as long as it takes where nothing is known: the caller's time is limited. An
        answer younger than `max_age_s` is not asked for again. Raises `OSError` (mostly
        `socket.gaierror`), and `UnicodeError` for what is no name.
        """
        asked = LookupTask(host, family, flags)
        name = self._names.get(asked)
        if name is None:
            if (numeric := _numeric(asked, port)) is not None:
                return numeric
            name = self._new(asked)
        return [_with_port(one, port) for one in await self._found(name, max_age_s)]

    def _new(self, asked: LookupTask) -> _Name:
        if len(self._names) >= _MOST_NAMES:  # no configuration has so many
            idle = next((one for one, name in self._names.items() if name.lookup is None), None)
            if idle is not None:
                del self._names[idle]
                self._turns.forget(idle)
        name = self._names[asked] = _Name(asked, self._bounds)
        return name

    async def _found(self, name: _Name, max_age_s: float) -> Sequence[AddrInfoType]:
        known, now = name.known, _now()
        if known.is_younger(max_age_s, now):
            return known.addresses
        lookup = name.lookup or self._begin(name, now)
        wait_s = None
        if known.is_usable(now):
            patience_s = _IN_TROUBLE_S if name.trouble.is_on else self._patience_s
            wait_s = name.began_at + patience_s - now
        await asyncio.wait((lookup,), timeout=wait_s)  # which leaves it alone if we give up
        if not lookup.done():
            return known.addresses
        error = lookup.exception()
        if error is None:
            return lookup.result()
        if known.is_usable(_now()):
            return known.addresses
        raise type(error)(*error.args)  # one of its own for each who waits

    def _begin(self, name: _Name, now: float) -> _Lookup:
        loop = asyncio.get_running_loop()
        name.began_at = now
        name.alarms = (
            loop.call_later(self._patience_s, name.trouble.begin, now),
            loop.call_later(self._tell_after_s, self._tell, name, "no answer yet"),
        )
        name.lookup = self._turns.run(name.asked, partial(self._look, name.asked))
        # The first to be called: whoever waits finds what was learnt.
        name.lookup.add_done_callback(partial(self._ended, name))
        return name.lookup

    def _ended(self, name: _Name, lookup: _Lookup) -> None:
        now, name.lookup = _now(), None
        for alarm in name.alarms:
            alarm.cancel()
        error = lookup.exception()
        if error is None:
            name.known.answered(lookup.result(), now)
        elif is_gone(error):
            name.known.gone(now)
        else:
            name.trouble.begin(name.began_at)
        if error is not None and (name.trouble.is_on or name.known.is_usable(now)):
            self._tell(name, _why(error))
        if now - name.began_at < self._patience_s and (error is None or is_gone(error)):
            name.trouble.end(now, is_answered=error is None)

    def _tell(self, name: _Name, why: str) -> None:
        now = _now()
        name.trouble.tell(why, now, has_known=name.known.is_usable(now))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _with_port(info: AddrInfoType, port: int) -> AddrInfoType:
    *kind, address = info
    return (*kind, (address[0], port, *address[2:]))  # type: ignore[return-value]  # either family


def text_of(info: AddrInfoType) -> str:
    """Return an address in numbers, with its scope if it has one."""
    address: tuple[Any, ...] = info[4]
    scope = address[3] if len(address) == 4 else 0
    return f"{address[0]}%{scope}" if scope else str(address[0])


def _numeric(asked: LookupTask, port: int) -> list[Any] | None:
    """Return the address that the host is, in whichever notation; None for a name."""
    flags = asked.flags | socket.AI_NUMERICHOST
    try:
        return socket.getaddrinfo(
            asked.host, port, family=asked.family, type=socket.SOCK_STREAM, flags=flags
        )
    except socket.gaierror:
        return None


_resolvers: WeakKeyDictionary[asyncio.AbstractEventLoop, Resolver] = WeakKeyDictionary()


def resolver() -> Resolver:
    """Return the one of the running loop."""
    loop = asyncio.get_running_loop()
    found = _resolvers.get(loop)
    if found is None:
        found = _resolvers[loop] = Resolver()
    return found
