"""What an error means: whose turn it is, and where to turn to."""

from typing import NamedTuple

from gateway.engine.resp import ErrorReply
from gateway.errors import (
    EngineFull,
    EngineRefused,
    EngineUnanswered,
    EngineUnavailable,
    Fenced,
)

Failure = EngineUnavailable | EngineRefused | Fenced

BROKEN = (OSError, ErrorReply)  # what an exchange raises; the latter where it was not let in

_FULL = "OOM"  # the code with which a full engine refuses what needs room
# Error replies that pass by themselves: loading, demoted, failing over, slots on the move;
# and those that pass when somebody has changed what is wrong there: a password, a setting.
_PASSING = (
    "LOADING",
    "READONLY",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "MISCONF",
    "BUSY",
    "NOREPLICAS",
    "UNBLOCKED",
    "NOAUTH",
    "DENIED",
)
_CROWDED = "ERR max number of clients"
# Of these, those after which another server may be the one to ask.
_DEPOSED = ("READONLY", "CLUSTERDOWN", "MASTERDOWN", "UNBLOCKED")
ONE_NODE = (
    "this is one node of a Cluster: write redis+cluster:// in redis.url, or rediss+cluster://"
)


class Redirection(NamedTuple):
    """Another server has the key; `once`: only for this command, which says ASKING before it."""

    once: bool
    host: str
    port: int


def explain(error: Exception) -> Failure:
    """Say whose turn it is after `error`: wait (`EngineUnavailable`) or give up.

    A script that finds its lease taken by somebody else answers `Fenced`.
    """
    text = str(error) or type(error).__name__
    if text.startswith("FENCED"):
        return Fenced(text)
    if redirection(error) is not None:
        return EngineRefused(ONE_NODE)
    if _code(error) == _FULL:
        return EngineFull(
            "the engine's memory is full and takes nothing more, what was asked is not done:"
            f" /readyz on the admin listener says who holds it ({text})"
        )
    if _code(error) in _PASSING or text.startswith(_CROWDED):
        return EngineUnavailable(text)
    return EngineUnanswered(text) if isinstance(error, OSError) else EngineRefused(text)


def is_deposed(error: Exception) -> bool:
    """Whether another server may have taken over from the one that met `error`."""
    return _code(error) in _DEPOSED or isinstance(error, OSError)


def redirection(error: Exception) -> Redirection | None:
    """Return where `error` sends us, None when it does not."""
    words = str(error).split()
    if len(words) != 3 or words[0] not in {"MOVED", "ASK"}:
        return None
    host, _, port = words[2].rpartition(":")
    return Redirection(words[0] == "ASK", host, int(port))


def _code(error: Exception) -> str:
    """Return the first word of an error reply."""
    return str(error).partition(" ")[0]
