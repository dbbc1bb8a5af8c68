"""The optional C piece: the plain case of what every webhook costs, done in one call.

It takes a whole plain request (head, signature, routing fields) to the intake and answers it,
writes journal records, has them synced and reads them back, packs the publishing commands, and
sends a frame to all who watch a call. It is never another opinion: whatever is not the plain case
it leaves to the Python code beside it, which is complete without it. The same tests run over both.

It is built where there is a C compiler when the package is installed. GATEWAY_NATIVE=0 in the
environment leaves it out. It hashes by the processor's instructions for SHA-256 where it has any
(x86, ARM), else in portable C: that is slower than OpenSSL, by far less than what it saves.
"""

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import orjson

from gateway.options import App

if TYPE_CHECKING:
    from gateway.native._native import Keyring as Keyring
    from gateway.native._native import Receiver as Receiver
    from gateway.native._native import Sockets as Sockets
    from gateway.native._native import Syncing as Syncing
else:
    Keyring = Receiver = Sockets = Syncing = Any

# "0": all of it is left out. For who measures, "-Sockets,-relay": these of its names are;
# "portable": hashing is as where the processor has no instructions for it.
_WANTED = os.environ.get("GATEWAY_NATIVE", "")


def _load() -> Any:
    if _WANTED == "0":
        return None
    try:
        return import_module("gateway.native._native")
    except ImportError:  # not built here
        return None


_native = _load()
IS_BUILT = _native is not None
if IS_BUILT and "portable" in _WANTED.split(","):
    _native.hash_by("portable")


def _found(name: str) -> Any:
    """Return what the C piece calls so; None: it is left out, or there is no C piece."""
    return getattr(_native, name) if IS_BUILT and f"-{name}" not in _WANTED.split(",") else None


# () -> what reads many sockets in one call; None: not on this system
sockets: "Callable[[], Sockets] | None" = _found("Sockets")
# (interval in s) -> `gateway.journal.syncer.Syncing`; None: not on this system
syncing: "Callable[[float], Syncing] | None" = _found("Syncing")
# (descriptor, data) -> how much of it the socket took at once
send: Callable[[int, bytes], int] | None = _found("send")
# (outlets, data): send the same bytes to all values of a dict, past the transport where it is idle
relay = _found("relay")
# (type): those whose slot `descriptor` says where bytes may go past the transport
relay_by = _found("relay_by")
# (connections, open state): give them a `data_received` that uses their Receiver, if they have one
receive_by = _found("receive_by")
# (replies, 200): resolve them all
answer = _found("answer")
# () -> an empty stretch of the journal, to be written: `gateway.event.Stretch`
stretch: Any = _found("Stretch")
# (events, number, start) -> the events as journal records, and the stretch that they are
encode = _found("encode")
# (buffer, offset, position of its start) -> the events in it, up to the first that Python must see
decode: Any = _found("decode")
# (bounds, counts, moments, now) -> the sum of what was counted
observe = _found("observe")
# (stored, shards, journal id, position behind, lead, joined) -> the shards that lack any of it and
# a command for each, or one for all, or None where an event is unfit. A shard is given by its
# position, how many keys it has, these packed, and the last arguments before the events.
publish = _found("publish")


def told() -> str:
    """Return who takes plain webhooks here, and who hashes them, in words."""
    if IS_BUILT:
        by = _native.hashing()
        how = "portable C" if by == "portable" else f"the processor's instructions ({by})"
        return f"the C piece, SHA-256 by {how}"
    if _WANTED == "0":
        return "Python, the C piece is left out (GATEWAY_NATIVE=0)"
    return "Python, the C piece is not built here: install again where there is a C compiler"


def keyring(apps: Iterable[App]) -> "Keyring | None":
    """Return the part that takes requests signed by `apps`.

    None: there is no C piece.
    """
    made = _found("Keyring")
    if made is None:
        return None
    ring: Keyring = made()
    for app in apps:
        name = app.api_key.encode()
        secrets = tuple(secret.encode() for secret in app.secrets)
        ring.add(name, app.api_key, orjson.dumps(app.api_key), name + b"\0", secrets)
    return ring


def receiver(*arguments: Any) -> "Receiver":
    """Return the part that takes plain requests of one listener; its arguments: `_native.pyi`."""
    return _native.Receiver(*arguments)  # type: ignore[no-any-return]
