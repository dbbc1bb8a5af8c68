"""Where the server's socket can be: beside its data, or where that cannot hold one, elsewhere.

The kernel takes socket paths of about a hundred bytes only, and not every file system holds
sockets (a share of a virtual machine, some network mounts). So one is bound where it is to be,
to see. The next places are private folders in $XDG_RUNTIME_DIR and in /tmp.
"""

import os
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from gateway.embedded.folder import Folder
from gateway.errors import EmbeddedEngineError

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
_MAX_PATH_BYTES = 103
_NAME, _PROBE = "valkey.sock", "probe.sock"
_PRIVATE = 0o700


def place_socket(folder: Folder, environ: Mapping[str, str]) -> Path:
    """Return a path where a socket can be, in a folder that only we can enter.

    Raises `EmbeddedEngineError` when there is none, with what was wrong everywhere.
    """
    refused = []
    for place in _places(folder, environ):
        why = _refusal(place, is_own=place == folder.path)
        if why is None:
            return place / _NAME
        refused.append(f"{place} ({why})")
        if place != folder.path:
            with suppress(OSError):  # others' files in it, or not ours to take away
                place.rmdir()
    raise EmbeddedEngineError(
        f"no place takes the embedded Valkey's unix socket: {', '.join(refused)}. Put data_dir on"
        " a disk of this machine and under a shorter path, or name a folder that takes sockets in"
        " $XDG_RUNTIME_DIR"
    )


def _places(folder: Folder, environ: Mapping[str, str]) -> Iterator[Path]:
    yield folder.path
    name = f"gateway-{os.getuid()}-{sha256(os.fsencode(folder.path)).hexdigest()[:12]}"
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime).absolute() / name
    yield Path("/tmp", name)  # noqa: S108
    # Anybody may write to /tmp: a folder there that is not ours alone is left to whoever made it.
    with suppress(OSError):
        yield Path(tempfile.mkdtemp(prefix="gateway-", dir="/tmp"))


def _refusal(place: Path, *, is_own: bool) -> str | None:
    """Bind a socket in `place`; return why that cannot be, None when it can."""
    if len(os.fsencode(place / _NAME)) > _MAX_PATH_BYTES:
        return "the path is too long"
    probe = place / _PROBE
    try:
        if not is_own and not _is_ours(place):
            return "others can enter it"
        probe.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(probe))
            probe.chmod(_PRIVATE)  # as the server does with its own
        probe.unlink()
    except OSError as error:
        with suppress(OSError):
            probe.unlink()
        return error.strerror or str(error)
    return None


def _is_ours(place: Path) -> bool:
    """Make the folder if need be; tell whether it is a real one that nobody else can enter."""
    place.mkdir(mode=_PRIVATE, exist_ok=True)
    found = place.lstat()
    private = stat.S_IMODE(found.st_mode) == _PRIVATE
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and private
