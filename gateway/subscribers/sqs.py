"""Kind `sqs`: attempts that are made at the same time travel as one SendMessageBatch.

An attempt joins whatever leaves next: at once when a sender is free, else with the others that
came meanwhile. So batches fill under load, and an event alone waits for nothing. Each entry has
an outcome of its own. A request that is refused as a whole, because of one entry for all we
know, is sent again entry by entry, and only the guilty one is rejected.
"""

import asyncio
from collections import deque
from typing import Any, cast

from gateway.aws.credentials import NoCredentials
from gateway.aws.sqs_client import SqsClient, SqsRefused, SqsUnreachable
from gateway.subscribers.contract import Attempt
from gateway.subscribers.outcome import Delivered, Failed, Outcome, Reason
from gateway.subscribers.sqs_messages import Format, Unsendable, entry, failure
from gateway.tasks import end

MAX_ENTRIES = 10
# Of several together. SQS takes 1 MiB by now, others that speak its protocol may not.
MAX_BATCH_BYTES = 256 << 10


def senders_for(concurrency: int) -> int:
    """Return how many requests may be under way, so that batches are full under load."""
    return max(1, concurrency // MAX_ENTRIES)


class _Waiting:
    """One attempt that has not left, or whose answer is not here."""

    __slots__ = ("deadline", "entry", "outcome", "size")

    def __init__(self, made: dict[str, Any], size: int, timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self.entry, self.size = made, size
        self.deadline = loop.time() + timeout_s
        self.outcome: asyncio.Future[Outcome] = loop.create_future()

    def resolve(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class SqsSubscriber:
    """One queue. Make it inside the running loop; it owns `client`."""

    def __init__(self, client: SqsClient, *, body_format: Format, senders: int) -> None:
        self._client, self._format, self._most = client, body_format, senders
        self._fifo = client.queue.is_fifo
        self._waiting: deque[_Waiting] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def attempt(self, attempt: Attempt) -> Outcome:
        """Send the event once; every failure of the outside is a Failed."""
        try:
            made, size = entry(attempt, self._format, fifo=self._fifo)
        except Unsendable as why:
            return Failed(Reason.REJECTED, detail=str(why))
        waiting = _Waiting(made, size, attempt.timeout_s)
        self._waiting.append(waiting)
        self._schedule()
        try:
            async with asyncio.timeout(attempt.timeout_s):
                return await waiting.outcome
        except TimeoutError:
            return Failed(Reason.TIMEOUT, detail=f"no answer within {attempt.timeout_s:g} s")

    async def close(self) -> None:
        """Drop the connections; attempts still in flight fail."""
        await end(self._senders)
        while self._waiting:
            self._waiting.popleft().resolve(Failed(Reason.NETWORK, detail="closed"))
        await self._client.close()

    def _schedule(self) -> None:
        """Start a sender once everybody who attempts in this tick has joined."""
        if not self._scheduled and len(self._senders) < self._most:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start_senders)

    def _start_senders(self) -> None:
        self._scheduled = False
        wanted = -(-len(self._waiting) // MAX_ENTRIES)
        for _ in range(min(wanted, self._most - len(self._senders))):
            self._senders.add(asyncio.create_task(self._send_all()))

    async def _send_all(self) -> None:
        try:
            while batch := self._next_batch():
                await self._send(batch)
                await asyncio.sleep(0)  # those just answered may bring their next
        finally:
            # Not in a callback, which runs later: what joins until then would never leave.
            self._senders.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < MAX_ENTRIES:
            first = self._waiting[0]
            if batch and size + first.size > MAX_BATCH_BYTES:
                break
            self._waiting.popleft()
            if not first.outcome.done():  # its attempt may have given up
                batch.append(first)
                size += first.size
        return batch

    async def _send(self, batch: list[_Waiting]) -> None:
        """Send `batch` and resolve all of it, whatever happens."""
        try:
            refused = await self._request(batch)
        except BaseException:
            for each in batch:
                each.resolve(Failed(Reason.NETWORK, detail="the request was broken off"))
            raise
        if refused is None:
            return
        if refused.reason is Reason.REJECTED and len(batch) > 1:
            for each in batch:
                await self._send([each])
            return
        for each in batch:
            each.resolve(refused)

    async def _request(self, batch: list[_Waiting]) -> Failed | None:
        """Make one request; return what all of its entries failed of, None once resolved."""
        entries = [{"Id": str(number), **each.entry} for number, each in enumerate(batch)]
        left_s = max(each.deadline for each in batch) - asyncio.get_running_loop().time()
        try:
            answer = await self._client.ask("SendMessageBatch", max(left_s, 0.0), Entries=entries)
        except SqsRefused as refused:
            return failure(refused.code, refused.status, sender_fault=True)
        except SqsUnreachable as unreachable:
            reason = Reason.TIMEOUT if unreachable.late else Reason.NETWORK
            return Failed(reason, detail=str(unreachable))
        except NoCredentials as none:
            return Failed(Reason.UNAUTHORIZED, detail=str(none))
        return _resolve_each(batch, answer)


def _resolve_each(batch: list[_Waiting], answer: dict[str, Any]) -> Failed | None:
    """Resolve the entries that the answer names; what it does not name was not sent."""
    try:
        for sent in answer.get("Successful") or ():
            batch[int(sent["Id"])].resolve(Delivered(200))
        for failed in answer.get("Failed") or ():
            batch[int(failed["Id"])].resolve(
                failure(str(failed["Code"]), 200, sender_fault=bool(failed.get("SenderFault")))
            )
    except (KeyError, ValueError, IndexError, TypeError):
        pass
    return Failed(Reason.STATUS, detail="SQS' answer does not tell what became of it")
