"""Where something is: hosts, ports, paths, URLs, networks, and the names AWS gives.

A function returns the checked text, in the one form that the rest of the gateway expects, or
raises `ValueError` with a text that says what would be right. A URL may hold a secret: no text
repeats one.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from gateway.config.names import matching
from gateway.engine import url
from gateway.listening import EVERYWHERE

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,252})")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+){1,4}")
_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}")


def host(value: str) -> str:
    if value == "*":
        return EVERYWHERE
    try:
        ipaddress.ip_address(value)
    except ValueError:
        matching(_HOST, value, "an address or host name, without scheme and port")
    return value


def webhook_path(value: str) -> str:
    if value in {"/healthz", "/readyz"}:
        raise ValueError("this path answers health checks: choose another")
    return matching(_PATH, value, "a path such as /webhooks/stream")


def public_port(value: int) -> int:
    if value == 3030:
        raise ValueError("Stream's SDK turns :3030 into :8800 by itself: choose another port")
    return value


def _split(value: str, expected: str, schemes: tuple[str, ...]) -> SplitResult:
    try:
        url = urlsplit(value)
        url.port  # noqa: B018  # raises when it is no port
    except ValueError:
        raise ValueError(f"not a valid URL: expected {expected}") from None
    if url.scheme not in schemes or re.search(r"[\s\x00-\x1f\x7f]", value):
        raise ValueError(f"expected {expected}")
    return url


def http_url(value: str) -> str:
    url = _split(value, "a URL that begins with http:// or https://", ("http", "https"))
    if not url.hostname:
        raise ValueError("the URL names no host: expected http://host:port/path")
    if "@" in url.netloc:
        raise ValueError("credentials do not belong in the URL: use headers: {Authorization: ...}")
    return value


_APP_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_NO_ORIGINS = ("file", "data", "blob", "about", "javascript", "ws", "wss")  # no page is of these
_EXPECTED_ORIGIN = (
    "expected an origin as a browser sends it: https://host or https://host:port,"
    " https://*.example.com for all names below one, an app's own such as capacitor://localhost or"
    " moz-extension://*, or * for everybody"
)


def origin(value: str) -> str:
    """Check what a browser sends as Origin, `https://host[:port]`; a pattern for some; or `*`."""
    if value == "*":
        return value
    scheme, mark, authority = value.lower().partition("://")
    if not mark or not _APP_SCHEME.fullmatch(scheme) or scheme in _NO_ORIGINS:
        raise ValueError(_EXPECTED_ORIGIN)
    if scheme not in {"http", "https"}:
        if not re.fullmatch(r"[a-z0-9._~{}-]+(:[0-9]{1,5})?|\*", authority):
            raise ValueError(_EXPECTED_ORIGIN)
        return value.lower()
    parts = _split(value, "an origin, https://host or https://host:port, or *", ("http", "https"))
    if value.endswith("/") or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(
            "expected an origin: scheme, host and port alone, https://host[:port], without a slash"
            " behind"
        )
    below = authority.removeprefix("*.")
    if "*" in below or not below or below.startswith((".", ":")):
        raise ValueError("a * stands in front, for the names below a domain: https://*.example.com")
    return value.lower()


def queue_url(value: str) -> str:
    url = _split(value, "the URL of a queue, as AWS shows it", ("http", "https"))
    if not url.hostname or "@" in url.netloc or url.query or url.path.strip("/") == "":
        raise ValueError("expected the URL of a queue: https://sqs.<region>.amazonaws.com/...")
    return value


def endpoint(value: str) -> str:
    url = _split(value, "an origin such as https://host:port", ("http", "https"))
    if not url.hostname or "@" in url.netloc or url.path.strip("/") or url.query:
        raise ValueError("expected an origin such as https://host:port, without a path")
    return f"{url.scheme}://{url.netloc}"


def region(value: str) -> str:
    return matching(_REGION, value, "a region such as eu-west-1")


def topic_arn(value: str) -> str:
    expected = "the ARN of a topic, such as arn:aws:sns:eu-west-1:123456789012:events"
    return matching(_TOPIC_ARN, value, expected)


def redis_url(value: str) -> str:
    if value != "embedded":
        url.parse(value)
    return value


def network(value: str) -> str:
    try:
        found = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("expected a network such as 10.0.0.0/8 or fd00::/8") from None
    if ipaddress.ip_address(value.partition("/")[0]) != found.network_address:
        raise ValueError(f"the address has bits beyond its prefix: did you mean {found}?")
    return str(found)
