"""From which pages the feed may be opened. Pure.

A browser says in `Origin` whose page asks; without this check any page that a user visits could
open a socket here in that user's name. Programs send no Origin and are not concerned.

What may be allowed: an origin; `https://*.example.com`, which is every name below example.com and
not that itself; an app's own scheme, `capacitor://localhost`; all of one, `moz-extension://*`,
whose hosts differ by installation; `*`, everybody. `null` is nobody's name: any page can have it.
"""

import re
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_ANY_HOST = "*."
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_LABELS = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def is_allowed(origin: str | None, host: str | None, allowed: tuple[str, ...]) -> bool:
    """Tell whether a page of `origin` may come in. `host`: the request's own Host header."""
    if origin is None or "*" in allowed:
        return True
    normal = _normal(origin)
    if normal is None or "*" in normal:  # `null`: a sandboxed frame, a file
        return False
    return is_same(origin, host) or any(_fits(normal, one) for one in allowed)


def is_same(origin: str, host: str | None) -> bool:
    """Tell whether `origin` is this server's own. The scheme is not compared: TLS may end
    before us.
    """
    normal = _normal(origin)
    if normal is None or not host:
        return False
    scheme, _, authority = normal.partition("://")
    if scheme not in _DEFAULT_PORTS:
        return False
    return authority == host.lower().removesuffix(_DEFAULT_PORTS[scheme])


def _fits(normal: str, allowed: str) -> bool:
    pattern = _normal(allowed)
    if pattern is None or normal == pattern:
        return pattern is not None
    scheme, _, authority = pattern.partition("://")
    own_scheme, _, own = normal.partition("://")
    if own_scheme != scheme:
        return False
    if authority == "*":
        return scheme not in _DEFAULT_PORTS
    if not authority.startswith(_ANY_HOST) or not own.endswith(authority[1:]):
        return False
    return _LABELS.fullmatch(own.removesuffix(authority[1:])) is not None


def _normal(origin: str) -> str | None:
    """Return scheme and authority in lower case, without the scheme's own port."""
    scheme, mark, authority = origin.lower().rstrip("/").partition("://")
    if not mark or not _SCHEME.fullmatch(scheme) or not authority or "/" in authority:
        return None
    try:
        urlsplit(f"{scheme}://{authority}").port  # noqa: B018  # raises for what is no port
    except ValueError:
        return None
    return f"{scheme}://{authority.removesuffix(_DEFAULT_PORTS.get(scheme, ''))}"
