"""What of a request goes on to Stream, and what of Stream's answer comes back. Pure.

Bodies, paths and queries pass as bytes, never decoded and written anew; what is ours is cut out:
`connection_id` and `watch` name sockets that Stream does not know. Of the headers go only those
that are meant for the other end (RFC 9110, 7.6.1), and nothing that is between a browser and our
own address: cookies, CORS, who stands in front of us.
"""

from typing import Any
from urllib.parse import unquote, unquote_plus

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

Headers = CIMultiDict[str] | CIMultiDictProxy[str]
ROOTS = ("/video/", "/api/v2/video/")
OURS = frozenset({"connection_id", "watch"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_MAX_DECODED = 4  # how often a path may be percent-encoded, one in another

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Of the request: our own address, what our own server has dealt with, and what a browser or
# proxy says about the way to us. Origin and Referer go with CORS, which is answered here.
_NOT_ON = _HOP_BY_HOP | {
    "host",
    "content-length",
    "expect",
    "cookie",
    "origin",
    "referer",
    "forwarded",
    "via",
    "x-real-ip",
    "x-api-key",
}
_NOT_ON_PREFIXES = ("x-forwarded-", "access-control-", "sec-")
# Of a request whose answer we read: what would have Stream answer with less than the whole.
_CONDITIONS = {"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "range"}
# Of the answer: what binds a browser to Stream's address would bind it to ours.
_NOT_BACK = _HOP_BY_HOP | {
    "content-length",
    "set-cookie",
    "alt-svc",
    "strict-transport-security",
    "clear-site-data",
}
_NOT_BACK_PREFIXES = ("access-control-",)

_object: Any = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_bool: Any = msgspec.json.Decoder(bool).decode


def passes(path: str, query: str) -> bool:
    """Tell whether a request target, percent-encoded as received, may go on to Stream.

    It lies below one of `ROOTS` for every reader: no `.` or `..`, however encoded, also for one
    who decodes twice or takes `;` for the end of a segment; and nothing that could not stand in a
    request line.
    """
    if not path.startswith(ROOTS):
        return False
    if not all("!" <= character <= "~" for character in path + query):
        return False
    for _ in range(_MAX_DECODED):
        if not _stays_below(path):
            return False
        decoded = unquote(path, errors="replace")
        if decoded == path:
            return True
        path = decoded
    return False


def _stays_below(path: str) -> bool:
    if any(character < " " or character == "\x7f" for character in path):
        return False
    if "\ufffd" in path:  # not UTF-8, or longer than it need be: who knows as what it is read
        return False
    segments = path.replace("\\", "/").split("/")
    return not any(part.partition(";")[0] in {".", ".."} for part in segments)


def ambiguous(query: MultiMapping[str], headers: Headers) -> str | None:
    """Return what Stream might read otherwise than we do; None: nothing.

    We judge by one API key and one token, and Stream is to judge by the same.
    """
    if len(query.getall("api_key", ())) > 1:
        return "api_key"
    if any(name.lower() == "authorization" for name in query):
        return "authorization"
    for name in ("Authorization", "Stream-Auth-Type"):
        if len(headers.getall(name, ())) > 1:
            return name
    return None


def without_ours(query: str) -> str:
    """Return a raw query string without what is ours, every other byte unchanged."""
    pairs = query.split("&")
    return "&".join(pair for pair in pairs if unquote_plus(pair.partition("=")[0]) not in OURS)


def take_watch(body: bytes) -> tuple[bytes, bool]:
    """Return the body of QueryCalls without its `watch`, and whether that was true.

    A body that has none, or is no JSON object, is returned as it is: it is Stream's to judge.
    In one that has it the values of all other keys keep their bytes.
    """
    if b"watch" not in body and b"\\" not in body:  # a key may be written with escapes
        return body, False
    try:
        content = _object(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body, False
    watch = content.pop("watch", None)
    if watch is None:
        return body, False
    try:
        wanted = bool(_bool(watch))
    except msgspec.MsgspecError:
        return body, False  # not a boolean: Stream says so
    return msgspec.json.encode(content), wanted


def request_headers(received: Headers, *, readable: bool) -> CIMultiDict[str]:
    """Return what goes on. `readable`: the answer is to come whole and without a content coding."""
    if not readable:
        return _kept(received, _NOT_ON, _NOT_ON_PREFIXES)
    headers = _kept(received, _NOT_ON | _CONDITIONS, _NOT_ON_PREFIXES)
    headers["Accept-Encoding"] = "identity"
    return headers


def answer_headers(received: Headers) -> CIMultiDict[str]:
    """Return what comes back; Content-Length is left to whoever sends the body."""
    return _kept(received, _NOT_BACK, _NOT_BACK_PREFIXES)


def _kept(received: Headers, left: frozenset[str], prefixes: tuple[str, ...]) -> CIMultiDict[str]:
    lists = ",".join(received.getall("Connection", ()))
    named = {name.strip().lower() for name in lists.split(",")}
    kept: CIMultiDict[str] = CIMultiDict()
    for name, text in received.items():
        lower = name.lower()
        if lower not in left and lower not in named and not lower.startswith(prefixes):
            kept.add(name, text)
    return kept
