"""The shape of the configuration: which keys there are, and what each may hold.

One `Section` per mapping in the file; its fields carry the names of `gateway.options`, its
aliases the names in YAML. Defaults live in `gateway.options` alone: a key that is not given is
not passed on. What takes several keys to judge is `checks`' business, the words for
what does not fit are `findings`'.
"""

from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway import options
from gateway.config import files, names, values

# A key that may be left out. Never read: only what was given is passed on.
OPTIONAL: Any = Field(default_factory=lambda: None)


def _called(name: str) -> Any:
    return Field(default_factory=lambda: None, alias=name)


class Section(BaseModel):
    """A mapping whose keys are all known. An empty one has had its keys commented out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    becomes: ClassVar[type[Any]]

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {} if value is None else value

    def build(self) -> Any:
        """Return the options of this section, an instance of `becomes`."""
        return self.becomes(**self.given())

    def given(self) -> dict[str, Any]:
        """Return what the file gave, by the names of the options."""
        return {name: _built(getattr(self, name)) for name in self.model_fields_set}


def _built(value: Any) -> Any:
    if isinstance(value, Section):
        return value.build()
    if isinstance(value, list):
        return tuple(_built(item) for item in value)
    if isinstance(value, dict):
        return tuple(value.items())
    return value


class Tls(Section):
    becomes = options.TlsOptions
    cert: values.ReadableFile
    key: values.ReadableFile

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        files.check_pair(self.cert, self.key)
        return self


class Server(Section):
    becomes = options.ServerOptions
    host: values.Host = OPTIONAL
    port: values.PublicPort = OPTIONAL
    tls: Tls = OPTIONAL
    max_connections: values.Count = OPTIONAL
    max_unfinished_bytes: values.Size = _called("max_unfinished")
    header_timeout_s: values.Duration = _called("header_timeout")
    body_timeout_s: values.Duration = _called("body_timeout")
    keepalive_timeout_s: values.Duration = _called("keepalive_timeout")
    drain_s: values.Wait = _called("drain")
    workers: values.Workers = OPTIONAL


class Admin(Section):
    becomes = options.AdminOptions
    host: values.Host = OPTIONAL
    port: values.Port = OPTIONAL
    allow_remote: bool = OPTIONAL


class App(Section):
    becomes = options.App
    api_key: values.ApiKey
    secrets: list[values.Secret]


class Redis(Section):
    becomes = options.RedisOptions
    url: values.RedisUrl = OPTIONAL
    max_memory_bytes: values.Size = _called("max_memory")
    timeout_s: values.Duration = _called("timeout")
    lease_s: values.Lease = _called("lease")
    allow_volatile: bool = OPTIONAL
    sentinel_username: values.Text = OPTIONAL
    sentinel_password: values.Secret = OPTIONAL
    ca: values.Authority = OPTIONAL
    client_cert: values.ReadableFile = OPTIONAL
    client_key: values.ReadableFile = OPTIONAL


class Ingest(Section):
    becomes = options.IngestOptions
    path: values.WebhookPath = OPTIONAL
    ack: values.Ack = OPTIONAL
    dedupe_window_s: values.Duration = _called("dedupe_window")
    max_body_bytes: values.Size = _called("max_body")

    def given(self) -> dict[str, Any]:
        found = super().given()
        if "ack" in found:
            found["ack"], found["replicas"] = found["ack"]
        return found


class Journal(Section):
    becomes = options.JournalOptions
    max_bytes: values.Size = _called("max_size")
    segment_bytes: values.Size = _called("segment_size")
    keep_s: values.Wait = _called("keep")
    sync_interval_s: values.Duration = _called("sync_interval")


class Retention(Section):
    becomes = options.RetentionOptions
    history_s: values.Wait = _called("history")
    max_bytes: values.Size = _called("max_size")
    dead_letters_s: values.Duration = _called("dead_letters")
    dead_letters_max_bytes: values.Size = _called("dead_letters_max_size")


class Retry(Section):
    becomes = options.RetryOptions
    total_s: values.Duration = _called("total")
    status_attempts: values.Count = OPTIONAL
    network_attempts: values.Count = OPTIONAL
    timeout_attempts: values.Count = OPTIONAL
    waits_s: Annotated[list[values.Wait], Field(min_length=1)] = _called("waits")
    slow_first_s: values.Duration = _called("slow_first")
    slow_max_s: values.Duration = _called("slow_max")
    slow_horizon_s: values.Duration = _called("slow_horizon")


class Match(Section):
    becomes = options.MatchOptions
    types: list[values.Glob] = OPTIONAL
    apps: list[str] = OPTIONAL
    where: values.Expression = OPTIONAL


class Backlog(Section):
    becomes = options.BacklogOptions
    max_age_s: values.Duration = _called("max_age")
    max_bytes: values.Size = _called("max_size")


class Source(Section):
    """Flat in YAML; `build` sorts out what belongs to its kind."""

    becomes = options.SourceOptions
    name: values.SubscriberName
    kind: Literal["sqs", "sns"]
    app: str
    enabled: bool = OPTIONAL
    queue_url: values.QueueUrl = OPTIONAL
    region: values.Region = OPTIONAL
    endpoint: values.Endpoint = OPTIONAL
    receivers: Annotated[values.Count, Field(le=64)] = OPTIONAL
    wait_s: values.PollWait = _called("wait")
    visibility_timeout_s: values.VisibilityTimeout = _called("visibility_timeout")
    path: values.WebhookPath = OPTIONAL
    topic_arns: Annotated[list[values.TopicArn], Field(min_length=1)] = OPTIONAL
    raw_credentials: values.RawCredentials = OPTIONAL

    def build(self) -> options.SourceOptions:
        given = self.given()
        kinds = {"sqs": options.SqsSourceOptions, "sns": options.SnsSourceOptions}
        own = kinds[self.kind](**_taken(given, kinds[self.kind]))
        return options.SourceOptions(**given, **{self.kind: own})


class Subscriber(Section):
    """Flat in YAML; `build` sorts out what belongs to the HTTP request, or to the queue."""

    becomes = options.SubscriberOptions
    name: values.SubscriberName
    kind: Literal["http", "log", "sqs"]
    enabled: bool = OPTIONAL
    start: Literal["now", "earliest"] = OPTIONAL
    match: Match = OPTIONAL
    order: Annotated[
        options.Order, BeforeValidator(partial(names.not_yet, word="strict", use="none or call"))
    ] = OPTIONAL
    concurrency: values.Count = OPTIONAL
    retry: Retry = OPTIONAL
    backlog: Backlog = OPTIONAL
    timeout_s: values.Duration = _called("timeout")
    url: values.HttpUrl = OPTIONAL
    headers: dict[values.HeaderName, values.HeaderValue] = OPTIONAL
    ca: values.Authority = OPTIONAL
    client_cert: values.ReadableFile = OPTIONAL
    client_key: values.ReadableFile = OPTIONAL
    on_410: Literal["bury", "pause"] = OPTIONAL
    max_response_bytes: values.Size = _called("max_response")
    allow_networks: list[values.Network] = OPTIONAL
    queue_url: values.QueueUrl = OPTIONAL
    region: values.Region = OPTIONAL
    endpoint: values.Endpoint = OPTIONAL
    format: Literal["base64", "gzip", "raw"] = OPTIONAL

    def build(self) -> options.SubscriberOptions:
        given = self.given()
        if "timeout_s" in given:
            retry = self.retry.given() if "retry" in given else {}
            given["retry"] = options.RetryOptions(timeout_s=given.pop("timeout_s"), **retry)
        http, sqs = _taken(given, options.HttpOptions), _taken(given, options.SqsOptions)
        return options.SubscriberOptions(
            **given,
            http=options.HttpOptions(**http) if self.kind == "http" else None,
            sqs=options.SqsOptions(**sqs) if self.kind == "sqs" else None,
        )


def _taken(given: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Take out of `given` what belongs to the options of one kind."""
    return {name: given.pop(name) for name in kind.__dataclass_fields__ if name in given}


# Keys of a source that mean nothing unless it is of this kind.
SOURCE_ONLY_FOR = {
    "sqs": ("queue_url", "region", "receivers", "wait", "visibility_timeout"),
    "sns": ("path", "topic_arns", "raw_credentials"),
}
# Keys of a subscriber that mean nothing unless it is of this kind.
ONLY_FOR = {
    "http": (
        "url",
        "headers",
        "ca",
        "client_cert",
        "client_key",
        "on_410",
        "max_response",
        "allow_networks",
    ),
    "sqs": ("queue_url", "region", "endpoint", "format"),
}


class Feed(Section):
    becomes = options.FeedOptions
    enabled: bool = OPTIONAL
    access: Literal["members", "any"] = OPTIONAL
    guests: bool = OPTIONAL
    demo: bool = OPTIONAL
    origins: list[values.Origin] = OPTIONAL
    max_connections: values.Count = OPTIONAL
    max_connections_per_user: values.Count = OPTIONAL
    max_watched_calls: values.Count = OPTIONAL
    outbox_bytes: values.Size = _called("outbox")
    max_message_bytes: values.Size = _called("max_message")
    handshake_timeout_s: values.Duration = _called("handshake_timeout")
    ping_interval_s: values.Duration = _called("ping_interval")
    max_replay_events: values.Count = OPTIONAL
    user_events_per_s: values.Count = OPTIONAL
    user_events_burst: values.Count = OPTIONAL
    call_events_per_s: values.Count = OPTIONAL
    call_events_burst: values.Count = OPTIONAL
    new_calls_per_s: values.Count = OPTIONAL
    new_calls_burst: values.Count = OPTIONAL
    guests_per_s: values.Count = OPTIONAL
    guests_burst: values.Count = OPTIONAL
    user_requests_per_s: values.Count = OPTIONAL
    user_requests_burst: values.Count = OPTIONAL
    calls_retention_s: values.Duration = _called("calls_retention")
    max_calls: values.Count = OPTIONAL
    max_calls_bytes: values.Size = _called("max_calls_size")


class Upstream(Section):
    becomes = options.UpstreamOptions
    url: values.HttpUrl = OPTIONAL
    timeout_s: values.Duration = _called("timeout")
    custom_events: Literal["local", "upstream"] = OPTIONAL
    ca: values.Authority = OPTIONAL
    max_response_bytes: values.Size = _called("max_response")


class Log(Section):
    becomes = options.LogOptions
    level: Literal["debug", "info", "warning", "error"] = OPTIONAL
    format: Literal["text", "json"] = OPTIONAL


class Document(Section):
    """The whole file."""

    becomes = options.Config
    server: Server = OPTIONAL
    admin: Admin = OPTIONAL
    data_dir: values.AnyPath = OPTIONAL
    apps: Annotated[list[App], Field(min_length=1)]
    redis: Redis = OPTIONAL
    ingest: Ingest = OPTIONAL
    sources: Annotated[list[Source], BeforeValidator(names.listed)] = OPTIONAL
    journal: Journal = OPTIONAL
    retention: Retention = OPTIONAL
    subscribers: Annotated[list[Subscriber], BeforeValidator(names.listed)] = OPTIONAL
    feed: Feed = OPTIONAL
    upstream: Upstream = OPTIONAL
    log: Log = OPTIONAL
