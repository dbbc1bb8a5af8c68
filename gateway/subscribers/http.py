"""Kind `http`: one POST of the body as it was signed, and what the answer means.

The status line decides. Once it is here the body can change nothing: it is read for a moment, so
that the connection can be used again and a dead letter has a snippet, and else the connection is
dropped. So a receiver that says 200 and then sends for ever has got the event, and holds a slot
for one second. Redirects are not followed, cookies not kept, the environment's proxies ignored.

The client is our own (`headers`, `dialing`, `connections`; llhttp reads the `answers`), because at
thousands of events a second a general one is most of what a delivery costs. No text made here
quotes the URL, which may hold a token.
"""

import asyncio
import ssl
from collections.abc import Callable

from yarl import URL

from gateway.options import HttpOptions
from gateway.subscribers.answers import HttpAnswer
from gateway.subscribers.connections import LATE, Pool, ReceiverConnection
from gateway.subscribers.contract import Attempt
from gateway.subscribers.dialing import Dialer, failure_of
from gateway.subscribers.egress import Egress
from gateway.subscribers.headers import DeliveryHead, read_retry_after
from gateway.subscribers.outcome import Delivered, Failed, Outcome, Reason

_DELIVERED = {status: Delivered(status) for status in range(200, 300)}


def reason_of(status: int) -> Reason | None:
    """Return why a status is a failure; None for the 2xx that deliver."""
    if 200 <= status < 300:
        return None
    if status in {408, 429} or status >= 500:
        return Reason.STATUS
    if status in {401, 403, 404}:
        return Reason.UNAUTHORIZED
    return Reason.GONE if status == 410 else Reason.REJECTED


class HttpSubscriber:
    """One receiver and its pool of connections. Make it inside the running loop."""

    def __init__(
        self,
        options: HttpOptions,
        head: DeliveryHead,
        *,
        concurrency: int,
        now_ms: Callable[[], int],
    ) -> None:
        egress = Egress(options.allow_networks)
        self._head, self._now_ms = head, now_ms
        self._may_call = egress.allows_name(URL(options.url).host or "")
        self._clock = asyncio.get_running_loop().time
        self._pool = Pool(
            Dialer(options, egress), limit=concurrency, max_body_bytes=options.max_response_bytes
        )

    async def attempt(self, attempt: Attempt) -> Outcome:
        """POST the event once; every failure of the outside is a Failed."""
        if not self._may_call:
            return Failed(Reason.EGRESS, detail="the host name is not allowed for subscribers")
        deadline = self._clock() + attempt.timeout_s
        connection = self._pool.take() or await self._open(deadline)
        if isinstance(connection, Failed):
            return connection if connection is not LATE else _late(attempt)
        done = connection.exchange(self._head.of(attempt) + attempt.body, deadline)
        try:
            result = await done
        except asyncio.CancelledError:
            connection.give_up(done)
            raise
        if isinstance(result, HttpAnswer):
            return _DELIVERED.get(result.status) or self._failed(result)
        return result if result is not LATE else _late(attempt)

    async def close(self) -> None:
        """Drop the connections; attempts still in flight fail."""
        self._pool.close()

    async def _open(self, deadline: float) -> ReceiverConnection | Failed:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._pool.open()
        except TimeoutError:
            return LATE
        except (OSError, ssl.SSLError, ValueError) as error:
            return failure_of(error)

    def _failed(self, answer: HttpAnswer) -> Failed:
        return Failed(
            reason_of(answer.status) or Reason.REJECTED,
            status=answer.status,
            detail=f"answered {answer.status}",
            snippet=answer.snippet.decode(errors="replace"),
            retry_after_s=read_retry_after(answer.retry_after, self._now_ms()),
        )


def _late(attempt: Attempt) -> Failed:
    return Failed(Reason.TIMEOUT, detail=f"no answer within {attempt.timeout_s:g} s")
