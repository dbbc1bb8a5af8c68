"""The intake: all webhooks of one event-loop tick become one journal write, then their answers.

The ack mode says only *when* the 200 is given: `journal` when the kernel has the record, `redis`
when the streams have it too, or, while Redis is away, when the disk has it; `replicated` when so
many replicas have it, and never otherwise. Whatever fails, every reply is resolved, within the
deadline, and never with a 4xx: the fault is ours.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from gateway import native
from gateway.errors import JournalFailed, JournalFull, JournalTaken
from gateway.event import Event
from gateway.ingest import answers
from gateway.ingest.answers import Answer, Reply
from gateway.ingest.socket_reader import LONGEST_REST_S, SocketReader
from gateway.journal.journal import Journal, gathering
from gateway.metrics import Metrics
from gateway.options import AckMode
from gateway.store.publishing.publisher import Publisher

_log = logging.getLogger("gateway.ingest")
# Stream gives an attempt 6 s: what cannot be acked by then is better refused while it listens.
ACK_DEADLINE_S = 4.5
# Replicas that do not have it by now are away: say so while Stream may still try twice.
REPLICAS_DEADLINE_S = 2.0


class _Held(NamedTuple):
    """Replies that wait until everything before `end` is safe."""

    end: int
    replies: list[Reply]
    read_ats: list[float]
    expires_at: float


class AwaitedReply:
    """The `Reply` of an event that did not come over the fast path: somebody awaits `answered`.

    Made when the event is whole.
    """

    __slots__ = ("answered", "read_at")

    def __init__(self) -> None:
        self.read_at = time.perf_counter()
        self.answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def resolve(self, answer: Answer) -> None:
        if not self.answered.done():
            self.answered.set_result(answer)


class Intake:
    """Takes accepted events from the listeners. One per worker."""

    def __init__(
        self, journal: Journal, publisher: Publisher, ack: AckMode, metrics: Metrics
    ) -> None:
        self._journal, self._publisher, self._metrics = journal, publisher, metrics
        self._acks_at_once, self._wants_replicas = ack == "journal", ack == "replicated"
        self._loop = asyncio.get_running_loop()
        # What this tick has brought: always the same three, which `native` fills too.
        self.events = gathering()
        self.replies: list[Reply] = []
        self.read_ats: list[float] = []
        self._held: deque[_Held] = deque()
        journal.on_synced(self._release)
        journal.await_syncs(is_awaited=False)
        publisher.when("progress", self._release)
        self.socket_reader: SocketReader | None = None
        if native.sockets is not None:
            self.socket_reader = SocketReader(
                native.sockets(), flush=self._flush, may_rest=self._may_rest
            )
        publisher.when("reading", self.socket_reader.take if self.socket_reader else self._flush)

    def submit(self, event: Event, reply: Reply) -> None:
        """Take `event`; `reply` is resolved later in this tick, or when it is safe."""
        if not self.events:
            self.begin()
        self.events.append(event)
        self.replies.append(reply)
        # Kept here: by the time a held reply is resolved, its connection may have read more.
        self.read_ats.append(reply.read_at)

    def begin(self) -> None:
        """Arrange for the end of a tick whose first event is about to be taken."""
        if self.socket_reader is not None and self.socket_reader.is_reading:
            return
        if self._may_rest():  # the publisher comes for it as soon as it can; one write for them all
            self._loop.call_later(LONGEST_REST_S, self._flush)
        else:
            self._loop.call_soon(self._flush)

    def _may_rest(self) -> bool:
        return not self._acks_at_once and self._publisher.is_busy

    @property
    def pending(self) -> int:
        """Replies that are still owed."""
        return len(self.replies) + sum(len(held.replies) for held in self._held)

    def _flush(self) -> None:
        if not self.events:
            return  # the publisher was first
        events, replies, read_ats = self.events.take(), self.replies[:], self.read_ats[:]
        self.replies.clear()
        self.read_ats.clear()
        if not (self._acks_at_once or self._publisher.is_up):
            self._journal.await_syncs(is_awaited=True)
        try:
            end = self._journal.append(events)
        except JournalFull:
            _resolve(replies, answers.JOURNAL_FULL)
        except JournalTaken:
            _resolve(replies, answers.UNAVAILABLE)
        except JournalFailed:
            self._bypass(events.events(), replies, read_ats)
        except Exception:  # a defect of ours must not leave anybody without an answer
            _log.exception("events were not journaled")
            _resolve(replies, answers.INTERNAL)
        else:
            self._metrics.accepted.add(by=len(events))
            if self._acks_at_once:
                self._ack(replies, read_ats)
            else:
                patience_s = REPLICAS_DEADLINE_S if self._wants_replicas else ACK_DEADLINE_S
                expires_at = time.perf_counter() + patience_s
                self._held.append(_Held(end, replies, read_ats, expires_at))
            self._publisher.wake()

    def _bypass(self, events: list[Event], replies: list[Reply], read_ats: list[float]) -> None:
        """Ack through Redis what the disk refused."""

        def done(is_published: bool) -> None:  # noqa: FBT001
            if is_published:
                self._metrics.accepted.add(by=len(events))
                self._ack(replies, read_ats)
            else:
                _resolve(replies, answers.UNAVAILABLE)

        self._publisher.publish_unjournaled(events, done)

    def _release(self) -> None:
        """Ack whatever has become safe: published, or on disk while Redis is away; replicated."""
        self._journal.await_syncs(is_awaited=bool(self._held) and not self._publisher.is_up)
        safe = self._publisher.cursor
        if self._wants_replicas:
            safe = self._publisher.replicated
        elif not self._publisher.is_up:
            safe = max(safe, self._journal.synced)
        while self._held and self._held[0].end <= safe:
            held = self._held.popleft()
            self._ack(held.replies, held.read_ats)

    def expire(self) -> None:
        """Refuse what has waited too long; the listener's timer calls this."""
        now = time.perf_counter()
        while self._held and self._held[0].expires_at <= now:
            _resolve(self._held.popleft().replies, answers.UNAVAILABLE)

    def _ack(self, replies: list[Reply], read_ats: list[float]) -> None:
        if native.answer is not None:
            native.answer(replies, answers.STORED)
        else:
            _resolve(replies, answers.STORED)
        now = time.perf_counter()
        self._metrics.ack_seconds.observe_since(read_ats, now)


def _resolve(replies: Sequence[Reply], answer: Answer) -> None:
    for reply in replies:
        reply.resolve(answer)
