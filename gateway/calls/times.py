"""Times of Stream's: RFC 3339 and integer nanoseconds, and which fields hold one. Pure.

Webhooks bring either; /video answers the one, /api/v2/video the other, and each SDK breaks on
the wrong one. What we keep is RFC 3339 in UTC, always with nine digits after the point: two of
those compare as text as their times compare.

What applications put into `custom` is theirs: whatever looks like a time there stays as it is.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS = 1_000_000_000
_END_NS = 1 << 63  # in the year 2262: no client has room for more
_BY_USER = frozenset({"accepted_by", "rejected_by", "missed_by"})  # user -> time
_OPAQUE = "custom"


def to_ns(value: object) -> int | None:
    """Return a time of either kind as Unix nanoseconds; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < _END_NS else None
    if not isinstance(value, str):
        return None
    found = _RFC3339.fullmatch(value)
    if found is None or not value.isascii():
        return None
    *parts, fraction, sign, off_hours, off_minutes = found.groups()
    try:
        moment = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:  # the 30th of February
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    if sign:
        offset_s = int(off_hours) * 3600 + int(off_minutes) * 60
        seconds += offset_s if sign == "-" else -offset_s
    ns = seconds * _SECOND_NS + int((fraction or "").ljust(9, "0"))
    return ns if 0 <= ns < _END_NS else None


def to_text(ns: int) -> str:
    """Return Unix nanoseconds as RFC 3339, nine digits after the point."""
    seconds, rest = divmod(ns, _SECOND_NS)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]}.{rest:09d}Z"


def is_time(name: str) -> bool:
    """Tell whether a field of this name holds a time."""
    return name.endswith("_at") or name == "last_active"


def with_texts(value: Any) -> Any:
    """Return a copy of JSON content whose times are RFC 3339 as we keep them."""
    return _with(value, _text)


def with_ns(value: Any) -> Any:
    """Return a copy of JSON content whose times are nanoseconds; one that is no time is null."""
    return _with(value, to_ns)


def _text(value: Any) -> Any:
    ns = to_ns(value)
    return value if ns is None else to_text(ns)


def _with(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, list):
        return [_with(one, change) for one in value]
    if isinstance(value, dict):
        return {name: _changed(name, one, change) for name, one in value.items()}
    return value


def _changed(name: str, value: Any, change: Callable[[Any], Any]) -> Any:
    if name == _OPAQUE:
        return value
    if isinstance(value, dict | list):
        if name in _BY_USER and isinstance(value, dict):
            return {user: change(at) for user, at in value.items()}
        return _with(value, change)
    return change(value) if is_time(name) else value
