"""What holds for the process as a whole: listeners, apps, sizes, Redis, Stream's API."""

import ipaddress

from gateway import options
from gateway.config.checks.entries import client_certificate
from gateway.config.checks.sound import Sound
from gateway.config.measures import size, workers
from gateway.config.source import BROKEN, Route

_SERVER, _ADMIN = options.ServerOptions(), options.AdminOptions()
_JOURNAL, _INGEST = options.JournalOptions(), options.IngestOptions()
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  # compared with, not listened on


def _ports(sound: Sound) -> None:
    public = sound.value("server", "host", default=_SERVER.host)
    private = sound.value("admin", "host", default=_ADMIN.host)
    ports = sound.value("server", "port", default=_SERVER.port)
    port = sound.value("admin", "port", default=_ADMIN.port)
    texts = isinstance(public, str) and isinstance(private, str)
    if texts and isinstance(port, int) and port == ports != 0 and _overlap(public, private):
        sound.report(
            ("admin" if sound.value("admin", "port") else "server", "port"),
            f"both listeners are on port {port}: choose another for server or admin",
        )


def _overlap(one: str, other: str) -> bool:
    """Whether listening on both hosts at one port can clash."""
    if one in _EVERY_ADDRESS or other in _EVERY_ADDRESS or one == other:
        return True
    return {one, other} <= {"localhost", "127.0.0.1", "::1"} and "localhost" in {one, other}


def _private_listener(sound: Sound) -> None:
    host = sound.value("admin", "host", default=_ADMIN.host)
    remote = sound.value("admin", "allow_remote", default=_ADMIN.allow_remote)
    if isinstance(host, str) and remote is False and not _is_loopback(host):
        sound.report(
            ("admin", "host"),
            "whoever reaches this address can read everything: use 127.0.0.1, or add "
            "`allow_remote: true` if a firewall guards it",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _apps(sound: Sound) -> None:
    for route, key in sound.texts("apps", "api_key"):
        sound.unique(route, key, "apps", "api_key", "app")
    for app in sound.entries("apps"):
        _secrets(sound, (*app, "secrets"))


def _secrets(sound: Sound, route: Route) -> None:
    secrets = sound.value(*route)
    if not isinstance(secrets, list):
        return
    if not 1 <= len(secrets) <= 2:
        sound.report(route, f"expected one secret, or two while rotating, not {len(secrets)}")
    elif len(secrets) == 2 and isinstance(secrets[0], str) and secrets[0] == secrets[1]:
        sound.report((*route, 1), "the same secret twice: remove one")


def _shares_of_the_journal(sound: Sound) -> None:
    whole = sound.parsed(size, "journal", "max_size", default=_JOURNAL.max_bytes)
    segment = sound.parsed(size, "journal", "segment_size", default=_JOURNAL.segment_bytes)
    sharing = _workers(sound)
    if whole and segment and sharing > 1 and whole >= segment * 2 > whole // sharing:
        sound.report(
            ("server", "workers"),
            f"{sharing} workers share journal.max_size, and each needs two segments of"
            " segment_size: raise max_size, or lower one of the others",
        )


def _workers(sound: Sound) -> int:
    """Return how many there are to be, 1 if it cannot be told."""
    value = sound.value("server", "workers", default=_SERVER.workers)
    try:
        return 1 if value is BROKEN else workers(value)
    except ValueError:
        return 1


def _sizes(sound: Sound) -> None:
    whole = sound.parsed(size, "journal", "max_size", default=_JOURNAL.max_bytes)
    segment = sound.parsed(size, "journal", "segment_size", default=_JOURNAL.segment_bytes)
    body = sound.parsed(size, "ingest", "max_body", default=_INGEST.max_body_bytes)
    if whole and segment and segment * 2 > whole:
        given = "segment_size" if sound.value("journal", "segment_size") else "max_size"
        sound.report(("journal", given), "max_size must hold at least two segments of segment_size")
    if body and segment and body > segment:
        is_given = sound.value("ingest", "max_body")
        sound.report(
            ("ingest", "max_body") if is_given else ("journal", "segment_size"),
            "a body of ingest.max_body must fit into journal.segment_size",
        )


def _redis(sound: Sound) -> None:
    url = sound.value("redis", "url", default="embedded")
    if isinstance(url, str) and not url.startswith("rediss"):
        _needless(
            sound,
            ("ca", "client_cert", "client_key"),
            "only rediss:// speaks TLS (also rediss+sentinel:// and rediss+cluster://):"
            " change url or remove it",
        )
    if isinstance(url, str) and "+sentinel:" not in url:
        _needless(
            sound,
            ("sentinel_username", "sentinel_password"),
            "url names no Sentinels: begin it with redis+sentinel://, or remove this",
        )
    client_certificate(sound, ("redis",))
    if url == "embedded" and isinstance(sound.value("ingest", "ack"), dict):
        sound.report(
            ("ingest", "ack"),
            "the embedded engine has no replicas: use journal or redis, or set redis.url",
        )


def _needless(sound: Sound, keys: tuple[str, ...], text: str) -> None:
    for key in keys:
        if sound.value("redis", key) is not None:
            sound.report(("redis", key), text, at_key=True)


def _upstream(sound: Sound) -> None:
    url = sound.value("upstream", "url")
    if not isinstance(url, str):
        return
    if url.rstrip("/").endswith("/video"):
        sound.report(
            ("upstream", "url"),
            "paths with /video and /api/v2/video come behind it: leave /video away",
        )
    elif "?" in url or "#" in url:
        sound.report(("upstream", "url"), "expected a URL without a query")


CHECKS = (_ports, _private_listener, _apps, _shares_of_the_journal, _sizes, _redis, _upstream)
