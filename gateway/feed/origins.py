"""From which pages the feed may be opened. Pure.

A browser says in `Origin` whose page asks; without this check any page that a user visits could
open a socket here in that user's name. Programs send no Origin and are not concerned.
"""

from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}


def is_allowed(origin: str | None, host: str | None, allowed: tuple[str, ...]) -> bool:
    """Tell whether a page of `origin` may come in. `host`: the request's own Host header."""
    if origin is None or "*" in allowed:
        return True
    normal = _normal(origin)
    if normal is None:  # `null`: a sandboxed frame, a file
        return False
    return normal in {_normal(one) for one in allowed} or is_same(origin, host)


def is_same(origin: str, host: str | None) -> bool:
    """Tell whether `origin` is this server's own. The scheme is not compared: TLS may end
    before us.
    """
    normal = _normal(origin)
    if normal is None or not host:
        return False
    scheme, _, authority = normal.partition("://")
    return authority == host.lower().removesuffix(_DEFAULT_PORTS[scheme])


def _normal(origin: str) -> str | None:
    """Return scheme and authority in lower case, without the scheme's own port."""
    scheme, mark, authority = origin.lower().rstrip("/").partition("://")
    if not mark or scheme not in _DEFAULT_PORTS or not authority or "/" in authority:
        return None
    try:
        urlsplit(f"{scheme}://{authority}").port  # noqa: B018  # raises for what is no port
    except ValueError:
        return None
    return f"{scheme}://{authority.removesuffix(_DEFAULT_PORTS[scheme])}"
