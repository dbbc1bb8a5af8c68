"""How fast something comes, all processes together: one key for each of what is bounded.

A key lives as long as its burst takes to come back, seconds; then it says nothing any more.
"""

from gateway.engine.engine import Engine
from gateway.store import keys
from gateway.store.scripts import script

_US_PER_S = 1_000_000


class RateStore:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def take(self, name: str, key: tuple[str, str], *, per_s: int, burst: int) -> float:
        """Count one more; return 0, or for how many seconds it has to wait: then it is not counted.

        Raises `EngineUnavailable` or `EngineRefused`.
        """
        each_us = max(1, _US_PER_S // per_s)
        wait_us = await self._engine.run(
            script("rate"), [keys.rate(name, *key)], [each_us, each_us * burst]
        )
        return int(wait_us) / _US_PER_S
