"""The engine's place on disk: `<data_dir>/valkey`.

The socket may be elsewhere (`placing`); `socket.path` tells where, so that commands find it.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import EmbeddedEngineError

_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one engine. Making one touches nothing."""

    path: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Folder":
        return cls(data_dir.absolute() / "valkey")

    @property
    def owner_lock(self) -> Path:
        return self.path / "owner.lock"

    @property
    def server_lock(self) -> Path:
        return self.path / "server.lock"

    @property
    def log(self) -> Path:
        return self.path / "valkey.log"

    @property
    def data(self) -> Path:
        """Where the server keeps its append-only file."""
        return self.path / "appendonlydir"

    @property
    def damaged(self) -> Path:
        """Where what was cut off the server's files is kept, a folder for each time."""
        return self.path / "damaged"

    @property
    def _note(self) -> Path:
        return self.path / "socket.path"

    def make(self) -> None:
        """Create the folder, readable by its owner only. Raises `EmbeddedEngineError`."""
        try:
            self.path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedEngineError(f"cannot create {self.path}: {error.strerror}") from error

    def note_socket(self, socket: Path) -> None:
        """Write down where the socket is; a reader sees the old place or the new one."""
        draft = self._note.with_suffix(".new")
        draft.write_bytes(os.fsencode(socket))
        draft.replace(self._note)

    def noted_socket(self) -> Path | None:
        """Return the socket's place as its owner wrote it down, None when nobody did."""
        try:
            noted = self._note.read_bytes()
        except OSError:  # nobody ran here, or it is not for us to see
            return None
        # After a power failure a file may hold zeros, or nothing.
        return Path(os.fsdecode(noted)) if noted.startswith(b"/") and b"\0" not in noted else None

    def forget_socket(self) -> None:
        """Take the note, the socket and its folder elsewhere away, after the server ended."""
        socket = self.noted_socket()
        self._note.unlink(missing_ok=True)
        if socket is None:
            return
        socket.unlink(missing_ok=True)
        if socket.parent != self.path:
            with suppress(OSError):
                socket.parent.rmdir()


def holds_data(data_dir: Path) -> bool:
    """Whether a server has ever kept anything in `data_dir`."""
    return Folder.of(data_dir).data.is_dir()


def discard_data(data_dir: Path) -> None:
    """Delete what the server has kept, which is not running any more. Raises OSError."""
    shutil.rmtree(Folder.of(data_dir).data)
