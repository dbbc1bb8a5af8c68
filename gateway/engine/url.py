"""Where Redis is: what the URL in the configuration says. Pure.

    redis://host:6379/0  rediss://...  unix:///path     one server
    redis+sentinel://host:26379,host:26379/name/0       the master that Sentinels know as `name`
    redis+cluster://host:6379,host:6379                 a Cluster, of which these are some nodes

With `rediss+` in front, everything is spoken over TLS. `user:password@` before the hosts is for
the servers that hold the data; what Sentinels ask for has keys of its own.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

Kind = Literal["one", "sentinel", "cluster"]
HostPort = tuple[str, int]

EXPECTED = (
    "`embedded`, or a URL that begins with redis://, rediss://, unix://, redis+sentinel:// or"
    " redis+cluster://"
)
_SCHEMES: dict[str, tuple[Kind, str]] = {
    "redis": ("one", "redis"),
    "rediss": ("one", "rediss"),
    "unix": ("one", "unix"),
    "redis+sentinel": ("sentinel", "redis"),
    "rediss+sentinel": ("sentinel", "rediss"),
    "redis+cluster": ("cluster", "redis"),
    "rediss+cluster": ("cluster", "rediss"),
}
DEFAULT_PORT = {"one": 6379, "sentinel": 26379, "cluster": 6379}
_DATABASE_PATH = re.compile(r"/?|/[0-9]{1,4}")
_DATABASE_ASKED = re.compile(r"|db=[0-9]{1,4}")
_DATABASE_EXPECTED = (
    "nothing but the number of a database may follow, such as redis://host:6379/0 or"
    " unix:///path?db=0; in a password write / as %2F, ? as %3F, # as %23"
)
_SENTINEL_PATH = re.compile(r"/([A-Za-z0-9._-]{1,128})(?:/([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class EngineUrl:
    """What a URL says. `seeds`: whom to ask first, where that is not the server itself."""

    kind: Kind
    url: str
    scheme: str
    credentials: str = ""  # as in the URL, with the @
    seeds: tuple[HostPort, ...] = ()
    name: str = ""
    database: int = 0

    def server(self, host: str, port: int) -> str:
        """Return the URL of one of its servers."""
        return f"{self.scheme}://{self.credentials}{at(host, port)}/{self.database}"

    def sentinel(self, host: str, port: int) -> str:
        """Return the URL of one of its Sentinels, without credentials."""
        return f"{self.scheme}://{at(host, port)}"


def at(host: str, port: int) -> str:
    """Return `host:port`, with brackets where the host is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse(url: str) -> EngineUrl:
    """Return what `url` says. Raises `ValueError`, whose text repeats nothing of the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"not a valid URL: expected {EXPECTED}") from None
    if parts.scheme not in _SCHEMES or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError(f"expected {EXPECTED}")
    kind, scheme = _SCHEMES[parts.scheme]
    _check_rest(kind, parts)
    credentials, _, hosts = parts.netloc.rpartition("@")
    if scheme == "unix":
        if hosts or not parts.path:
            raise ValueError("the URL names no socket: expected unix:///path/to/socket")
        return EngineUrl(kind, url, scheme)
    seeds = tuple(_seed(host, DEFAULT_PORT[kind]) for host in hosts.split(","))
    if kind == "one":
        if len(seeds) > 1:
            raise ValueError("several hosts: begin with redis+sentinel:// or redis+cluster://")
        return EngineUrl(kind, url, scheme)
    name, database = _set_of(kind, parts.path)
    return EngineUrl(
        kind, url, scheme, f"{credentials}@" if credentials else "", seeds, name, database
    )


def _seed(text: str, default_port: int) -> HostPort:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("a port in the URL is none: expected host:port") from None
    if not host:
        raise ValueError("the URL names no host: expected redis://host:6379/0")
    if port == 0:
        raise ValueError("a port in the URL is none: expected host:port")
    return host, default_port if port is None else port


def _check_rest(kind: Kind, parts: SplitResult) -> None:
    """Refuse what would mean nothing: most likely it belongs to a password."""
    if parts.fragment:
        raise ValueError(_DATABASE_EXPECTED)
    if kind != "one":
        if parts.query:
            raise ValueError("a query has no meaning here: leave out what follows the ?")
        return
    is_path_fine = parts.scheme == "unix" or _DATABASE_PATH.fullmatch(parts.path) is not None
    if not is_path_fine or _DATABASE_ASKED.fullmatch(parts.query) is None:
        raise ValueError(_DATABASE_EXPECTED)


def _set_of(kind: Kind, path: str) -> tuple[str, int]:
    if kind == "cluster":
        if path not in {"", "/", "/0"}:
            raise ValueError("a Cluster has no other databases than 0: leave out the path")
        return "", 0
    found = _SENTINEL_PATH.fullmatch(path)
    if found is None:
        raise ValueError(
            "the URL names no master: expected redis+sentinel://host:26379/mymaster, or"
            " .../mymaster/0 with the database"
        )
    return found[1], int(found[2] or 0)
