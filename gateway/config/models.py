"""The shape of the configuration: which keys there are, and what each may hold.

One `Section` per mapping in the file; its fields carry the names of `gateway.options`, its
aliases the names in YAML, its descriptions the meanings, told here once for editors' schema and
docs/configuration.md. Defaults live in `gateway.options` alone: a key that is not given is
not passed on. What takes several keys to judge is `checks`' business, the words for
what does not fit are `findings`'.
"""

from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway import options
from gateway.config import files, names, values


def _key(
    meaning: str, *, called: str | None = None, unit: str | None = None, example: Any = None
) -> Any:
    """Return a key that may be left out. `called`: its name in YAML, where that is another."""
    return Field(
        default_factory=lambda: None,  # never read: only what was given is passed on
        alias=called,
        description=meaning,
        examples=None if example is None else [example],
        json_schema_extra=None if unit is None else {"unit": unit},
    )


def _required(meaning: str, *, example: Any = None) -> Any:
    return Field(description=meaning, examples=None if example is None else [example])


class Section(BaseModel):
    """A mapping whose keys are all known. An empty one has had its keys commented out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    becomes: ClassVar[type[Any]]
    shared_with: ClassVar[tuple[type[Any], ...]] = ()  # other options that its keys are for

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
    cert: values.ReadableFile = _required(
        "the certificate, with those between it and its authority, as a PEM file",
        example="tls/cert.pem",
    )
    key: values.ReadableFile = _required("its key, as a PEM file", example="tls/key.pem")

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        files.check_pair(self.cert, self.key)
        return self


class Server(Section):
    becomes = options.ServerOptions
    host: values.Host = _key(
        'where webhooks come in; `"*"` (or `"::"`) for every address of both '
        "families, `0.0.0.0` for those of IPv4",
        example='"*"',
    )
    port: values.PublicPort = _key(
        "not 3030, which Stream's SDK rewrites; 0 for any free one", example=443
    )
    tls: Tls = _key("HTTPS without a proxy in front")
    max_connections: values.Count = _key(
        "beyond it one makes room that has no request under way and never brought a "
        "signed one, the longest idle first, then the slowest of unfinished requests; "
        "never who has brought a signed one within a minute: where nobody can, 503 "
        "with `Retry-After: 1`. For each worker",
        unit="connections",
        example=20000,
    )
    max_unfinished_bytes: values.Size = _key(
        "what requests that are not whole hold together; beyond it the slowest are "
        "answered 408, on connections that never brought a signed request",
        called="max_unfinished",
        example="16MiB",
    )
    header_timeout_s: values.Duration = _key(
        "for a request's headers; then 408", called="header_timeout", example="2s"
    )
    body_timeout_s: values.Duration = _key(
        "for a request's body; then 408", called="body_timeout", example="30s"
    )
    keepalive_timeout_s: values.Duration = _key(
        "an idle connection is closed after it", called="keepalive_timeout", example="75s"
    )
    drain_s: values.Wait = _key(
        "how long SIGTERM waits for what is under way, in all; whatever hangs gets a "
        "moment more, and is left",
        called="drain",
        example="30s",
    )
    workers: values.Workers = _key(
        "processes that share the port and the work; `auto`: one for each processor, "
        "or as many as the quota of the container or unit allows",
        unit="processes",
        example="auto",
    )


class Admin(Section):
    becomes = options.AdminOptions
    host: values.Host = _key("where metrics, health and the ledger are shown", example="10.0.0.7")
    port: values.Port = _key("0 for any free one", example=9090)
    allow_remote: bool = _key(
        "must be `true` for a host beyond loopback: whoever reaches this listener reads everything",
        example=True,
    )


class App(Section):
    becomes = options.App
    api_key: values.ApiKey = _required(
        "the app's API key, from Stream's dashboard", example="your-api-key"
    )
    secrets: list[values.Secret] = _required(
        "its secret, or two while it is being rotated, the newest first",
        example='["${STREAM_SECRET}"]',
    )


class Redis(Section):
    becomes = options.RedisOptions
    url: values.RedisUrl = _key(
        "`embedded`: a Valkey of our own below `data_dir`; or `redis://`, `rediss://` "
        "(TLS), `unix://`, `redis+sentinel://`, `redis+cluster://`: see "
        "[engines](acks-and-engines.md#engines)",
        example="rediss://user:password@host:6380/0",
    )
    max_memory_bytes: values.Size = _key(
        "of the embedded Valkey, or what the container's own limit leaves of it; near "
        "it history gives way, then states of calls: see "
        "[memory](acks-and-engines.md#memory)",
        called="max_memory",
        example="4GiB",
    )
    timeout_s: values.Duration = _key(
        "for one answer; then it counts as away", called="timeout", example="2s"
    )
    lease_s: values.Lease = _key(
        "among gateways on one Redis: how long the work of one that is silent is left "
        "to it; 1s to 1m",
        called="lease",
        example="30s",
    )
    allow_volatile: bool = _key(
        "also take a Redis without an append-only file, which a restart empties", example=True
    )
    sentinel_username: values.Text = _key(
        "what Sentinels ask for; the user of the data stands in the URL", example="gateway"
    )
    sentinel_password: values.Secret = _key("its password", example='"${SENTINEL_PASSWORD}"')
    ca: values.Authority = _key(
        "for `rediss://` and its kin: the authorities to trust in place of the "
        "system's, as a PEM file (where Sentinels or nodes of a Cluster are asked who "
        "has what: beside them)",
        example="tls/ca.pem",
    )
    client_cert: values.ReadableFile = _key(
        "our certificate, if that Redis asks for one", example="tls/cert.pem"
    )
    client_key: values.ReadableFile = _key("its key", example="tls/key.pem")


class Ingest(Section):
    becomes = options.IngestOptions
    path: values.WebhookPath = _key("where webhooks are posted to", example="/hooks")
    ack: values.Ack = _key(
        "when the 200 is given: `journal` once the journal has the event, `redis` "
        "once Redis has it too, `{replicated: N}` once N replicas of Redis have it, "
        "which the embedded Valkey refuses: see [ack "
        "modes](acks-and-engines.md#ack-modes)",
        example="{replicated: 1}",
    )
    dedupe_window_s: values.Duration = _key(
        "the same body of the same app is taken once within it",
        called="dedupe_window",
        example="10m",
    )
    max_body_bytes: values.Size = _key(
        "of a body, inflated; beyond it 413", called="max_body", example="2MiB"
    )

    def given(self) -> dict[str, Any]:
        found = super().given()
        if "ack" in found:
            found["ack"], found["replicas"] = found["ack"]
        return found


class Journal(Section):
    becomes = options.JournalOptions
    max_bytes: values.Size = _key(
        "of all files together, shared among the workers; when it is full, because "
        "Redis has been away so long: 503",
        called="max_size",
        example="20GiB",
    )
    segment_bytes: values.Size = _key(
        "of one file; `max_size` holds at least two", called="segment_size", example="16MiB"
    )
    keep_s: values.Wait = _key(
        "how long published events stay, to heal a Redis that lost its tail",
        called="keep",
        example="1h",
    )
    sync_interval_s: values.Duration = _key(
        "how often it is forced to disk", called="sync_interval", example="20ms"
    )


class Retention(Section):
    becomes = options.RetentionOptions
    history_s: values.Wait = _key(
        "what the streams keep beyond what subscribers need: for watchers that come "
        "back, and for `start: earliest`",
        called="history",
        example="6h",
    )
    max_bytes: values.Size = _key("the same in bytes", called="max_size", example="2GiB")
    dead_letters_s: values.Duration = _key(
        "how long a dead letter is kept", called="dead_letters", example="30d"
    )
    dead_letters_max_bytes: values.Size = _key(
        "for each subscriber", called="dead_letters_max_size", example="1GiB"
    )


class Retry(Section):
    becomes = options.RetryOptions
    total_s: values.Duration = _key(
        "the fast lane, Stream's own table: all attempts together", called="total", example="10s"
    )
    status_attempts: values.Count = _key(
        "in the fast lane after 408, 429 and 5xx", unit="attempts", example=5
    )
    network_attempts: values.Count = _key(
        "in the fast lane after a network error", unit="attempts", example=3
    )
    timeout_attempts: values.Count = _key(
        "in the fast lane after a time-out", unit="attempts", example=2
    )
    waits_s: Annotated[list[values.Wait], Field(min_length=1)] = _key(
        "between the attempts of the fast lane", called="waits", example="[1s, 5s]"
    )
    slow_first_s: values.Duration = _key(
        "the slow lane: the bound of the first wait, which doubles each time",
        called="slow_first",
        example="1m",
    )
    slow_max_s: values.Duration = _key("up to this", called="slow_max", example="30m")
    slow_horizon_s: values.Duration = _key(
        "after this long the event goes to the dead letters", called="slow_horizon", example="3d"
    )


class Match(Section):
    becomes = options.MatchOptions
    types: list[values.Glob] = _key(
        "patterns of types, of which one must fit; none: every type", example='["call.recording_*"]'
    )
    apps: list[str] = _key(
        "API keys, of which one must be the event's; none: every app", example="[your-api-key]"
    )
    where: values.Expression = _key(
        "an expression in [CEL](https://cel.dev) over `event` that must hold",
        example="'has(event.call) && event.call.type == \"livestream\"'",
    )


class Backlog(Section):
    becomes = options.BacklogOptions
    max_age_s: values.Duration = _key(
        "what waits longer is buried as `backlog_full`", called="max_age", example="12h"
    )
    max_bytes: values.Size = _key(
        "beyond it the oldest are buried as `backlog_full`", called="max_size", example="1GiB"
    )


class Source(Section):  # flat in YAML; `build` sorts out what belongs to its kind
    becomes = options.SourceOptions
    shared_with = (options.SqsSourceOptions, options.SnsSourceOptions)
    name: values.SubscriberName = _required(
        "1 to 64 letters, digits, `.`, `_`, `-`", example="stream-queue"
    )
    kind: Literal["sqs", "sns"] = _required(
        "a queue that we read, or topics that post to us", example="sqs"
    )
    app: str = _required(
        "the API key of the app whose events these are: messages do not tell",
        example="your-api-key",
    )
    enabled: bool = _key("`false`: nothing is taken", example=False)
    queue_url: values.QueueUrl = _key(
        "of the queue", example="https://sqs.eu-west-1.amazonaws.com/123456789012/stream-events"
    )
    region: values.Region = _key("only where the URL does not tell it", example="eu-west-1")
    endpoint: values.Endpoint = _key(
        "`sqs`: an origin to ask instead of the URL's; `sns`: for private partitions "
        "and tests, where certificates come from and subscriptions are confirmed",
        example="https://sqs.eu-west-1.amazonaws.com",
    )
    receivers: Annotated[values.Count, Field(le=64)] = _key(
        "each has up to ten messages at once; 64 at most, for each worker",
        unit="receivers",
        example=4,
    )
    wait_s: values.PollWait = _key(
        "of one long poll, whole seconds up to 20s", called="wait", example="10s"
    )
    visibility_timeout_s: values.VisibilityTimeout = _key(
        "whole seconds from 5s to 12h; extended for as long as an event cannot be stored",
        called="visibility_timeout",
        example="1m",
    )
    path: values.WebhookPath = _key("where the topics post to", example="/webhooks/sns")
    topic_arns: Annotated[list[values.TopicArn], Field(min_length=1)] = _key(
        "the topics that are believed, and whose subscriptions are confirmed",
        example='["arn:aws:sns:eu-west-1:123456789012:stream-events"]',
    )
    raw_credentials: values.RawCredentials = _key(
        "`user:password` in the subscription's URL, the password of 16 characters or "
        "more: for raw message delivery, which bears no signature; without it raw messages are "
        "refused",
        example='"user:${SNS_PASSWORD}"',
    )

    def build(self) -> options.SourceOptions:
        given = self.given()
        kinds = {"sqs": options.SqsSourceOptions, "sns": options.SnsSourceOptions}
        own = kinds[self.kind](**_taken(given, kinds[self.kind]))
        return options.SourceOptions(**given, **{self.kind: own})


class Subscriber(Section):  # flat in YAML; `build` sorts out what belongs to its kind
    becomes = options.SubscriberOptions
    shared_with = (options.RetryOptions, options.HttpOptions, options.SqsOptions)
    name: values.SubscriberName = _required(
        "1 to 64 letters, digits, `.`, `_`, `-`; its backlog belongs to it", example="recordings"
    )
    kind: Literal["http", "log", "sqs"] = _required(
        "an HTTP service, a line on standard output for each event, or a queue; `sqs` "
        "needs `pip install 'stream-video-gateway[sqs]'`",
        example="http",
    )
    enabled: bool = _key("`false`: its events wait, within its backlog's bounds", example=False)
    start: Literal["now", "earliest"] = _key(
        "of a new subscriber: `now`, or `earliest` with what history still holds",
        example="earliest",
    )
    match: Match = _key("what it gets: all that is given must hold")
    order: Annotated[
        options.Order, BeforeValidator(partial(names.not_yet, word="strict", use="none or call"))
    ] = _key(
        "`call`: one after another within a call; `none` promises nothing. A FIFO "
        "queue needs `call`",
        example="call",
    )
    concurrency: values.Count = _key(
        "attempts at once; the slow lane takes half of them at most", unit="attempts", example=100
    )
    retry: Retry = _key("the two lanes")
    backlog: Backlog = _key("what may wait for it")
    timeout_s: values.Duration = _key("for one attempt", called="timeout", example="2s")
    url: values.HttpUrl = _key("where events are posted to", example="http://127.0.0.1:9000/stream")
    headers: dict[values.HeaderName, values.HeaderValue] = _key(
        "of your own, beside Stream's, which cannot be overridden",
        example='{Authorization: "${RECORDINGS_TOKEN}"}',
    )
    ca: values.Authority = _key(
        "the authorities to trust in place of the system's, as a PEM file", example="tls/ca.pem"
    )
    client_cert: values.ReadableFile = _key(
        "our certificate, if the subscriber asks for one", example="tls/cert.pem"
    )
    client_key: values.ReadableFile = _key("its key", example="tls/key.pem")
    on_410: Literal["bury", "pause"] = _key(
        "what a 410 does: the event is buried, or kept and the subscriber paused", example="pause"
    )
    max_response_bytes: values.Size = _key(
        "read of an answer's body", called="max_response", example="1KiB"
    )
    allow_networks: list[values.Network] = _key(
        "call only addresses in these networks; none: any but link-local and metadata",
        example="[10.0.0.0/8]",
    )
    queue_url: values.QueueUrl = _key(
        "of the queue", example="https://sqs.eu-west-1.amazonaws.com/123456789012/calls.fifo"
    )
    region: values.Region = _key("only where the URL does not tell it", example="eu-west-1")
    endpoint: values.Endpoint = _key(
        "an origin to ask instead of the URL's", example="https://sqs.eu-west-1.amazonaws.com"
    )
    format: Literal["base64", "gzip", "raw"] = _key(
        "how the body is written into a message; `raw` is for consumers that read "
        "JSON, and Stream's SDK for Node does not parse it",
        example="gzip",
    )

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
    enabled: bool = _key(
        "`false`: `/feed`, `/video` and `/api/v2/video` are not served", example=False
    )
    access: Literal["members", "any"] = _key(
        "who may watch a call and send to it: those whom its state or their token "
        "names, or every user (beside the demo: of `demo-key`)",
        example="any",
    )
    guests: bool = _key("`true`: whoever has no token gets one, as a user of its own", example=True)
    demo: bool = _key(
        "the page `/demo`, for `demo-key` alone, without a token; every user of that "
        "key may then watch every call",
        example=True,
    )
    origins: list[values.Origin] = _key(
        "pages that may open `/feed`: `https://app.example.com`, "
        "`https://*.example.com` (every name below it), an app's own scheme "
        '(`capacitor://localhost`, `moz-extension://*`), or `"*"`',
        example='["https://app.example.com"]',
    )
    max_connections: values.Count = _key(
        "watchers at once, for each worker", unit="connections", example=100000
    )
    max_connections_per_user: values.Count = _key(
        "those that nobody reads any more give way", unit="connections", example=5
    )
    max_watched_calls: values.Count = _key("by one connection", unit="calls", example=100)
    outbox_bytes: values.Size = _key(
        "what a watcher has not taken yet; beyond it the watcher is let go",
        called="outbox",
        example="1MiB",
    )
    max_message_bytes: values.Size = _key(
        "of one message from a watcher", called="max_message", example="16KiB"
    )
    handshake_timeout_s: values.Duration = _key(
        "until its token has come", called="handshake_timeout", example="2s"
    )
    ping_interval_s: values.Duration = _key(
        "how often a silent connection is pinged", called="ping_interval", example="10s"
    )
    max_replay_events: values.Count = _key(
        "of one resume; beyond it the answer says `recovered: false`", unit="events", example=50000
    )
    user_events_per_s: values.Count = _key(
        "custom events of one user, in each process; beyond it 429", unit="events/s", example=20
    )
    user_events_burst: values.Count = _key(
        "what may come at once after a silence", unit="events", example=60
    )
    call_events_per_s: values.Count = _key(
        "of one call, by all users and servers together, in each process",
        unit="events/s",
        example=50,
    )
    call_events_burst: values.Count = _key(
        "what may come at once after a silence", unit="events", example=150
    )
    calls_retention_s: values.Duration = _key(
        "of a call's state, after its last event", called="calls_retention", example="7d"
    )
    max_calls: values.Count = _key(
        "whose state is kept, of all apps; beyond it the longest untouched are forgotten",
        unit="calls",
        example=50000,
    )
    max_calls_bytes: values.Size = _key(
        "of their states together; likewise", called="max_calls_size", example="1GiB"
    )


class Upstream(Section):
    becomes = options.UpstreamOptions
    url: values.HttpUrl = _key(
        "without it the gateway answers alone: calls can be watched, but nobody gets "
        "media from JoinCall",
        example="https://video.stream-io-api.com",
    )
    timeout_s: values.Duration = _key(
        "for one of Stream's answers", called="timeout", example="10s"
    )
    custom_events: Literal["local", "upstream"] = _key(
        "who makes the event of a SendCallEvent: Stream, whose webhook then brings it, or we",
        example="local",
    )
    ca: values.Authority = _key(
        "the authorities to trust in place of the system's, as a PEM file", example="tls/ca.pem"
    )
    max_response_bytes: values.Size = _key(
        "of one of Stream's answers", called="max_response", example="1MiB"
    )


class Log(Section):
    becomes = options.LogOptions
    level: Literal["debug", "info", "warning", "error"] = _key(
        "what is logged, to standard error", example="warning"
    )
    format: Literal["text", "json"] = _key("`json`: an object a line", example="json")


class Document(Section):
    """The whole file."""

    becomes = options.Config
    server: Server = _key(
        "Where Stream's webhooks and the watchers come in: the address to enter in "
        "Stream's dashboard leads here."
    )
    admin: Admin = _key("`/metrics` (Prometheus), `/healthz`, `/readyz`, `/ledger`.")
    data_dir: values.AnyPath = _key(
        "The journal and the embedded Valkey's files; one gateway at a time.",
        example="/var/lib/stream-gateway",
    )
    apps: Annotated[list[App], Field(min_length=1)] = _required(
        "The Stream apps whose webhooks and tokens are taken."
    )
    redis: Redis = _key("Where events go once they are in the journal.")
    ingest: Ingest = _key("How webhooks are taken.")
    sources: Annotated[list[Source], BeforeValidator(names.listed)] = _key(
        "Other ways on which Stream sends events, beside webhooks; an event that "
        "comes by several is taken once. See [SQS and SNS](sqs-and-sns.md)."
    )
    journal: Journal = _key("Every event goes through here first, below `data_dir`.")
    retention: Retention = _key("What Redis holds beyond what subscribers still need.")
    subscribers: Annotated[list[Subscriber], BeforeValidator(names.listed)] = _key(
        "Where the events go. Each has its own backlog and retries: one that is slow "
        "or away does not hold up another."
    )
    feed: Feed = _key("Watching calls: see [watching calls](watching-calls.md).")
    upstream: Upstream = _key("Stream's API behind the gateway's own.")
    log: Log = _key("What the gateway says of itself.")
