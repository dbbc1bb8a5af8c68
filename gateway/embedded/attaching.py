"""How commands reach the embedded server: the running gateway's, or one of their own meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from gateway.embedded.engine import EmbeddedEngine, FolderOwned, url_of
from gateway.embedded.folder import Folder
from gateway.embedded.probe import accepts
from gateway.errors import EmbeddedEngineError

_ATTACH_S = 10.0
_READY_S = 60.0  # a gigabyte of append-only file takes some ten seconds to load
_TRY_S = 0.1


def attach(data_dir: Path) -> str | None:
    """Return the URL of the embedded server that runs in `data_dir`, None when none does."""
    socket = Folder.of(data_dir).noted_socket()
    return url_of(socket) if socket is not None and accepts(socket) else None


@asynccontextmanager
async def attached_or_started(data_dir: Path, max_memory_bytes: int) -> AsyncIterator[str]:
    """Give the URL of the server in `data_dir`, started for the while when none runs.

    Raises `EmbeddedEngineError` when neither works.
    """
    own = EmbeddedEngine(data_dir, max_memory_bytes=max_memory_bytes)
    if (url := await _attached_or_owned(data_dir, own)) is not None:
        yield url
        return
    try:
        if not await own.wait_ready(_READY_S):
            raise EmbeddedEngineError(f"the embedded server does not answer: {own.last_words()}")
        yield own.url
    finally:
        await own.stop()


async def _attached_or_owned(data_dir: Path, own: EmbeddedEngine) -> str | None:
    """Return a running server's URL, or None after having started `own`."""
    deadline = monotonic() + _ATTACH_S
    while True:
        if (url := attach(data_dir)) is not None:
            return url
        try:
            await own.start(patience_s=_TRY_S)
        except FolderOwned:
            # Its owner lives and its server does not yet, or not just now.
            if monotonic() > deadline:
                raise
        else:
            return None
