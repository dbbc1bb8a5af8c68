"""What was answered for a name, and for how long it stands in for an answer that does not come.

Pure. Times are seconds of one clock.

It is used while a lookup hangs or fails for the moment, and for `gone_after_s` while we are told
that there is no such name: a zone that is being replaced says so for a moment, one that was given
up says so for ever. Never longer than `kept_s` (RFC 8767), and never in place of a newer answer:
where a name moves to another server, that is followed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohappyeyeballs import AddrInfoType

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class LookupBounds:
    gone_after_s: float = 30.0
    kept_s: float = 86_400.0


class KnownAddresses:
    """Of one name. `addresses`: the last that were answered, none if there never was an answer."""

    def __init__(self, bounds: LookupBounds) -> None:
        self.addresses: Sequence[AddrInfoType] = ()
        self._bounds = bounds
        self._answered_at = _NEVER
        self._gone_since: float | None = None

    def answered(self, addresses: Sequence[AddrInfoType], now: float) -> None:
        self.addresses, self._answered_at, self._gone_since = addresses, now, None

    def gone(self, now: float) -> None:
        if self._gone_since is None:
            self._gone_since = now

    def is_younger(self, than_s: float, now: float) -> bool:
        return bool(self.addresses) and now - self._answered_at < than_s

    def is_usable(self, now: float) -> bool:
        """Whether it may be used in place of an answer."""
        since = self._gone_since
        if since is not None and now - since >= self._bounds.gone_after_s:
            return False
        return self.is_younger(self._bounds.kept_s, now)
