"""An event's body as JSON content, also where it holds half an emoji. Pure.

Applications cut texts, and what is left of a surrogate pair is good JSON that our parsers refuse.
What such an event says of a call counts all the same, or a member could not be removed from it.
What is half becomes U+FFFD, since it can be in no JSON of ours.
"""

import json
import re
from typing import Any

import orjson

_HALF = re.compile("[\ud800-\udfff]")
_LONGEST_INT = 19  # digits of one with 64 bits


def read_event(body: bytes) -> dict[str, Any]:
    """Return what an event says; nothing where it cannot be read."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        event = _read_lax(body)
    return event if isinstance(event, dict) else {}


def _read_lax(body: bytes) -> Any:
    try:
        found = json.dumps(json.loads(body, parse_int=_number), ensure_ascii=False)
        return orjson.loads(_HALF.sub("\ufffd", found))
    except (ValueError, RecursionError):
        return None


def _number(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_INT else float(digits)
