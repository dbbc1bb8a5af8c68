"""What a source asks of its queue: for messages, for time with them, and to delete them.

Only receiving may fail for the caller. Everything else is counted and told, and left at that:
a message that could not be kept or deleted comes again, and is a duplicate then.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

from gateway.aws.credentials import NoCredentials
from gateway.aws.sqs_client import SqsClient, SqsRefused, SqsUnreachable
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.options import SqsSourceOptions

_logger = logging.getLogger(__name__)
MAX_MESSAGES = 10
REQUEST_S = 10.0  # for anything but the waiting of a long poll
DELETE_ATTEMPTS = 4
_DELETE_AGAIN_S = (0.1, 0.5, 2.0)

Message = tuple[str, str]  # its receipt handle, and its text
_FAILURES = (SqsRefused, SqsUnreachable, NoCredentials)


class ReceiveFailed(Exception):
    """No messages could be received; it has been told and counted."""


class SourceQueue:
    """The queue of the source called `name`. It owns `client`."""

    def __init__(
        self, name: str, options: SqsSourceOptions, client: SqsClient, metrics: Metrics
    ) -> None:
        self._name, self._options, self._client = name, options, client
        self._counts, self._errors = metrics.source_messages, metrics.source_errors
        for what in ("received", "deleted"):
            self._counts.values.setdefault((name, what), 0)
        self._seldom = Seldom()

    async def close(self) -> None:
        await self._client.close()

    async def receive(self) -> list[Message]:
        """Return the next messages, none if there are none within the wait.

        Raises `ReceiveFailed`.
        """
        options = self._options
        try:
            answer = await self._client.ask(
                "ReceiveMessage",
                options.wait_s + REQUEST_S,
                MaxNumberOfMessages=MAX_MESSAGES,
                WaitTimeSeconds=options.wait_s,
                VisibilityTimeout=options.visibility_timeout_s,
            )
            messages = [
                (message["ReceiptHandle"], message["Body"])
                for message in answer.get("Messages") or ()
            ]
        except (*_FAILURES, KeyError) as failure:  # an answer without what messages have
            self._failed("receive", failure)
            raise ReceiveFailed from None
        self._counts.add(self._name, "received", by=len(messages))
        return messages

    async def extend(self, receipts: Sequence[str]) -> None:
        """Keep messages invisible for another time-out."""
        await self._change(receipts, self._options.visibility_timeout_s, "extended")

    async def release(self, receipts: Sequence[str]) -> None:
        """Give messages back at once."""
        await self._change(receipts, 0, "released")

    async def delete(
        self, receipts: Sequence[str], rest: Callable[[float], Awaitable[None]]
    ) -> None:
        """Delete messages, in several attempts with a `rest` of some seconds between."""
        left = list(receipts)
        for attempt in range(DELETE_ATTEMPTS):
            try:
                left = await self._delete_once(left)
            except _FAILURES as failure:
                self._failed("delete", failure)
            if not left or attempt + 1 == DELETE_ATTEMPTS:
                return
            await rest(_DELETE_AGAIN_S[attempt])

    async def _delete_once(self, receipts: Sequence[str]) -> list[str]:
        """Return those that are worth another attempt."""
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)
        ]
        answer = await self._client.ask("DeleteMessageBatch", REQUEST_S, Entries=entries)
        failed = answer.get("Failed") or []
        self._counts.add(self._name, "deleted", by=len(receipts) - len(failed))
        if failed:
            self._errors.add(self._name, "delete", by=len(failed))
        again = {one.get("Id") for one in failed if not one.get("SenderFault")}
        return [entry["ReceiptHandle"] for entry in entries if entry["Id"] in again]

    async def _change(self, receipts: Sequence[str], timeout_s: int, what: str) -> None:
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": timeout_s}
            for number, receipt in enumerate(receipts)
        ]
        try:
            answer = await self._client.ask(
                "ChangeMessageVisibilityBatch", REQUEST_S, Entries=entries
            )
        except _FAILURES as failure:
            self._failed(what, failure)
            return
        failed = len(answer.get("Failed") or ())
        self._counts.add(self._name, what, by=len(entries) - failed)
        if failed:
            self._errors.add(self._name, what, by=failed)

    def _failed(self, call: str, failure: Exception) -> None:
        self._errors.add(self._name, call)
        self._seldom.log(
            call,
            _logger,
            "SQS does not do as asked",
            source=self._name,
            call=call,
            reason=str(failure),
        )
