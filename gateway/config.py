"""The configuration: a YAML file and the environment in, checked `gateway.options` out.

Every mistake is found in one pass and told as `file:line:col: what is wrong and what would be
right`; nothing is ever half accepted, and no text here shows a secret. The steps: `config_source`
reads values and places, `config_findings` judges each by the shape in `config_models`, and
`config_checks` judges what lies between them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway import config_checks, config_findings, config_models, config_source
from gateway.aws import queues
from gateway.errors import ConfigError
from gateway.options import Config, SourceOptions, SubscriberOptions


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the file at `path`; relative paths in it start at its own folder.

    Raises `ConfigError` with one line per mistake.
    """
    folder = path.absolute().parent
    source = config_source.read(_content(path), folder=folder, environ=environ)
    document = config_findings.validate(source)
    config_checks.check(source)
    if source.mistakes or document is None:
        raise ConfigError("\n".join(f"{path}:{wrong}" for wrong in sorted(source.mistakes)))
    config: Config = document.build()
    return replace(config, data_dir=folder / config.data_dir)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "" if path.exists() else "; name your file with --config"
        raise ConfigError(f"{path}:1:1: cannot be read: {error.strerror}{hint}") from error


def json_schema() -> dict[str, Any]:
    """Return a JSON Schema of the file, for editors that complete and check YAML."""
    return config_models.Document.model_json_schema()


def describe(config: Config) -> str:
    """Return a few lines that tell a person what this configuration does, without secrets."""
    return "\n".join(_lines(config))


def _lines(config: Config) -> Iterator[str]:
    server, admin = config.server, config.admin
    scheme = "https" if server.tls else "http"
    yield f"listens on    {scheme}://{_at(server.host, server.port)}{config.ingest.path}"
    yield f"admin on      http://{_at(admin.host, admin.port)}"
    yield f"acknowledges  {_ACKNOWLEDGES[config.ingest.ack]} (ack: {config.ingest.ack})"
    yield f"redis         {_origin(config.redis.url)}"
    yield f"data in       {config.data_dir}"
    yield f"apps          {len(config.apps)}"
    for app in config.apps:
        yield f"  {app.api_key}: {_count(len(app.secrets), 'secret')}"
    if config.sources:
        yield f"sources       {len(config.sources)}"
    for source in config.sources:
        yield f"  {source.name}: {_origin_of(source)}"
    yield f"subscribers   {len(config.subscribers)}"
    for subscriber in config.subscribers:
        yield f"  {subscriber.name}: {', '.join(_facts(subscriber))}"


_ACKNOWLEDGES = {
    "journal": "when the event is in the journal",
    "redis": "when Redis has the event too",
}


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
