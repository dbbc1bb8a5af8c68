"""A name in trouble, and what a person is told of it: once at its beginning, once at its end."""

import logging
import socket

from gateway.logs import log

_TELL_AGAIN_S = 60.0  # a name that comes and goes is not told of oftener
_LOOK_AT = "look at the DNS servers of its zone, and at those that this machine asks"
_NEVER = float("-inf")
# Not every system has all of them.
_GONE = {
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
}
_log = logging.getLogger(__name__)


def is_gone(error: BaseException) -> bool:
    """Whether `error` says for certain that there is no such name."""
    return isinstance(error, socket.gaierror) and error.errno in _GONE


class Trouble:
    """Of the name `host`. Times are seconds of one clock."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._since: float | None = None
        self._is_told = False
        self._told_at = _NEVER

    @property
    def is_on(self) -> bool:
        """Whether the last lookup has hung, or failed for the moment."""
        return self._since is not None

    def begin(self, since: float) -> None:
        if self._since is None:
            self._since = since

    def tell(self, why: str, now: float, *, has_known: bool) -> None:
        """Say what it means, unless that was said. `has_known`: addresses that are still used."""
        if self._is_told or now - self._told_at < _TELL_AGAIN_S:
            return
        self._is_told, self._told_at = True, now
        meaning = (
            "its last known addresses are used"
            if has_known
            else "whoever is called by it is not reached"
        )
        log(
            _log,
            logging.WARNING,
            f"the host name {self._host} is not answered for: {meaning}; {_LOOK_AT}",
            reason=why,
        )

    def end(self, now: float, *, is_answered: bool) -> None:
        """Go back to patience; say so where there is an answer, and the beginning was told."""
        self._since = None
        if self._is_told and is_answered:
            self._is_told = False
            log(
                _log,
                logging.INFO,
                f"the host name {self._host} is answered for again",
                after_s=round(now - self._told_at, 1),
            )
