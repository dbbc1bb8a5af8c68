"""Who may ask the admin listener: no web page that a browser on this machine has open. Pure.

A page may make its visitor's browser send requests to loopback, and by pointing its own name
there (DNS rebinding) even read the answers. Both betray themselves: by an `Origin` that is not
ours, or by a `Host` that is a foreign name. An address as `Host` cannot be rebound.
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit


def refusal(hosts: Sequence[str], origins: Sequence[str], *, own_host: str) -> str | None:
    """Return why a request with these Host and Origin headers is refused, None if it is not.

    `own_host` is the host that the listener is configured with.
    """
    if len(hosts) != 1 or not _is_ours(host_name(hosts[0]), own_host):
        return "foreign Host"
    if len(origins) > 1 or any(
        origin.lower() != f"http://{hosts[0].lower()}" for origin in origins
    ):
        return "foreign Origin"
    return None


def host_name(authority: str) -> str | None:
    """Return the host of `host:port` or `[host]:port` in lower case, None when it is neither."""
    try:
        parts = urlsplit(f"//{authority}")
        parts.port  # noqa: B018  # raises when it is no port
        name = parts.hostname
    except ValueError:
        return None
    return name if parts.netloc == authority and parts.username is None else None


def _is_ours(name: str | None, own_host: str) -> bool:
    if not name:
        return False
    own = _address(own_host)
    address = _address(name)
    if address is None:
        return name in {"localhost", own_host.lower()}
    # Listening on every address, we have every address.
    return address.is_loopback or address == own or (own is not None and own.is_unspecified)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
