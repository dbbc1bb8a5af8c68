"""What was cut off the server's files is kept aside whole, and nothing is cut before it is.

Each cut has a folder of its own, `damaged/<when>`, with the bytes and a note of what was done to
which file. The folder is made under another name, synced, and takes its own in one step; only
then are the files changed, as the note says. A note that is not done is done before the next
launch, so a kill at any step costs nothing. Where the disk has no room nothing is cut.

The note is what `/readyz` and the ledger tell of, until an operator takes the folder away.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from time import gmtime, strftime, time

import msgspec

from gateway.embedded.manifest import NAME
from gateway.embedded.scanning import CHUNK_BYTES, Halt

_NOTE, _DRAFT, _MAKING = "cut.json", "cut.json.new", "making"
_OURS = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(-\d+)?")
_PRIVATE = 0o700


class CutPiece(msgspec.Struct, frozen=True):
    """The bytes of `file` from `start` to `size`; all of them with `removes`, and the file goes."""

    file: str
    start: int
    size: int
    removes: bool = False

    @property
    def kept_as(self) -> str:
        return self.file if self.removes else f"{self.file}.from-{self.start}"


class Cut(msgspec.Struct):
    """One cut. Moments are Unix seconds.

    `why`: what was wrong, in words; `since_s`: nothing written before is cut, None: not known;
    `lost`: what went with it for good, or may have, in words, beyond what a journal can tell;
    `before` and `after`: digest of the list of files, and its new text, None: it is not changed.
    """

    at_s: int
    why: str
    since_s: int | None
    pieces: list[CutPiece]
    lost: list[str]
    before: str | None = None
    after: str | None = None
    is_done: bool = False

    @property
    def cut_bytes(self) -> int:
        return sum(one.size - one.start for one in self.pieces if one.file != NAME)


def digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def moment(at_s: float) -> str:
    """Return a moment as people and other programs read it."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at_s))


def read_cuts(damaged: Path) -> list[tuple[Path, Cut]]:
    """Return the cuts that nobody has taken away, oldest first, each with its folder."""
    try:
        folders = sorted(one for one in damaged.iterdir() if one.name != _MAKING)
    except OSError:  # there never was one
        return []
    return [(one, cut) for one in folders if (cut := _read(one)) is not None]


def _read(folder: Path) -> Cut | None:
    """Return the cut of one folder; None for what is not ours."""
    try:
        return msgspec.json.decode((folder / _NOTE).read_bytes(), type=Cut)
    except (OSError, msgspec.DecodeError):
        if not _OURS.fullmatch(folder.name) or not folder.is_dir():
            return None
    # Damaged in its turn: what was cut is not known any more, and that it was must not be lost.
    at_s = int(folder.stat().st_mtime)
    return Cut(at_s, "what was done cannot be read", None, [], ["what is kept there"], is_done=True)


def put_aside(damaged: Path, data: Path, cut: Cut, halt: Halt) -> Path:
    """Keep the bytes of `cut` in a folder of their own; return it. Raises OSError."""
    damaged.mkdir(mode=_PRIVATE, exist_ok=True)
    making = damaged / _MAKING
    shutil.rmtree(making, ignore_errors=True)  # nothing has been cut for what is in there
    making.mkdir(mode=_PRIVATE)
    try:
        _refuse_without_room(making, cut.pieces)
        for piece in cut.pieces:
            _keep(data / piece.file, making / piece.kept_as, piece, halt)
        _write(making, cut)
        return _name(damaged, making, cut)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _refuse_without_room(folder: Path, pieces: Sequence[CutPiece]) -> None:
    """Spare a full disk the copying: what is removed whole is linked, and takes no room."""
    need = sum(piece.size - piece.start for piece in pieces if not piece.removes)
    if shutil.disk_usage(folder).free < need:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _keep(source: Path, kept: Path, piece: CutPiece, halt: Halt) -> None:
    if piece.removes:
        try:
            os.link(source, kept)
        except OSError:  # not every file system has links
            pass
        else:
            _sync(kept)
            return
    with source.open("rb", buffering=0) as reading, kept.open("wb") as writing:
        reading.seek(piece.start)
        while chunk := reading.read(CHUNK_BYTES):
            halt()
            writing.write(chunk)
    kept.chmod(0o600)
    _sync(kept)


def _name(damaged: Path, making: Path, cut: Cut) -> Path:
    number = 0
    while True:
        number += 1
        when = moment(cut.at_s).replace(":", "")  # some programs take it for a host's name
        folder = damaged / (when + (f"-{number}" if number > 1 else ""))
        if not folder.exists():
            making.rename(folder)
            _sync(damaged)
            return folder


def carry_out(folder: Path, data: Path, cut: Cut) -> None:
    """Do what the note in `folder` says, and say there that it is done. Raises OSError.

    May be repeated. The list of files comes first: behind it, what the server would load is the
    same before and after each step, or is refused by it. Whatever is not any more as the note
    found it was changed by somebody since, and is left alone.
    """
    if data.is_dir() and _is_listed(data, cut):
        for piece in cut.pieces:
            path = data / piece.file
            if not path.exists() or path.stat().st_size != piece.size:
                continue
            if piece.removes:
                if piece.file != NAME:  # that one has been written anew
                    path.unlink()
            else:
                os.truncate(path, piece.start)
                _sync(path)
        _sync(data)
    cut.is_done = True
    _write(folder, cut)


def _is_listed(data: Path, cut: Cut) -> bool:
    """Write the list of files, if need be; tell whether it is as the note wants it."""
    if cut.after is None:
        return True
    path = data / NAME
    now = path.read_bytes() if path.exists() else b""
    after = cut.after.encode()
    if now != after:
        if digest(now) != cut.before:
            return False
        if after:
            draft = data / f"temp-{NAME}"
            draft.write_bytes(after)
            _sync(draft)
            draft.rename(path)
        else:
            path.unlink(missing_ok=True)
        _sync(data)
    return True


def _write(folder: Path, cut: Cut) -> None:
    draft = folder / _DRAFT
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(cut)))
    _sync(draft)
    draft.rename(folder / _NOTE)
    _sync(folder)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def new_cut(why: str, since_s: int | None, pieces: list[CutPiece], lost: list[str]) -> Cut:
    """Return a cut of this moment that leaves the list of files as it is."""
    return Cut(int(time()), why, since_s, pieces, lost)
