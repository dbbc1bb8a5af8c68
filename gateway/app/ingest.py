"""The part that takes events: the journal, what is appended to it, and who publishes it."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from aiohttp import web

from gateway.admin.ledger import JournalSide
from gateway.app.part import Shared
from gateway.clock import now_ms
from gateway.event import MADE_HERE, Event
from gateway.ingest.intake import AwaitedReply, Intake
from gateway.ingest.signature import Verifier
from gateway.journal.journal import Journal
from gateway.logs import log
from gateway.readiness import TAKEN
from gateway.sources.run import Sources
from gateway.store.publishing.publisher import Publisher
from gateway.store.taking.holders import Holder

_log = logging.getLogger("gateway.journal")
_LOOK_S = 0.4
_PUBLISH_REST_S = 5.0
_LONGEST_PUBLISH_S = 2.0


class IngestPart:
    """Takes into the first of `journals`, which whoever opened them closes.

    The others are of workers that there are no longer: what they hold is published, no more.
    """

    def __init__(
        self,
        shared: Shared,
        journals: Sequence[Journal],
        holder: Holder,
        *,
        with_sources: bool = True,
    ) -> None:
        """`holder` bears the name of the first journal, and changes with it."""
        self._shared = shared
        self._journals = journals
        self._publishers = [_publisher(shared, journal) for journal in journals]
        self.journal, self.publisher = journals[0], self._publishers[0]
        self.intake = Intake(self.journal, self.publisher, shared.config.ingest.ack, shared.metrics)
        # Set by whoever knows that every subscriber has its groups: one that starts from now is
        # to miss nothing that is published, so nothing is published before.
        self.may_publish = asyncio.Event()
        # Set by whoever knows that the engine may be written to: whose the journals are is settled
        # then, and who we are in leases (`owned`).
        self.may_own, self.owned = asyncio.Event(), asyncio.Event()
        self._holder = holder
        self.publisher.when("owned", self._become_owner)
        self._with_sources = with_sources
        self._sources: Sources | None = None
        self._verifier = Verifier(shared.config.apps)
        self._apps = {app.api_key: app for app in shared.config.apps}
        metrics = shared.metrics
        metrics.journal_waiting.track(read=self._waiting_at_most)
        metrics.journal_bytes.track(read=lambda: sum(one.size_bytes for one in journals))

    def add_routes(self, routes: web.Application) -> None:
        """Take what sources post to the public port."""
        if not self._with_sources:
            return
        self._sources = Sources(
            self._shared.config, intake=self.intake, metrics=self._shared.metrics, routes=routes
        )

    async def store(self, app: str, kind: str, call_cid: str, body: bytes) -> bool:
        """Take an event that was made here; tell whether it is as safe as a 200 says."""
        key = self._verifier.event_key(self._apps[app], body)
        waiting = AwaitedReply()
        self.intake.submit(
            Event(
                app=app,
                type=kind,
                call_cid=call_cid,
                accepted_ms=now_ms(),
                key=key,
                body=body,
                source=MADE_HERE,
            ),
            waiting,
        )
        return (await waiting.answered).status == HTTPStatus.OK

    def loops(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        running = {
            "publisher"
            if number == 0
            else f"publisher of what is left over {number}": self._publish(publisher)
            for number, publisher in enumerate(self._publishers)
        }
        if self._sources is not None:
            running["sources"] = self._sources.run()
        running["folders"] = self._watch_folders()
        return running

    async def _publish(self, publisher: Publisher) -> None:
        await self.may_own.wait()
        await publisher.own()
        await self.may_publish.wait()
        await publisher.run()

    def _become_owner(self) -> None:
        self._holder.become(self.journal.id, self.journal.ownership.tokens)
        self.owned.set()

    async def _watch_folders(self) -> None:
        """Notice another hand in a journal's folder, on a volume whose locks do not tell."""
        kept = list(self._journals)
        while True:
            for journal in [one for one in kept if not one.look()]:
                kept.remove(journal)
                log(_log, logging.ERROR, TAKEN, folder=str(journal.folder))
            await asyncio.sleep(_LOOK_S)

    async def take_no_more(self, timeout_s: float) -> None:
        # Before the listener, whose timer still ends the waiting for acknowledgements.
        if self._sources is not None:
            await self._sources.drain(timeout_s)

    async def finish(self, timeout_s: float) -> None:
        """Publish what is left; what cannot be stays in the journal."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(timeout_s, _PUBLISH_REST_S)):
                while self.publisher.is_up and self.publisher.waiting:  # noqa: ASYNC110  # two
                    await asyncio.sleep(0.01)

    async def close(self) -> None:
        if self._sources is not None:
            await self._sources.close()

    def _waiting_at_most(self) -> int:
        return sum(one.waiting_at_most for one in self._publishers)

    def left(self) -> int | str:
        """Return how many events are in the journals and not published, or why nobody knows."""
        most = self._waiting_at_most()
        is_known = all(one.waiting is not None for one in self._publishers)
        return most if is_known else f"unknown, at most {most}: Redis has not answered"

    def sides(self) -> list[JournalSide]:
        """Return what each journal here has written, and what of it waits."""
        return [
            JournalSide(journal.id, journal.next_number - 1, publisher.waiting)
            for journal, publisher in zip(self._journals, self._publishers, strict=True)
        ]


def _publisher(shared: Shared, journal: Journal) -> Publisher:
    config = shared.config
    return Publisher(
        shared.engine.url,
        journal,
        shared.metrics,
        window_s=config.ingest.dedupe_window_s,
        # An ack may wait for it: never longer than Stream waits for us.
        timeout_s=min(config.redis.timeout_s, _LONGEST_PUBLISH_S),
        # Bigger batches are cheaper, unless every ack waits for its batch.
        linger_s=0.001 if config.ingest.ack == "journal" else 0,
        access=shared.engine.access,
        replicas=config.ingest.replicas,
        restore=shared.restorer.restore,
    )
