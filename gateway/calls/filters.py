"""Filters of QueryCalls: conditions over the fields of a call. Pure.

    {"type": "default", "custom.topic": {"$in": ["a", "b"]}, "$or": [{...}, {...}]}

Several conditions all have to hold. A field is a name or a path with dots. Times compare as
times, whichever way they are written; values of different kinds are neither equal nor ordered.
`members` holds the ids of members, `created_by_user_id` that of the creator, `ongoing` whether a
session runs.

Whoever has a token may ask, and a filter is tried on thousands of calls: what one may cost is
bounded in conditions, depth, values, members and the length of paths, and a value is looked up,
not searched for.

https://getstream.io/video/docs/javascript/guides/querying-calls/
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.calls import times
from gateway.calls.errors import StreamError, bad_input

Call = Mapping[str, Any]
Predicate = Callable[[Call], bool]
MAX_CONDITIONS, MAX_DEPTH, MAX_VALUES = 100, 8, 1000  # of one filter in all
MAX_MEMBERS = 20  # asked for by one filter: each is looked up in every call
MAX_PATH_CHARS = 256
_ABSENT: Any = object()
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_JOINED = {"$and", "$or", "$nor"}
_KNOWN = "$eq, $in, $gt, $gte, $lt, $lte, $exists, $and, $or, $nor"
# Lie apart from the rest, which is what is read of every call that a query looks at.
NOT_HERE = frozenset({"settings", "ingress", "egress", "thumbnails"})
MEMBERS = "members"


@dataclass(slots=True)
class Filter:
    """`fits` tells of a call whether it is wanted.

    `only_cids`: no other call fits; None: any may. `members`: of these users `fits` has to be
    told, in a call's `members`, whether they are members; `only_members`: calls that none of
    these is a member of do not fit.
    """

    fits: Predicate = lambda _: True
    only_cids: set[str] | None = None
    members: set[str] = field(default_factory=set)
    only_members: set[str] | None = None
    conditions: int = 0
    values: int = 0


def read_filter(conditions: object) -> Filter:
    """Return what `conditions`, JSON content, ask for. Raises `StreamError` 4."""
    found = Filter()
    found.fits = _all(_each(conditions, found, 0, narrows=True))
    return found


def value_at(call: Call, path: str) -> Any:
    """Return what a call has in a field, None for nothing."""
    found = _value(call, path)
    return None if found is _ABSENT else found


def _each(conditions: object, into: Filter, depth: int, *, narrows: bool) -> list[Predicate]:
    if not isinstance(conditions, dict):
        raise bad_input("conditions are an object of fields")
    if depth > MAX_DEPTH:
        raise bad_input(f"conditions can lie {MAX_DEPTH} levels deep")
    into.conditions += max(1, len(conditions))  # an empty one has to be tried as well
    if into.conditions > MAX_CONDITIONS:
        raise bad_input(f"a filter can have {MAX_CONDITIONS} conditions")
    found: list[Predicate] = []
    for name, condition in conditions.items():
        if name in _JOINED:
            found.append(_joined(name, condition, into, depth, narrows=narrows))
        elif name.startswith("$"):
            raise _unknown(name)
        else:
            found += _of_field(name, condition, into, narrows=narrows)
    return found


def _joined(name: str, parts: object, into: Filter, depth: int, *, narrows: bool) -> Predicate:
    if not isinstance(parts, list):
        raise bad_input(f"{name} has a list of conditions")
    narrows = narrows and name == "$and"
    tests = [_all(_each(part, into, depth + 1, narrows=narrows)) for part in parts]
    match name:
        case "$and":
            return _all(tests)
        case "$or":
            return lambda call: any(test(call) for test in tests)
    return lambda call: not any(test(call) for test in tests)


def _all(tests: list[Predicate]) -> Predicate:
    return lambda call: all(test(call) for test in tests)


def _of_field(name: str, condition: object, into: Filter, *, narrows: bool) -> Iterator[Predicate]:
    if name.partition(".")[0] in NOT_HERE or len(name) > MAX_PATH_CHARS:
        raise bad_input(f"calls cannot be found by {name[:64]}")
    asked = condition if _has_operators(condition) else {"$eq": condition}
    assert isinstance(asked, dict)
    for sign, value in asked.items():
        _count_values(value, into)
        if name == MEMBERS:
            _note_members(sign, value, into, narrows=narrows)
        elif name == "cid" and narrows and sign in {"$eq", "$in"}:
            cids = set(_texts(value))
            into.only_cids = cids if into.only_cids is None else into.only_cids & cids
        yield _test(name, sign, value)


def _count_values(value: object, into: Filter) -> None:
    into.values += len(value) if isinstance(value, list) else 1
    if into.values > MAX_VALUES:
        raise bad_input(f"a filter can have {MAX_VALUES} values")


def _has_operators(condition: object) -> bool:
    return isinstance(condition, dict) and any(key.startswith("$") for key in condition)


def _note_members(sign: str, value: object, into: Filter, *, narrows: bool) -> None:
    if sign not in {"$eq", "$in"}:
        raise bad_input("calls are found by members with $in and $eq")
    users = set(_texts(value))
    into.members |= users
    if len(into.members) > MAX_MEMBERS:
        raise bad_input(f"a filter can name {MAX_MEMBERS} members")
    if narrows:
        into.only_members = users if into.only_members is None else into.only_members


def _texts(value: object) -> Iterator[str]:
    return (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))


def _test(name: str, sign: str, value: Any) -> Predicate:
    """Return whether a call's field stands in relation `sign` to `value`."""
    is_time = times.is_time(name) and not name.startswith("custom.")
    read: Callable[[Any], Any] = _as_time if is_time else lambda value: value
    if sign == "$exists":
        if not isinstance(value, bool):
            raise bad_input("$exists has true or false")
        return lambda call: (_value(call, name) is not _ABSENT) == value
    if sign == "$in":
        if not isinstance(value, list):
            raise bad_input("$in has a list of values")
        return _is_one_of(name, read, value)
    if sign == "$eq":
        return _is_one_of(name, read, [value])
    if sign not in _ORDERS:
        raise _unknown(sign)
    one, order = read(value), _ORDERS[sign]
    return lambda call: _is_ordered(read(_value(call, name)), one, order)


def _is_one_of(name: str, read: Callable[[Any], Any], values: list[Any]) -> Predicate:
    try:
        wanted = frozenset(_key(read(one)) for one in values)
    except orjson.JSONEncodeError:
        raise bad_input(f"a value for {name[:64]} is none that a call can have") from None
    whole = any(isinstance(one, bytes) for one in wanted)
    return lambda call: _is_in(read(_value(call, name)), wanted, whole=whole)


def _unknown(sign: str) -> StreamError:
    return bad_input(f"{sign[:32]} is not known here: there are {_KNOWN}")


def _value(call: Call, path: str) -> Any:
    match path:
        case "created_by_user_id":
            path = "created_by.id"
        case "ongoing":
            return bool(call.get("current_session_id"))
    found: Any = call
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return _ABSENT
        found = found[name]
    return _ABSENT if found is None else found


def _as_time(value: Any) -> Any:
    ns = times.to_ns(value)
    return value if ns is None else ns


def _kind(value: Any) -> Any:
    """Return what a value compares with: booleans are no numbers here."""
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _key(value: Any) -> Any:
    """Return what is equal for values that are the same, and can be looked up."""
    if isinstance(value, dict | list):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return _kind(value), value


def _is_in(found: Any, wanted: frozenset[Any], *, whole: bool) -> bool:
    """Tell whether a field is one of `wanted`; a list is if it, or a part of it, is one.

    `whole`: lists or objects are among `wanted`.
    """
    if isinstance(found, list) and any(_is_in(one, wanted, whole=whole) for one in found):
        return True
    if isinstance(found, dict | list) and not whole:
        return False
    return _key(None if found is _ABSENT else found) in wanted


def _is_ordered(found: Any, wanted: Any, order: Callable[[Any, Any], bool]) -> bool:
    comparable = _kind(found) is _kind(wanted) and isinstance(found, str | int | float)
    return comparable and not isinstance(found, bool) and order(found, wanted)
