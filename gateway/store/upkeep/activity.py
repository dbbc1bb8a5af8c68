"""Whether anybody still works on an engine.

Who delivers, or keeps the states of calls, renews its leases; who publishes moves the clock of its
journal on, every second, also when nothing comes. So an engine on which neither moves for a while,
and no lease of anybody dead is left, is nobody's.
"""

import asyncio
from typing import NamedTuple

from gateway.engine.engine import Engine
from gateway.errors import GatewayError
from gateway.store import keys
from gateway.store.publishing.publisher import CHECKPOINT_S
from gateway.store.taking.subscriptions import Subscriptions

# So long that nobody is taken for gone whom a busy machine keeps from running for seconds.
_LISTEN_S = 4 * CHECKPOINT_S
_POLL_S = 0.2
_POLLS = round(_LISTEN_S / _POLL_S)  # counted, as it may keep us from running as well


class _Signs(NamedTuple):
    """Of life: until when each lease is held, and how far each journal's clock is, Unix ms."""

    leases: dict[str, int]
    clocks: dict[str, int]

    def stirs(self, later: "_Signs") -> bool:
        """Whether anything has moved on between these and `later`."""
        return any(
            moment > before.get(name, 0)
            for before, after in zip(self, later, strict=True)
            for name, moment in after.items()
        )


async def wait_until_quiet(engine: Engine) -> None:
    """Return once nobody works there, and the leases of whoever died have ended.

    Raises `GatewayError` when somebody does, `EngineUnavailable` or `EngineRefused`.
    """
    names = [*await Subscriptions(engine).read(), keys.CALL_KEEPER]
    first, polls = await _signs(engine, names), 0
    while True:
        await asyncio.sleep(_POLL_S)
        later, polls = await _signs(engine, names), polls + 1
        if first.stirs(later):
            raise GatewayError("a gateway still works on the Redis to move from: stop all of them")
        seconds, _ = await engine.command("TIME")  # the leases are by this clock
        is_over = max(later.leases.values(), default=0) < int(seconds) * 1000
        if is_over and polls >= _POLLS:
            return


async def _signs(engine: Engine, names: list[str]) -> _Signs:
    leases, clocks = {}, {}
    for shard in range(keys.SHARDS):
        for name in names:
            sub = keys.subscription(shard, name)
            holder, until = await engine.command("HMGET", sub, "holder", "expires_ms")
            if holder:
                leases[sub] = int(until or 0)
        flat = await engine.command("HGETALL", keys.shard_state(shard))
        for field, value in zip(flat[::2], flat[1::2], strict=True):
            if field.startswith(b"clock:"):
                clocks[f"{shard} {field.decode()}"] = int(value)
    return _Signs(leases, clocks)
