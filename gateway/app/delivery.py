"""The part that delivers: the subscribers, and the janitor of what they leave behind."""

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from gateway.app.part import Shared
from gateway.delivery.matching import Matcher
from gateway.delivery.service import DeliveryService, Served
from gateway.options import SubscriberOptions
from gateway.store.taking.holders import Holder
from gateway.store.upkeep.retention import Janitor
from gateway.store.upkeep.yielding import Yielding
from gateway.subscribers import kinds


class DeliveryPart:
    """`holder`: this process, in leases; `yields`: no other process of this gateway makes room."""

    def __init__(self, shared: Shared, holder: Holder, *, yields: bool) -> None:
        self._served = [_served(shared, one) for one in shared.config.subscribers]
        self._service = DeliveryService(
            shared.engine,
            self._served,
            shared.metrics,
            holder=holder,
            ttl_s=shared.config.redis.lease_s,
            restorer=shared.restorer,
        )
        self._janitor = Janitor(shared.engine, shared.config.retention)
        self.yielding: Yielding | None = None
        if yields:
            self.yielding = Yielding(
                shared.engine,
                shared.config.retention,
                shared.metrics,
                is_own=shared.config.redis.url == "embedded",
            )

    @property
    def joined(self) -> asyncio.Event:
        """Set once every subscriber has its groups."""
        return self._service.joined

    def loops(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        running = {"delivery": self._service.run(), "janitor": self._janitor.run()}
        if self.yielding is not None:
            running["memory"] = self.yielding.run()
        return running

    async def take_no_more(self, timeout_s: float) -> None:
        """Go on for now: what is still published can be delivered as well."""

    async def finish(self, timeout_s: float) -> None:
        await self._service.drain(timeout_s)

    async def close(self) -> None:
        for one in self._served:
            if one.subscriber is not None:
                await one.subscriber.close()


def _served(shared: Shared, one: SubscriberOptions) -> Served:
    return Served(
        one,
        kinds.build(one, shared.config.apps) if one.enabled else None,
        Matcher(one.match, partial(shared.metrics.match_errors.add, one.name)),
    )
