"""What takes more than one key to judge: names that clash, keys that need one another.

Runs over the plain values beside `models`, not after it, so that one run shows every
mistake: each check looks only at parts that are sound, and leaves the others alone.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any

from gateway import options
from gateway.aws import credentials, queues
from gateway.config.models import ONLY_FOR, SOURCE_ONLY_FOR
from gateway.config.source import BROKEN, Route, Source
from gateway.config.values import check_pair, duration, size, workers

_SERVER, _ADMIN = options.ServerOptions(), options.AdminOptions()
_JOURNAL, _INGEST = options.JournalOptions(), options.IngestOptions()
_RETRY = options.RetryOptions()
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # compared with, not listened on


def check(source: Source) -> None:
    """Report to `source` what is wrong between keys."""
    _Checks(source).run()


class _Checks:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._wrong = frozenset(source.broken)

    def run(self) -> None:
        self._listeners()
        self._apps()
        self._sizes()
        self._redis()
        for route, name in self._texts("sources", "name"):
            self._unique(route, name, "sources", "name", "source")
        for index in range(len(self._list(("sources",)))):
            self._one_source(("sources", index))
        self._upstream()
        for route, name in self._texts("subscribers", "name"):
            self._unique(route, name, "subscribers", "name", "subscriber")
        for index in range(len(self._list(("subscribers",)))):
            self._subscriber(("subscribers", index))

    # Looking at the sound parts.

    def _value(self, *route: str | int, default: Any = None) -> Any:
        """Return the value at `route`, the default if it is not given, BROKEN if it is wrong."""
        value = self._source.tree
        for depth, step in enumerate(route):
            if route[: depth + 1] in self._wrong:
                return BROKEN
            if value is None:
                return default
            if isinstance(step, int) and isinstance(value, list) and step < len(value):
                value = value[step]
            elif isinstance(step, str) and isinstance(value, dict):
                if step not in value:
                    return default
                value = value[step]
            else:
                return BROKEN
        return value

    def _list(self, route: Route) -> list[Any]:
        value = self._value(*route)
        return value if isinstance(value, list) else []

    def _texts(self, listed: str, key: str) -> Iterator[tuple[Route, str]]:
        """Yield the sound texts under `key` of each entry of a list."""
        for index in range(len(self._list((listed,)))):
            value = self._value(listed, index, key)
            if isinstance(value, str):
                yield (listed, index, key), value

    def _unique(self, route: Route, value: str, listed: str, key: str, called: str) -> None:
        first = next(place for place, other in self._texts(listed, key) if other == value)
        if first != route:
            line, _ = self._source.values[first]
            self._source.report(
                route, f"another {called} in line {line} has this {key}: change one"
            )

    # The checks.

    def _listeners(self) -> None:
        public = self._value("server", "host", default=_SERVER.host)
        private = self._value("admin", "host", default=_ADMIN.host)
        ports = self._value("server", "port", default=_SERVER.port)
        port = self._value("admin", "port", default=_ADMIN.port)
        texts = isinstance(public, str) and isinstance(private, str)
        if texts and isinstance(port, int) and port == ports != 0 and _overlap(public, private):
            route = ("admin" if self._value("admin", "port") else "server", "port")
            self._source.report(
                route, f"both listeners are on port {port}: choose another for server or admin"
            )
        remote = self._value("admin", "allow_remote", default=_ADMIN.allow_remote)
        if isinstance(private, str) and remote is False and not _is_loopback(private):
            self._source.report(
                ("admin", "host"),
                "whoever reaches this address can read everything: use 127.0.0.1, or add "
                "`allow_remote: true` if a firewall guards it",
            )

    def _apps(self) -> None:
        for route, key in self._texts("apps", "api_key"):
            self._unique(route, key, "apps", "api_key", "app")
        for index in range(len(self._list(("apps",)))):
            route = ("apps", index, "secrets")
            secrets = self._value(*route)
            if not isinstance(secrets, list):
                continue
            if not 1 <= len(secrets) <= 2:
                self._source.report(
                    route, f"expected one secret, or two while rotating, not {len(secrets)}"
                )
            elif len(secrets) == 2 and isinstance(secrets[0], str) and secrets[0] == secrets[1]:
                self._source.report((*route, 1), "the same secret twice: remove one")

    def _redis(self) -> None:
        url = self._value("redis", "url", default="embedded")
        for key in ("ca", "client_cert", "client_key"):
            given = self._value("redis", key) is not None
            if given and isinstance(url, str) and not url.startswith("rediss"):
                self._source.report(
                    ("redis", key),
                    "only rediss:// speaks TLS (also rediss+sentinel:// and rediss+cluster://):"
                    " change url or remove it",
                    at_key=True,
                )
        for key in ("sentinel_username", "sentinel_password"):
            given = self._value("redis", key) is not None
            if given and isinstance(url, str) and "+sentinel:" not in url:
                self._source.report(
                    ("redis", key),
                    "url names no Sentinels: begin it with redis+sentinel://, or remove this",
                    at_key=True,
                )
        self._client_certificate(("redis",))
        if url == "embedded" and isinstance(self._value("ingest", "ack"), dict):
            self._source.report(
                ("ingest", "ack"),
                "the embedded engine has no replicas: use journal or redis, or set redis.url",
            )

    def _upstream(self) -> None:
        url = self._value("upstream", "url")
        if not isinstance(url, str):
            return
        if url.rstrip("/").endswith("/video"):
            self._source.report(
                ("upstream", "url"),
                "paths with /video and /api/v2/video come behind it: leave /video away",
            )
        elif "?" in url or "#" in url:
            self._source.report(("upstream", "url"), "expected a URL without a query")

    def _sizes(self) -> None:
        whole = self._parsed(size, "journal", "max_size", default=_JOURNAL.max_bytes)
        segment = self._parsed(size, "journal", "segment_size", default=_JOURNAL.segment_bytes)
        body = self._parsed(size, "ingest", "max_body", default=_INGEST.max_body_bytes)
        sharing = self._workers()
        if whole and segment and sharing > 1 and whole >= segment * 2 > whole // sharing:
            self._source.report(
                ("server", "workers"),
                f"{sharing} workers share journal.max_size, and each needs two segments of"
                " segment_size: raise max_size, or lower one of the others",
            )
        if whole and segment and segment * 2 > whole:
            given = "segment_size" if self._value("journal", "segment_size") else "max_size"
            self._source.report(
                ("journal", given), "max_size must hold at least two segments of segment_size"
            )
        if body and segment and body > segment:
            given_route = (
                ("ingest", "max_body")
                if self._value("ingest", "max_body")
                else ("journal", "segment_size")
            )
            self._source.report(
                given_route, "a body of ingest.max_body must fit into journal.segment_size"
            )

    def _workers(self) -> int:
        """Return how many there are to be, 1 if it cannot be told."""
        value = self._value("server", "workers", default=_SERVER.workers)
        try:
            return 1 if value is BROKEN else workers(value)
        except ValueError:
            return 1

    def _parsed(self, parse: Any, *route: str | int, default: Any) -> Any:
        """Return a duration or size in its unit, None if it cannot be told."""
        value = self._value(*route)
        if value is None:
            return default
        return parse(value) if isinstance(value, str) else None

    def _subscriber(self, route: Route) -> None:
        match self._value(*route, "kind"):
            case "http":
                self._foreign(route, "http", ONLY_FOR["sqs"])
                self._http(route)
            case "sqs":
                self._foreign(route, "sqs", ONLY_FOR["http"])
                self._sqs(route)
            case "log":
                self._foreign(route, "log", ("timeout", *ONLY_FOR["http"]))
                self._foreign(route, "log", ONLY_FOR["sqs"], use="sqs")
        for index, app in enumerate(self._list((*route, "match", "apps"))):
            self._known_app((*route, "match", "apps", index), app)

    def _known_app(self, route: Route, app: object) -> None:
        known = {key for _, key in self._texts("apps", "api_key")}
        judge = all(isinstance(self._value("apps", i, "api_key"), str)
                    for i in range(len(self._list(("apps",)))))  # fmt: skip
        if judge and known and isinstance(app, str) and app not in known:
            self._source.report(
                route, f"no app has this api_key: expected one of {', '.join(sorted(known))}"
            )

    def _one_source(self, route: Route) -> None:
        self._known_app((*route, "app"), self._value(*route, "app"))
        match self._value(*route, "kind"):
            case "sqs":
                self._aws(route)
                self._foreign(route, "sqs", SOURCE_ONLY_FOR["sns"], use="sns", what="source")
                self._queue(route, "source")
            case "sns":
                self._aws(route)
                self._foreign(route, "sns", SOURCE_ONLY_FOR["sqs"], use="sqs", what="source")
                self._topics(route)

    def _topics(self, route: Route) -> None:
        for key in ("path", "topic_arns"):
            if self._value(*route, key) is None:
                self._source.report((*route, key), f"a source of kind sns needs {key}: add it")
        path = self._value(*route, "path")
        if not isinstance(path, str):
            return
        if path == self._value("ingest", "path", default=_INGEST.path):
            self._source.report((*route, "path"), "webhooks come in here: choose another path")
        self._unique((*route, "path"), path, "sources", "path", "source")

    def _foreign(
        self, route: Route, kind: str, keys: tuple[str, ...], *, use: str = "", what: str = ""
    ) -> None:
        """Report keys of another kind than this one's."""
        use = use or ("sqs" if kind == "http" else "http")
        for key in keys:
            if self._value(*route, key) is not None:
                self._source.report(
                    (*route, key),
                    f"a {what or 'subscriber'} of kind {kind} has no such key: remove it, or use"
                    f" kind: {use}",
                    at_key=True,
                )

    def _sqs(self, route: Route) -> None:
        self._aws(route)
        url = self._queue(route, "subscriber")
        if url and queues.is_fifo(url) and self._value(*route, "order") in {None, "none"}:
            self._source.report(
                (*route, "order"), "a FIFO queue needs order: call, or it would keep a wrong order"
            )
        self._within_total(route)

    def _aws(self, route: Route) -> None:
        if not credentials.is_installed():
            self._source.report(
                (*route, "kind"),
                "packages for AWS are missing: pip install 'stream-video-gateway[sqs]'",
            )

    def _queue(self, route: Route, what: str) -> str | None:
        """Check the queue's URL and region; return the URL if it is sound."""
        url = self._value(*route, "queue_url")
        if url is None:
            self._source.report(
                (*route, "queue_url"), f"a {what} of kind sqs needs a queue_url: add it"
            )
        if not isinstance(url, str):
            return None
        named, given = queues.region_of(url), self._value(*route, "region")
        if named is None and given is None:
            self._source.report(
                (*route, "queue_url"), "this URL does not tell the region: add region"
            )
        elif named and isinstance(given, str) and named != given:
            self._source.report(
                (*route, "region"), f"the queue's URL says {named}: remove region, or correct it"
            )
        return url

    def _http(self, route: Route) -> None:
        if self._value(*route, "url") is None:
            self._source.report((*route, "url"), "a subscriber of kind http needs a url: add it")
        self._client_certificate(route)
        self._headers(route)
        self._within_total(route)

    def _within_total(self, route: Route) -> None:
        timeout = self._parsed(duration, *route, "timeout", default=_RETRY.timeout_s)
        total = self._parsed(duration, *route, "retry", "total", default=_RETRY.total_s)
        if timeout and total and timeout > total:
            given = ("timeout",) if self._value(*route, "timeout") else ("retry", "total")
            self._source.report(
                (*route, *given),
                f"timeout ({timeout:g}s) is longer than retry.total ({total:g}s), which bounds "
                "all attempts of the fast lane: raise retry.total or lower timeout",
            )

    def _client_certificate(self, route: Route) -> None:
        cert, key = (self._value(*route, name) for name in ("client_cert", "client_key"))
        if (cert is None) != (key is None):
            given, other = ("client_key", "client_cert") if cert is None else (
                "client_cert", "client_key")  # fmt: skip
            self._source.report((*route, given), f"{given} needs {other} beside it", at_key=True)
        elif isinstance(cert, str) and isinstance(key, str):
            try:
                check_pair(self._source.folder / cert, self._source.folder / key)
            except ValueError as wrong:
                self._source.report((*route, "client_cert"), str(wrong))

    def _headers(self, route: Route) -> None:
        headers = self._value(*route, "headers")
        seen: set[str] = set()
        for name in headers if isinstance(headers, dict) else ():
            if name.lower() in seen:
                self._source.report(
                    (*route, "headers", name), "the same header twice: remove one", at_key=True
                )
            seen.add(name.lower())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _overlap(one: str, other: str) -> bool:
    """Whether listening on both hosts at one port can clash."""
    if one in _EVERY_ADDRESS or other in _EVERY_ADDRESS or one == other:
        return True
    return {one, other} <= {"localhost", "127.0.0.1", "::1"} and "localhost" in {one, other}
