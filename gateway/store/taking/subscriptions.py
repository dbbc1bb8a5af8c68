"""The subscribers that Redis knows, and whether each is active, paused or being forgotten.

Written by commands, read by every worker about once a second: a pause needs no restart and
reaches all replicas. A subscriber stays known after it has left the configuration, with all
that waits for it, until it is forgotten on command.
"""

from typing import Literal

import msgspec

from gateway.clock import now_ms
from gateway.engine.engine import Engine
from gateway.store import keys
from gateway.store.scripts import ScriptCall, call_together, script

State = Literal["active", "paused", "forgetting"]


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """`since_ms`: Unix ms at which it came into this state; `new`: nobody has said so by command,
    it was made known by whoever started with it.
    """

    state: State
    since_ms: int
    new: bool = False


_decode = msgspec.json.Decoder(Subscription).decode


class Subscriptions:
    """The register in `gw:subscribers`. Everything raises `EngineUnavailable`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def read(self) -> dict[str, Subscription]:
        """Return all known subscribers by name."""
        flat = await self._engine.command("HGETALL", keys.SUBSCRIBERS)
        return {
            name.decode(): _decode(value) for name, value in zip(flat[::2], flat[1::2], strict=True)
        }

    async def register(self, name: str) -> bool:
        """Make `name` known, active if it is new; return whether it was new.

        Only once it has its groups, so that whoever finds it here knows that they were made.
        """
        if await self._engine.command("HEXISTS", keys.SUBSCRIBERS, name):
            return False
        return await self.put_back(name, Subscription("active", now_ms(), new=True))

    async def put_back(self, name: str, was: Subscription) -> bool:
        """Make `name` known again as it `was`, if it is not known; return whether it was not."""
        value = msgspec.json.encode(was)
        return bool(
            await self._engine.run(script("make_known"), (keys.SUBSCRIBERS,), (name, value))
        )

    async def pause(self, name: str) -> bool:
        """Let nothing more go out to `name`, but bound its backlog; False: there is no such."""
        return await self._set(name, "paused")

    async def resume(self, name: str) -> bool:
        """Go on where `pause` stopped; False: there is no such subscriber."""
        return await self._set(name, "active")

    async def forget(self, name: str) -> bool:
        """Delete `name` with all that waits for it, is parked or buried. Safe to repeat.

        Returns False if there is no such subscriber.
        """
        if not await self._set(name, "forgetting"):  # so that no worker takes it up meanwhile
            return False
        for result in await call_together(
            self._engine, [_forget(shard, name) for shard in range(keys.SHARDS)]
        ):
            if isinstance(result, Exception):
                raise result
        return bool(await self._engine.command("HDEL", keys.SUBSCRIBERS, name))

    async def _set(self, name: str, state: State) -> bool:
        value = msgspec.json.encode(Subscription(state, now_ms()))
        return bool(await self._engine.run(script("set_state"), (keys.SUBSCRIBERS,), (name, value)))


def _forget(shard: int, name: str) -> ScriptCall[int]:
    names = (
        keys.events(shard),
        keys.subscription(shard, name),
        keys.due(shard, name),
        keys.parked(shard, name),
        keys.dead(shard, name),
        keys.dead_at(shard, name),
    )
    return ScriptCall("forget", names, (name,), int)
