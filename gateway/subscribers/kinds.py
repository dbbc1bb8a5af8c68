"""The kinds of subscribers: the only place that knows them all."""

from collections.abc import Callable

from gateway import __version__
from gateway.aws.queues import queue
from gateway.aws.sqs_client import SqsClient
from gateway.clock import now_ms
from gateway.options import App, SubscriberOptions
from gateway.subscribers.contract import Subscriber
from gateway.subscribers.headers import DeliveryHead
from gateway.subscribers.http import HttpSubscriber
from gateway.subscribers.log import LogSubscriber
from gateway.subscribers.sqs import SqsSubscriber, senders_for

Builder = Callable[[SubscriberOptions, tuple[App, ...]], Subscriber]


def _http(options: SubscriberOptions, apps: tuple[App, ...]) -> Subscriber:
    assert options.http is not None, "the configuration gives http options to this kind"
    head = DeliveryHead(
        options.http.url,
        apps=apps,
        configured=options.http.headers,
        user_agent=f"stream-video-gateway/{__version__}",
    )
    return HttpSubscriber(options.http, head, concurrency=options.concurrency, now_ms=now_ms)


def _log(_options: SubscriberOptions, _apps: tuple[App, ...]) -> Subscriber:
    return LogSubscriber(now_ms=now_ms)


def _sqs(options: SubscriberOptions, _apps: tuple[App, ...]) -> Subscriber:
    sqs = options.sqs
    assert sqs is not None, "the configuration gives sqs options to this kind"
    senders = senders_for(options.concurrency)
    client = SqsClient(queue(sqs.queue_url, sqs.region, sqs.endpoint), connections=senders)
    return SqsSubscriber(client, body_format=sqs.format, senders=senders)


KINDS: dict[str, Builder] = {"http": _http, "log": _log, "sqs": _sqs}


def build(options: SubscriberOptions, apps: tuple[App, ...]) -> Subscriber:
    """Return the destination that `options` describe; call it inside the running loop.

    `apps` are all that are configured: their secrets sign what goes out. Raises ConfigError
    where a certificate file cannot be used.
    """
    return KINDS[options.kind](options, apps)
