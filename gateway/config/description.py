"""Tells in a few lines what a configuration does; shows no secret."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.aws import queues
from gateway.calls import exposure
from gateway.options import (
    DEMO_SECRET,
    Config,
    IngestOptions,
    SourceOptions,
    SubscriberOptions,
)


def describe(config: Config) -> str:
    """Return a few lines that tell a person what this configuration does, without secrets."""
    return "\n".join(_lines(config))


def _lines(config: Config) -> Iterator[str]:
    server, admin = config.server, config.admin
    scheme = "https" if server.tls else "http"
    yield f"listens on    {scheme}://{_at(server.host, server.port)}{config.ingest.path}"
    if server.workers > 1:
        yield f"workers       {server.workers}"
    yield f"admin on      http://{_at(admin.host, admin.port)}"
    yield f"acknowledges  {_acknowledges(config.ingest)}"
    yield f"redis         {_origin(config.redis.url)}"
    yield f"data in       {config.data_dir}"
    yield f"apps          {len(config.apps)}"
    for app in config.apps:
        yield f"  {app.api_key}: {_count(len(app.secrets), 'secret')}"
    if config.sources:
        yield f"sources       {len(config.sources)}"
    for source in config.sources:
        yield f"  {source.name}: {_origin_of(source)}"
    if any(DEMO_SECRET in app.secrets for app in config.apps):
        yield "open          the demo secret: everybody knows it, and can send and make tokens"
    for sentence in exposure.strangers(config):
        yield f"open          {sentence}"
    for sentence in exposure.closed(config):
        yield f"not open      {sentence}"
    yield f"subscribers   {len(config.subscribers)}"
    for subscriber in config.subscribers:
        yield f"  {subscriber.name}: {', '.join(_facts(subscriber))}"


_ACKNOWLEDGES = {
    "journal": "when the event is in the journal",
    "redis": "when Redis has the event too",
}


def _acknowledges(ingest: IngestOptions) -> str:
    if ingest.ack == "replicated":
        replicas = _count(ingest.replicas, "replica")
        return f"when {replicas} of Redis have the event (ack: replicated: {ingest.replicas})"
    return f"{_ACKNOWLEDGES[ingest.ack]} (ack: {ingest.ack})"


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _origin(url: str) -> str:
    """Return a URL without what may be secret: credentials, path and query."""
    if url == "embedded":
        return url
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _origin_of(source: SourceOptions) -> str:
    way = ""
    if source.sqs:
        way = f"sqs, queue {queues.name_of(source.sqs.queue_url)}"
    if source.sns:
        way = f"sns, {_count(len(source.sns.topic_arns), 'topic')} at {source.sns.path}"
    return f"{way}, for app {source.app}{'' if source.enabled else ', disabled'}"


def _facts(subscriber: SubscriberOptions) -> Iterator[str]:
    yield subscriber.kind
    if subscriber.http:
        yield f"to {_origin(subscriber.http.url)}"
    if subscriber.sqs:
        yield f"to queue {queues.name_of(subscriber.sqs.queue_url)} as {subscriber.sqs.format}"
    match = subscriber.match
    yield f"types {' '.join(match.types)}" if match.types else "every type"
    if match.apps:
        yield f"apps {' '.join(match.apps)}"
    if match.where:
        yield "where an expression holds"
    yield f"order {subscriber.order}"
    yield f"{_count(subscriber.concurrency, 'attempt')} at once"
    if not subscriber.enabled:
        yield "disabled"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
