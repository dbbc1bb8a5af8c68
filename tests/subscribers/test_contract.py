"""What every kind of subscriber keeps; a new kind adds one factory to KINDS."""

import contextlib
import os

import pytest
from attempts import DEMO, attempt
from support.receiver import black_hole, hang_up, running_receiver

from gateway.clock import now_ms
from gateway.options import HttpOptions, SqsOptions, SubscriberOptions
from gateway.subscribers.kinds import build
from gateway.subscribers.log import LogSubscriber
from gateway.subscribers.outcome import Delivered, Failed, Reason


class HttpKind:
    """The kind http, with its receiver."""

    @contextlib.asynccontextmanager
    async def working(self):
        async with self._with(()) as pair:
            yield pair

    @contextlib.asynccontextmanager
    async def stalled(self):
        async with self._with([black_hole()]) as (subscriber, _):
            yield subscriber

    @contextlib.asynccontextmanager
    async def broken(self):
        async with self._with([hang_up()]) as (subscriber, _):
            yield subscriber

    @contextlib.asynccontextmanager
    async def _with(self, script):
        async with running_receiver(script) as receiver:
            http = HttpOptions(url=receiver.url)
            subscriber = build(SubscriberOptions(name="s", kind="http", http=http), (DEMO,))
            try:
                yield (
                    subscriber,
                    lambda: [r.headers["x-webhook-attempt"] for r in receiver.requests],
                )
            finally:
                await subscriber.close()


class SqsKind:
    """The kind sqs, with a local SQS, or what is none at its address."""

    def __init__(self, local_sqs):
        self._sqs = local_sqs

    @contextlib.asynccontextmanager
    async def working(self):
        queue = self._sqs.queue()
        async with self._to(queue.config) as subscriber:

            def numbers():
                return [m["MessageAttributes"]["attempt"]["StringValue"] for m in queue.drain()]

            yield subscriber, numbers

    @contextlib.asynccontextmanager
    async def stalled(self):
        async with self._at(black_hole()) as subscriber:
            yield subscriber

    @contextlib.asynccontextmanager
    async def broken(self):
        async with self._at(hang_up()) as subscriber:
            yield subscriber

    @contextlib.asynccontextmanager
    async def _at(self, behaviour):
        async with running_receiver(otherwise=behaviour) as receiver:
            url = f"http://127.0.0.1:{receiver.port}/000000000000/q"
            async with self._to({"queue_url": url, "region": "eu-west-1"}) as subscriber:
                yield subscriber

    @contextlib.asynccontextmanager
    async def _to(self, config):
        options = SubscriberOptions(name="s", kind="sqs", sqs=SqsOptions(**config))
        subscriber = build(options, (DEMO,))
        try:
            yield subscriber
        finally:
            await subscriber.close()


class LogKind:
    """The kind log, with a pipe."""

    @contextlib.asynccontextmanager
    async def working(self):
        with _pipe() as (read_end, write_end):
            subscriber = LogSubscriber(now_ms=now_ms, descriptor=write_end)

            def numbers():
                lines = os.read(read_end, 65536).decode().splitlines()
                return [line.rpartition("attempt=")[2] for line in lines]

            yield subscriber, numbers
            await subscriber.close()

    @contextlib.asynccontextmanager
    async def stalled(self):
        with _pipe() as (_, write_end):
            os.set_blocking(write_end, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(write_end, b"x" * 4096)
            yield LogSubscriber(now_ms=now_ms, descriptor=write_end)

    @contextlib.asynccontextmanager
    async def broken(self):
        with _pipe() as (read_end, write_end):
            os.close(read_end)
            yield LogSubscriber(now_ms=now_ms, descriptor=write_end)


@contextlib.contextmanager
def _pipe():
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)


KINDS = {HttpKind: (), LogKind: (), SqsKind: ("local_sqs",)}  # with the fixtures they are given


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param(*map(request.getfixturevalue, KINDS[request.param]))


async def test_delivers_each_attempt_once(kind):
    """An attempt that says Delivered has arrived, once."""
    async with kind.working() as (subscriber, arrived):
        for number in (1, 2, 3):
            outcome = await subscriber.attempt(attempt(number=number))
            assert isinstance(outcome, Delivered)
        assert arrived() == ["1", "2", "3"]


async def test_a_stalled_destination_is_a_timeout(kind):
    """A destination that takes nothing costs an attempt its time-out, not more."""
    async with kind.stalled() as subscriber:
        outcome = await subscriber.attempt(attempt(timeout_s=0.2))
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.TIMEOUT


async def test_a_broken_destination_is_a_value(kind):
    """A destination that breaks off is a Failed, never an exception, and its text says why."""
    async with kind.broken() as subscriber:
        outcome = await subscriber.attempt(attempt())
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.NETWORK
    assert outcome.detail


async def test_close_can_be_repeated(kind):
    """Closing twice is as good as once."""
    async with kind.working() as (subscriber, _):
        await subscriber.close()
        await subscriber.close()
