"""The order of found calls, and a place in it from which the next page goes on. Pure.

Without a wish the newest call is first; calls that are alike in all that was asked for follow by
cid, so that an order has no ties and no call is on two pages. What a call does not have comes
last, in either direction.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from typing import Any, NamedTuple

import orjson

from gateway.calls import times
from gateway.calls.errors import bad_input
from gateway.calls.filters import MAX_PATH_CHARS, NOT_HERE, value_at

MAX_SORTS = 5
Place = tuple[Any, ...]  # the sorted values of a call, then its cid


class Sort(NamedTuple):
    path: str
    direction: int  # 1 or -1


NEWEST_FIRST = (Sort("created_at", -1),)


def read_sorts(asked: object) -> tuple[Sort, ...]:
    """Return the order that a request asks for. Raises `StreamError` 4."""
    if asked is None or asked == []:
        return NEWEST_FIRST
    if not isinstance(asked, list) or len(asked) > MAX_SORTS:
        raise bad_input(f"sort is a list of {MAX_SORTS} fields at most")
    return tuple(_read(one) for one in asked)


def _read(one: object) -> Sort:
    asked: dict[str, Any] = one if isinstance(one, dict) else {}
    path = asked.get("field")
    if not isinstance(path, str) or not 0 < len(path) <= MAX_PATH_CHARS:
        raise bad_input("a sort has a `field` of the call")
    if path.partition(".")[0] in {*NOT_HERE, "members"}:
        raise bad_input("a sort has a `field` of the call")
    direction = asked.get("direction", 1)
    if direction not in (1, -1) or isinstance(direction, bool):
        raise bad_input("a sort's `direction` is 1 or -1")
    return Sort(path, direction)


def place_of(call: Mapping[str, Any], sorts: Sequence[Sort]) -> Place:
    return (*(_value(call, one.path) for one in sorts), str(call.get("cid")))


def _value(call: Mapping[str, Any], path: str) -> Any:
    value = value_at(call, path)
    if times.is_time(path) and not path.startswith("custom."):
        return times.to_ns(value)
    return value if isinstance(value, str | int | float) else None


def comes_before(sorts: Sequence[Sort]) -> Any:
    """Return a key for `sorted` that orders places."""
    directions = [one.direction for one in sorts]

    def compare(one: Place, other: Place) -> int:
        for mine, theirs, direction in zip(one, other, directions, strict=False):
            found = _compare(mine, theirs, direction)
            if found:
                return found
        return _order(one[-1], other[-1])

    return cmp_to_key(compare)


def _compare(one: Any, other: Any, direction: int) -> int:
    if one is None or other is None:
        return (one is None) - (other is None)
    if isinstance(one, str) is not isinstance(other, str):
        return isinstance(one, str) - isinstance(other, str)
    return direction * _order(one, other)


def _order(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


def write_next(place: Place) -> str:
    """Return `next` for a page whose last call stands at `place`."""
    return urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def read_next(text: object, sorts: Sequence[Sort]) -> Place | None:
    """Return the place that a page goes on from; None: the beginning. Raises `StreamError` 4."""
    if text is None or text == "":
        return None
    try:
        place = orjson.loads(urlsafe_b64decode(str(text) + "=" * (-len(str(text)) % 4)))
    except ValueError:
        place = None
    if not isinstance(place, list) or len(place) != len(sorts) + 1:
        raise bad_input("`next` is not one of an answer to the same question")
    if not all(one is None or isinstance(one, str | int | float) for one in place):
        raise bad_input("`next` is not one of an answer to the same question")
    if not isinstance(place[-1], str):
        raise bad_input("`next` is not one of an answer to the same question")
    return tuple(place)
