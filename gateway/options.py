"""Every setting of the gateway, with its unit and default, in one place. Pure data.

`config` fills these from YAML and the environment; each part is handed only its own. Keys in
YAML are the same names without the unit suffix (`timeout: 6s` becomes `timeout_s = 6.0`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

AckMode = Literal["journal", "redis", "replicated"]
Order = Literal["none", "call"]
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86400.0
DEMO_KEY, DEMO_SECRET = "demo-key", "demo-secret"  # of the file that ships: everybody knows them


@dataclass(frozen=True, kw_only=True, slots=True)
class TlsOptions:
    cert: Path
    key: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    host: str = "127.0.0.1"
    port: int = 8080
    tls: TlsOptions | None = None
    max_connections: int = 4096
    # Of requests that are not whole, all connections of a process together.
    max_unfinished_bytes: int = 64 * MIB
    header_timeout_s: float = 5.0
    body_timeout_s: float = 10.0
    # Longer than any client keeps an idle connection: the client closes first, so no request
    # is ever sent into a socket that we are closing.
    keepalive_timeout_s: float = 650.0
    drain_s: float = 10.0
    workers: int = 1  # processes that share the port and the work


@dataclass(frozen=True, kw_only=True, slots=True)
class AdminOptions:
    host: str = "127.0.0.1"
    port: int = 8081
    # Whoever reaches this listener sees everything: beyond loopback only when asked for.
    allow_remote: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """One Stream app. `secrets` newest first; its text is never printed."""

    api_key: str
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisOptions:
    url: str = field(default="embedded", repr=False)  # may carry a password
    # What the embedded engine may take of the machine. Two thirds of it or less hold data; past
    # that publishing stops and the journal fills.
    max_memory_bytes: int = 1 * GIB
    timeout_s: float = 5.0
    # How long a gateway that is silent keeps its share of the work from the others.
    lease_s: float = 10.0
    allow_volatile: bool = False  # a Redis without an append-only file
    # What Sentinels ask for; what the data's servers ask for is in the URL.
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    # Where TLS is spoken: whom to trust instead of the system's authorities, and who we are.
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestOptions:
    path: str = "/webhooks/stream"
    ack: AckMode = "journal"
    replicas: int = 0  # that have an event before its 200; not 0 exactly when ack is "replicated"
    dedupe_window_s: float = HOUR_S
    max_body_bytes: int = 1 * MIB


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalOptions:
    max_bytes: int = 4 * GIB
    segment_bytes: int = 64 * MIB
    keep_s: float = 15 * MINUTE_S
    sync_interval_s: float = 0.005


@dataclass(frozen=True, kw_only=True, slots=True)
class RetentionOptions:
    """What the streams and dead letters may hold."""

    history_s: float = HOUR_S
    max_bytes: int = 512 * MIB  # history beyond what subscribers still need, all shards
    dead_letters_s: float = 7 * DAY_S
    dead_letters_max_bytes: int = 128 * MIB  # per subscriber


@dataclass(frozen=True, kw_only=True, slots=True)
class SqsSourceOptions:
    """A queue to receive from. Its region comes from its URL where the host names one."""

    queue_url: str
    region: str | None = None
    endpoint: str | None = None  # an origin to ask instead of the queue's own
    receivers: int = 2
    wait_s: int = 20  # of one long poll
    visibility_timeout_s: int = 30  # extended until an event is safe


@dataclass(frozen=True, kw_only=True, slots=True)
class SnsSourceOptions:
    """Topics that post to a path of ours."""

    path: str
    topic_arns: tuple[str, ...]
    # `user:password` in the subscription's URL. Raw messages bear no signature: without it they
    # are refused.
    raw_credentials: str = field(default="", repr=False)
    # For private partitions and tests: an origin in place of https://sns.<region>.amazonaws.com,
    # from which certificates come and where subscriptions are confirmed.
    endpoint: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceOptions:
    """A way on which Stream sends events of one app, beside webhooks."""

    name: str
    kind: Literal["sqs", "sns"]
    app: str  # its API key
    enabled: bool = True
    sqs: SqsSourceOptions | None = None  # exactly when kind is "sqs"
    sns: SnsSourceOptions | None = None  # exactly when kind is "sns"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryOptions:
    """The two lanes. The fast lane's defaults are Stream's own table.

    https://getstream.io/video/docs/api/webhooks/overview/
    """

    timeout_s: float = 6.0  # one attempt
    total_s: float = 15.0  # all attempts of the fast lane
    status_attempts: int = 3  # 408, 429, 5xx
    network_attempts: int = 2
    timeout_attempts: int = 3
    waits_s: tuple[float, ...] = (0.5, 2.0)
    slow_first_s: float = 30.0
    slow_max_s: float = HOUR_S
    slow_horizon_s: float = DAY_S  # from the first attempt; then the dead letters


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchOptions:
    """Empty means everything. `types` are globs; `where` is a CEL expression over `event`."""

    types: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    where: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BacklogOptions:
    max_age_s: float = DAY_S
    max_bytes: int = 256 * MIB


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpOptions:
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    on_410: Literal["bury", "pause"] = "bury"
    max_response_bytes: int = 64 * KIB
    # Empty: every address but link-local and metadata ones. Else only these networks.
    allow_networks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SqsOptions:
    """A queue to send to. Its region comes from its URL where the host names one."""

    queue_url: str
    region: str | None = None
    endpoint: str | None = None  # an origin to ask instead of the queue's own
    # How the body is written into a message; Stream's SDKs all parse base64 and gzip.
    format: Literal["base64", "gzip", "raw"] = "base64"


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriberOptions:
    name: str
    kind: Literal["http", "log", "sqs"]
    enabled: bool = True
    start: Literal["now", "earliest"] = "now"
    match: MatchOptions = MatchOptions()
    order: Order = "none"
    concurrency: int = 32
    retry: RetryOptions = RetryOptions()
    backlog: BacklogOptions = BacklogOptions()
    http: HttpOptions | None = None  # exactly when kind is "http"
    sqs: SqsOptions | None = None  # exactly when kind is "sqs"


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedOptions:
    """Watching calls: by Stream's own SDKs, and by the plain feed."""

    enabled: bool = True
    # Who may watch a call and send events to it. members: those its state or their token names;
    # any: every user, but while the demo is on of the demo key alone.
    access: Literal["members", "any"] = "members"
    guests: bool = False  # whoever has no token gets one, as a user of its own
    # For the demo key alone: the demo page, tokens for whoever opens it, and access for every user.
    demo: bool = False
    # Pages of these origins may open the plain feed; `*`: all. Stream's protocol needs a token.
    origins: tuple[str, ...] = ()
    max_connections: int = 20_000
    max_connections_per_user: int = 50
    max_watched_calls: int = 1_000  # by one connection
    outbox_bytes: int = 256 * KIB  # not yet taken by a watcher; beyond it the watcher is let go
    max_message_bytes: int = 64 * KIB  # of one message from a watcher
    handshake_timeout_s: float = 5.0  # until the token has come
    ping_interval_s: float = 20.0  # Stream's SDK reconnects after 35 s without a word
    max_replay_events: int = 10_000  # of one resume; beyond it: recovered false
    # What clients make here, and ask; of all processes on one Redis together, but for requests.
    # Beyond it 429.
    user_events_per_s: int = 10  # custom events, and calls that he makes
    user_events_burst: int = 30
    call_events_per_s: int = 100  # of all users of a call, and of servers
    call_events_burst: int = 300
    new_calls_per_s: int = 100  # made by all users of an app
    new_calls_burst: int = 300
    guests_per_s: int = 100  # of an app
    guests_burst: int = 300
    user_requests_per_s: int = 50  # of one user, to one process
    user_requests_burst: int = 200
    calls_retention_s: float = 30 * DAY_S  # of a call's state, after its last event
    max_calls: int = 200_000  # of all apps; beyond it the longest untouched are forgotten
    max_calls_bytes: int = 256 * MIB  # of their states together; likewise


@dataclass(frozen=True, kw_only=True, slots=True)
class UpstreamOptions:
    """Stream's API behind ours; without `url` the gateway answers alone."""

    url: str | None = None
    timeout_s: float = 5.0
    # Who makes the event of a SendCallEvent: we, or Stream, whose webhook then brings it.
    custom_events: Literal["local", "upstream"] = "upstream"
    ca: Path | None = None
    max_response_bytes: int = 8 * MIB


@dataclass(frozen=True, kw_only=True, slots=True)
class LogOptions:
    level: str = "info"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """The whole configuration, checked.

    `given`: which keys the file names, as in `server.port`. A bound that it does not name may give
    way to what the machine has, without a word.
    """

    server: ServerOptions = ServerOptions()
    admin: AdminOptions = AdminOptions()
    data_dir: Path = Path("data")
    apps: tuple[App, ...] = ()
    redis: RedisOptions = RedisOptions()
    ingest: IngestOptions = IngestOptions()
    sources: tuple[SourceOptions, ...] = ()
    journal: JournalOptions = JournalOptions()
    retention: RetentionOptions = RetentionOptions()
    subscribers: tuple[SubscriberOptions, ...] = ()
    feed: FeedOptions = FeedOptions()
    upstream: UpstreamOptions = UpstreamOptions()
    log: LogOptions = LogOptions()
    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
