"""The kinds of single values in the configuration: how each is written, and what it becomes.

A function takes what YAML had and returns the checked value, or raises `ValueError` with a
text that says what would be right. No text repeats a value that may be a secret.
"""

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from gateway.config.processors import processors
from gateway.delivery.matching import compile_where
from gateway.stream import places
from gateway.stream.keys import GATEWAY

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_API_KEY = re.compile(r"[!-~]{1,128}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,252})")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_REGION = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+){1,4}")
_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}")
_MIN_PASSWORD = 16
_GLOB = re.compile(r"(?:[^\s,\[\]{}]|\[[^\s,\[\]]+\])+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t -~\u0080-\u00ff]*")
# What the gateway or HTTP itself says about a delivery.
_OWN_HEADERS = ("connection", "content-length", "transfer-encoding", "x-api-key", "x-signature")
_OWN_PREFIXES = ("x-webhook-", "x-gateway-")
MAX_WORKERS = 64
_MAX_SECRET_FILE_BYTES = 64 << 10


def duration(value: object) -> float:
    """Return seconds for `250ms`, `6s`, `15m`, `1h` or `7d`."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected a duration with its unit, such as 250ms, 6s, 15m, 1h or 7d")
    return float(found[1]) * _SECONDS[found[2]]


def positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be more than zero")
    return value


def size(value: object) -> int:
    """Return bytes for `512B`, `64KiB`, `1MiB` or `2GiB`."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected a size with its unit, such as 512B, 64KiB, 1MiB or 2GiB")
    return int(found[1]) * _BYTES[found[2]]


def workers(value: object) -> int:
    """Return how many processes: a number, or one for each processor that we may use."""
    if value == "auto":
        return min(processors(), MAX_WORKERS)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_WORKERS:
        raise ValueError(f"expected a number of processes from 1 to {MAX_WORKERS}, or auto")
    return value


def subscriber_name(value: str) -> str:
    if value == GATEWAY:
        raise ValueError(f"`{GATEWAY}` is taken by the gateway's own dead letters: choose another")
    return _matching(_NAME, value, "1 to 64 letters, digits, `.`, `_` or `-`")


def _matching(pattern: re.Pattern[str], value: str, expected: str) -> str:
    if pattern.fullmatch(value) is None:
        raise ValueError(f"expected {expected}")
    return value


def api_key(value: str) -> str:
    return _matching(_API_KEY, value, "1 to 128 printable characters without spaces")


def host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        _matching(_HOST, value, "an address or host name, without scheme and port")
    return value


def webhook_path(value: str) -> str:
    if value in {"/healthz", "/readyz"}:
        raise ValueError("this path answers health checks: choose another")
    return _matching(_PATH, value, "a path such as /webhooks/stream")


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


def origin(value: str) -> str:
    """Check what a browser sends as Origin: `https://host[:port]`, or `*`."""
    if value == "*":
        return value
    parts = _split(value, "an origin, https://host or https://host:port, or *", ("http", "https"))
    if value.endswith("/") or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("expected an origin: scheme, host and port alone, without a slash behind")
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
    return _matching(_REGION, value, "a region such as eu-west-1")


def lease(value: object) -> float:
    seconds = duration(value)
    if not 1 <= seconds <= 60:
        raise ValueError("expected 1s to 1m: how long nobody takes over from a silent gateway")
    return seconds


def _whole_seconds(value: object, least: int, most: int) -> int:
    seconds = duration(value)
    if not seconds.is_integer() or not least <= seconds <= most:
        raise ValueError(f"expected whole seconds, from {least}s to {most}s")
    return int(seconds)


def poll_wait(value: object) -> int:
    return _whole_seconds(value, 1, 20)


def visibility_timeout(value: object) -> int:
    return _whole_seconds(value, 5, 43_200)


def topic_arn(value: str) -> str:
    expected = "the ARN of a topic, such as arn:aws:sns:eu-west-1:123456789012:events"
    return _matching(_TOPIC_ARN, value, expected)


def raw_credentials(value: str) -> str:
    user, colon, password = value.partition(":")
    if not colon or not user or len(password) < _MIN_PASSWORD:
        raise ValueError(
            f"expected user:password, the latter of {_MIN_PASSWORD} characters or more"
        )
    return value


def redis_url(value: str) -> str:
    if value != "embedded":
        places.parse(value)
    return value


def text(value: str) -> str:
    if not value:
        raise ValueError("expected text, and this has none")
    return value


def glob(value: str) -> str:
    return _matching(_GLOB, value, "one event type or pattern, such as call.recording_*")


def expression(value: str) -> str:
    compile_where(value)
    return value


def network(value: str) -> str:
    try:
        found = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("expected a network such as 10.0.0.0/8 or fd00::/8") from None
    if ipaddress.ip_address(value.partition("/")[0]) != found.network_address:
        raise ValueError(f"the address has bits beyond its prefix: did you mean {found}?")
    return str(found)


def header_name(value: str) -> str:
    if value.lower() in _OWN_HEADERS or value.lower().startswith(_OWN_PREFIXES):
        raise ValueError("the gateway sets this header itself: remove it")
    return _matching(_HEADER_NAME, value, "the name of a header")


def header_value(value: str) -> str:
    return _matching(_HEADER_VALUE, value, "one line of Latin-1 text")


def path(value: object, info: ValidationInfo) -> Path:
    """Return an absolute path; a relative one starts at the file's own folder."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a path")
    folder: Path = (info.context or {})["folder"]
    return folder / value


def readable_file(value: object, info: ValidationInfo) -> Path:
    file = path(value, info)
    _content(file, limit=1, called=str(file))
    return file


def _content(file: Path, *, limit: int, called: str) -> bytes:
    """Return the first `limit` bytes of a regular file."""
    try:
        if not file.is_file():
            raise ValueError(f"no such file: {called}")
        with file.open("rb") as stream:
            return stream.read(limit)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}): {called}") from None


def secret(value: object, info: ValidationInfo) -> str:
    """Return the secret's text, from the file itself or from `{file: path}`."""
    if isinstance(value, dict) and set(value) == {"file"}:
        return _secret_in(path(value["file"], info))
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004  # pydantic collects this one only
            "expected text (in quotes if it is a number) or {file: path}"
        )
    if not value:
        raise ValueError("the secret is empty")
    return value


def _secret_in(file: Path) -> str:
    # The path is not repeated: whoever confuses the two forms has written the secret there.
    called = "the file of this secret (a relative path starts at the configuration's folder)"
    content = _content(file, limit=_MAX_SECRET_FILE_BYTES + 1, called=called)
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("the file of this secret is not UTF-8 text") from None
    if not text or len(content) > _MAX_SECRET_FILE_BYTES:
        raise ValueError("the file of this secret is empty or larger than 64KiB")
    return text


def authority(value: object, info: ValidationInfo) -> Path:
    file = readable_file(value, info)
    try:
        ssl.create_default_context(cafile=file)
    except (ssl.SSLError, OSError):
        raise ValueError(f"holds no certificate in PEM form: {file}") from None
    return file


def check_pair(cert: Path, key: Path) -> None:
    """Raise `ValueError` unless both load and belong together."""
    try:
        # The password is answered here: OpenSSL would ask for it at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, lambda: b"")
    except (ssl.SSLError, OSError):
        raise ValueError(
            "the certificate and its key cannot be used together: expected two PEM files that "
            "belong to each other, the key without a password"
        ) from None


def ack(value: object) -> tuple[str, int]:
    """Return the mode, and how many replicas it waits for."""
    if isinstance(value, str) and value in {"journal", "redis"}:
        return value, 0
    if isinstance(value, dict) and set(value) == {"replicated"}:
        replicas = value["replicated"]
        if type(replicas) is not int or replicas < 1:
            raise ValueError("expected how many replicas, 1 or more: {replicated: 1}")
        return "replicated", replicas
    raise ValueError("expected `journal`, `redis` or {replicated: 1}, with how many replicas")


def listed(value: object) -> Any:
    """Take a list whose entries are all commented out for an empty one."""
    return [] if value is None else value


def not_yet(value: object, *, word: str, use: str) -> Any:
    if value == word:
        raise ValueError(f"`{word}` is not available: use {use}")
    return value


_AS_TEXT = {"type": "string"}
Wait = Annotated[float, BeforeValidator(duration), WithJsonSchema(_AS_TEXT)]
Duration = Annotated[Wait, AfterValidator(positive)]
Lease = Annotated[float, BeforeValidator(lease), WithJsonSchema(_AS_TEXT)]
Size = Annotated[int, BeforeValidator(size), AfterValidator(positive), WithJsonSchema(_AS_TEXT)]
Ack = Annotated[
    tuple[str, int],
    BeforeValidator(ack),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["journal", "redis"]},
                {
                    "type": "object",
                    "properties": {"replicated": {"type": "integer", "minimum": 1}},
                    "required": ["replicated"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Count = Annotated[int, Field(ge=1)]
Workers = Annotated[
    int,
    BeforeValidator(workers),
    WithJsonSchema(
        {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MAX_WORKERS}]}
    ),
]
Port = Annotated[int, Field(ge=0, le=65535)]
PublicPort = Annotated[Port, AfterValidator(public_port)]
Host = Annotated[str, AfterValidator(host)]
WebhookPath = Annotated[str, AfterValidator(webhook_path)]
SubscriberName = Annotated[str, AfterValidator(subscriber_name)]
ApiKey = Annotated[str, AfterValidator(api_key)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
Origin = Annotated[str, AfterValidator(origin)]
QueueUrl = Annotated[str, AfterValidator(queue_url)]
Endpoint = Annotated[str, AfterValidator(endpoint)]
Region = Annotated[str, AfterValidator(region)]
PollWait = Annotated[int, BeforeValidator(poll_wait), WithJsonSchema(_AS_TEXT)]
VisibilityTimeout = Annotated[int, BeforeValidator(visibility_timeout), WithJsonSchema(_AS_TEXT)]
TopicArn = Annotated[str, AfterValidator(topic_arn)]
Text = Annotated[str, AfterValidator(text)]
RedisUrl = Annotated[str, AfterValidator(redis_url)]
Glob = Annotated[str, AfterValidator(glob)]
Expression = Annotated[str, AfterValidator(expression)]
Network = Annotated[str, AfterValidator(network)]
HeaderName = Annotated[str, AfterValidator(header_name)]
HeaderValue = Annotated[str, AfterValidator(header_value)]
AnyPath = Annotated[Path, BeforeValidator(path), WithJsonSchema(_AS_TEXT)]
ReadableFile = Annotated[Path, BeforeValidator(readable_file), WithJsonSchema(_AS_TEXT)]
Authority = Annotated[Path, BeforeValidator(authority), WithJsonSchema(_AS_TEXT)]
Secret = Annotated[str, BeforeValidator(secret)]
RawCredentials = Annotated[Secret, AfterValidator(raw_credentials)]
