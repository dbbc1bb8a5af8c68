"""The run itself: as many workers as connections, each taking the next request in turn.

With a rate, request n is due at a fixed time, and its latency counts from then even when every
connection was still busy: a slow receiver shows in the numbers instead of slowing the clock.
"""

import asyncio
import gzip
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import aiohttp

from gateway.errors import GatewayError
from gateway.lookup.connector import connector
from gateway.sending.plan import SendPlan, chosen_bodies
from gateway.sending.progress import progress_bar
from gateway.sending.summary import Summary, Tally
from gateway.sending.webhook import headers, prepare

# Not the event loop's clock: uvloop's counts whole milliseconds.
_now_s = time.perf_counter


class NothingListens(GatewayError):
    """Nobody takes connections at the URL."""


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """One POST. `due_s` is on the clock of `_now_s`, None for at once."""

    body: bytes
    headers: dict[str, str]
    due_s: float | None


async def send(plan: SendPlan) -> Summary:
    """Send everything that `plan` says and sum up. Statuses and network errors are counted.

    Raises `NothingToSend` when it names no body, and `NothingListens` when the very first
    connection is refused; later refusals are counted, as the receiver may be restarting.
    """
    chosen = chosen_bodies(plan)
    events = len(chosen) if plan.count is None else plan.count
    began = _now_s()
    requests = _requests(plan, chosen, events, began)
    tally = Tally()
    async with _session(plan) as session, progress_bar(tally, events * plan.duplicate):
        await _work(plan, session, requests, tally)
    return tally.summary(_now_s() - began)


def _session(plan: SendPlan) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector(limit=plan.connections, ssl=_trust(plan)),
        timeout=aiohttp.ClientTimeout(total=plan.timeout_s),
        headers={"User-Agent": "gateway-send"},
    )


def _trust(plan: SendPlan) -> ssl.SSLContext | bool:
    if plan.ca is None:
        return True  # the system's
    try:
        return ssl.create_default_context(cafile=plan.ca)
    except OSError as error:
        raise GatewayError(f"cannot use {plan.ca} as certificates to trust: {error}") from error


def _requests(
    plan: SendPlan, chosen: tuple[bytes, ...], events: int, began_s: float
) -> Iterator[PreparedRequest]:
    """Make the requests as they are asked for, so that a long run holds one body a worker."""
    number, last_ns = 0, 0
    for sample in islice(cycle(chosen), events):
        last_ns = max(time.time_ns(), last_ns + 1)  # no two events alike, however fast
        body = prepare(sample, last_ns)
        first = headers(body, api_key=plan.api_key, secret=plan.secret)
        sent = _compressed(body, first) if plan.gzip else body
        for attempt in range(1, plan.duplicate + 1):
            due_s = began_s + number / plan.rate_per_s if plan.rate_per_s else None
            yield PreparedRequest(sent, first | {"X-WEBHOOK-ATTEMPT": str(attempt)}, due_s)
            number += 1


def _compressed(body: bytes, its_headers: dict[str, str]) -> bytes:
    its_headers["Content-Encoding"] = "gzip"
    return gzip.compress(body, mtime=0)


async def _work(
    plan: SendPlan,
    session: aiohttp.ClientSession,
    requests: Iterator[PreparedRequest],
    tally: Tally,
) -> None:
    async def worker() -> None:
        for request in requests:
            await _post(plan, session, request, tally)

    workers = [asyncio.create_task(worker()) for _ in range(plan.connections)]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _due(due_s: float | None) -> float:
    """Wait until a request is due and return from when its latency counts."""
    if due_s is None:
        return _now_s()
    await asyncio.sleep(max(0.0, due_s - _now_s()))
    return min(due_s, _now_s())  # a timer may be early by a fraction of a millisecond


async def _post(
    plan: SendPlan, session: aiohttp.ClientSession, request: PreparedRequest, tally: Tally
) -> None:
    began_s = await _due(request.due_s)
    try:
        posting = session.post(
            plan.url, data=request.body, headers=request.headers, allow_redirects=False
        )
        async with posting as response:
            await response.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        kind = kind_of(error)
        if kind == "refused" and not tally.statuses:
            raise NothingListens(
                f"nothing listens on {plan.url}: start it with `make run`"
            ) from error
        tally.failed(kind)
    else:
        tally.answered(response.status, (_now_s() - began_s) * 1000)


# The first that fits; a closed set, so that runs can be compared.
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "timeout"),
    (aiohttp.InvalidURL, "bad url"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (ConnectionRefusedError, "refused"),
    (aiohttp.ClientConnectorError, "no connection"),
    (aiohttp.ClientPayloadError, "cut answer"),
    (aiohttp.ServerDisconnectedError, "disconnected"),
    (OSError, "disconnected"),
)


def kind_of(error: Exception) -> str:
    """Name a failure to get an answer."""
    if isinstance(error, aiohttp.ClientConnectorError):
        cause: Exception = error.os_error
        error = cause if isinstance(cause, ConnectionRefusedError) else error
    return next((name for kind, name in _KINDS if isinstance(error, kind)), "other")
