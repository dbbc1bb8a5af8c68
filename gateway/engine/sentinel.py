"""The master of a Sentinel set: the Sentinels are asked in turn, the first that knows is believed.

A Sentinel that was cut off may name a master that is none any more. That one takes no writes, or
loses them: the first is told by its answers, the second is healed by position.
"""

from typing import Any

from gateway.engine.access import EngineAccess
from gateway.engine.redis_py import ask
from gateway.engine.topology import AskedServers
from gateway.engine.url import EngineUrl, HostPort, at
from gateway.errors import EngineUnavailable

_PATIENCE_S = 1.0  # with one Sentinel, while others may know


class SentinelSet(AskedServers):
    """`place.name`: what the Sentinels call the master."""

    def __init__(self, place: EngineUrl, access: EngineAccess, timeout_s: float) -> None:
        super().__init__(place, access, min(timeout_s, _PATIENCE_S))
        self._sentinels = list(place.seeds)
        self._master: str | None = None

    def known(self, key: str) -> str | None:  # noqa: ARG002
        return self._master if self._is_sure else None

    def servers(self) -> frozenset[str]:
        return frozenset(() if self._master is None else (self._master,))

    async def ask(self) -> None:
        problems: list[str] = []
        for sentinel in tuple(self._sentinels):
            found = await self._ask_one(sentinel, problems)
            if found is not None:
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)  # whom to ask first next time
                self._master = self._place.server(*found)
                return
        why = "; ".join(problems)
        raise EngineUnavailable(f"no Sentinel has a master called {self._place.name} now: {why}")

    async def _ask_one(self, sentinel: HostPort, problems: list[str]) -> HostPort | None:
        try:
            reply = await ask(
                self._place.sentinel(*sentinel),
                ("SENTINEL", "MASTERS"),
                access=self._access,
                timeout_s=self._timeout_s,
                **self._access.sentinel,
            )
        except OSError as error:
            problems.append(f"{at(*sentinel)}: {str(error) or type(error).__name__}")
            return None
        found = _master_in(reply, self._place.name)
        if isinstance(found, str):
            problems.append(f"{at(*sentinel)}: {found}")
            return None
        return found


def _master_in(reply: Any, name: str) -> HostPort | str:
    """Return where the master is, or what the Sentinel says instead."""
    states = [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in reply]
    for state in states:
        if state[b"name"] == name.encode():
            flags = state[b"flags"].split(b",")
            if b"master" in flags and not {b"s_down", b"o_down", b"disconnected"} & set(flags):
                return state[b"ip"].decode(), int(state[b"port"])
            return f"it is {state[b'flags'].decode()}"
    known = ", ".join(state[b"name"].decode(errors="replace") for state in states)
    return f"knows {known or 'no master'}"
