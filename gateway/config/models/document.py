"""The whole file."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway import options
from gateway.config import names, values
from gateway.config.models.incoming import App, Ingest, Source
from gateway.config.models.listeners import Admin, Server
from gateway.config.models.section import Section, key, required
from gateway.config.models.storage import Journal, Redis, Retention
from gateway.config.models.subscribers import Subscriber
from gateway.config.models.watching import Feed, Upstream


class Log(Section):
    becomes = options.LogOptions
    level: Literal["debug", "info", "warning", "error"] = key(
        "what is logged, to standard error", example="warning"
    )
    format: Literal["text", "json"] = key("`json`: an object a line", example="json")


class Document(Section):
    """The whole file."""

    becomes = options.Config
    server: Server = key(
        "Where Stream's webhooks and the watchers come in: the address to enter in "
        "Stream's dashboard leads here."
    )
    admin: Admin = key("`/metrics` (Prometheus), `/healthz`, `/readyz`, `/ledger`.")
    data_dir: values.AnyPath = key(
        "The journal and the embedded Valkey's files; one gateway at a time.",
        example="/var/lib/stream-gateway",
    )
    apps: Annotated[list[App], Field(min_length=1)] = required(
        "The Stream apps whose webhooks and tokens are taken."
    )
    redis: Redis = key("Where events go once they are in the journal.")
    ingest: Ingest = key("How webhooks are taken.")
    sources: Annotated[list[Source], BeforeValidator(names.listed)] = key(
        "Other ways on which Stream sends events, beside webhooks; an event that "
        "comes by several is taken once. See [SQS and SNS](sqs-and-sns.md)."
    )
    journal: Journal = key("Every event goes through here first, below `data_dir`.")
    retention: Retention = key("What Redis holds beyond what subscribers still need.")
    subscribers: Annotated[list[Subscriber], BeforeValidator(names.listed)] = key(
        "Where the events go. Each has its own backlog and retries: one that is slow "
        "or away does not hold up another."
    )
    feed: Feed = key("Watching calls: see [watching calls](watching-calls.md).")
    upstream: Upstream = key("Stream's API behind the gateway's own.")
    log: Log = key("What the gateway says of itself.")
