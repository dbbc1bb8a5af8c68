"""Names, patterns and other words: what each may consist of.

A function returns the checked text or raises `ValueError` with a text that says what would be
right, and never repeats what it was given.
"""

import re
from typing import Any

from gateway.delivery.matching import compile_where
from gateway.store.keys import GATEWAY

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_API_KEY = re.compile(r"[!-~]{1,128}")
_GLOB = re.compile(r"(?:[^\s,\[\]{}]|\[[^\s,\[\]]+\])+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t -~\u0080-\u00ff]*")
# What the gateway or HTTP itself says about a delivery.
_OWN_HEADERS = ("connection", "content-length", "transfer-encoding", "x-api-key", "x-signature")
_OWN_PREFIXES = ("x-webhook-", "x-gateway-")


def matching(pattern: re.Pattern[str], value: str, expected: str) -> str:
    if pattern.fullmatch(value) is None:
        raise ValueError(f"expected {expected}")
    return value


def text(value: str) -> str:
    if not value:
        raise ValueError("expected text, and this has none")
    return value


def subscriber_name(value: str) -> str:
    if value == GATEWAY:
        raise ValueError(f"`{GATEWAY}` is taken by the gateway's own dead letters: choose another")
    return matching(_NAME, value, "1 to 64 letters, digits, `.`, `_` or `-`")


def api_key(value: str) -> str:
    return matching(_API_KEY, value, "1 to 128 printable characters without spaces")


def glob(value: str) -> str:
    return matching(_GLOB, value, "one event type or pattern, such as call.recording_*")


def expression(value: str) -> str:
    compile_where(value)
    return value


def header_name(value: str) -> str:
    if value.lower() in _OWN_HEADERS or value.lower().startswith(_OWN_PREFIXES):
        raise ValueError("the gateway sets this header itself: remove it")
    return matching(_HEADER_NAME, value, "the name of a header")


def header_value(value: str) -> str:
    return matching(_HEADER_VALUE, value, "one line of Latin-1 text")


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
