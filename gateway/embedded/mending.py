"""The server's files after a power failure: looked at, and mended so that it starts.

Before each launch, at the cost of a folder's listing: what killed rewrites left is removed, a cut
that was interrupted is finished, and the list of files is made anew where it cannot be read or
does not fit the files. A server that has refused its files has them read: from the first command
that does not parse on they are put aside whole, with all files behind, and cut off. A base is
put aside only when the server's own checker says that it is damaged.

Nothing is ever deleted but temporary files, and nothing is cut before it is kept (`cuts`).
What is left is the state of one moment for all shards, so whatever came later and is in a journal
comes again; what is not, the note names, and the ledger.
"""

import logging
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import NamedTuple

from gateway.embedded import manifest
from gateway.embedded.cuts import (
    Cut,
    Piece,
    carry_out,
    digest,
    moment,
    new_cut,
    put_aside,
    read_cuts,
)
from gateway.embedded.folder import Folder
from gateway.embedded.manifest import NAME, Found, Listed
from gateway.embedded.scanning import Scan, look_at_tail, scan
from gateway.errors import EmbeddedEngineError
from gateway.logs import log

_log = logging.getLogger(__name__)
_UNKNOWN = re.compile(rb"[Uu]nknown command '([^'\r\n]{1,64})'")
_BEGAN = re.compile(rb"\x05ctime\xc2(.{4})", re.DOTALL)  # in the first fields of an RDB file
_RDB_HEAD_BYTES = 512
_CHECKER = "redis-check-rdb"  # Valkey's goes by this name too
_CHECK_S, _LOOK_S = 600.0, 0.2
_ALL = "all that it held"


class Halted(Exception):
    """There is no time for more: the gateway stops. Nothing is half done."""


class _Seen(NamedTuple):
    """Files that were read and found whole, as they were then."""

    files: tuple[tuple[str, Found], ...]
    unknown: bytes | None


class Mender:
    """Of one folder whose server does not run. May block for long: call it on a thread."""

    def __init__(self, folder: Folder, binary: Path) -> None:
        self._folder, self._binary = folder, binary
        self._halted = Event()
        self._found_whole: _Seen | None = None

    def halt(self) -> None:
        """Have whatever is under way end soon, with `Halted`."""
        self._halted.set()

    def _check(self) -> None:
        if self._halted.is_set():
            raise Halted

    def before_launch(self) -> None:
        """Make the folder fit to be started on. Raises OSError, EmbeddedEngineError."""
        self._remove_leftovers()
        for folder, cut in read_cuts(self._folder.damaged):
            if not cut.is_done:
                carry_out(folder, self._folder.data, cut)
        files = self._files()
        if (needed := self._judge_list(files)) is not None:
            self._make(needed)

    def after_refusal(self, words: bytes) -> bool:
        """Find out why the server ended while it loaded; tell whether that is mended now.

        `words`: what it logged in that life. Raises OSError, EmbeddedEngineError.
        """
        files = self._files()
        unknown = match[1] if (match := _UNKNOWN.search(words)) else None
        seen = _Seen(tuple(sorted(files.items())), unknown)
        if not files or seen == self._found_whole:
            return False
        try:
            listed = manifest.parse(self._list())
        except manifest.Unreadable:
            return False  # the next look before a launch is for that
        cut = self._judge_increments(listed, files, unknown) or self._judge_base(listed, files)
        if cut is None:
            self._found_whole = seen
            return False
        self._make(cut)
        return True

    # ---- what is there

    def _list(self) -> bytes:
        try:
            return (self._folder.data / NAME).read_bytes()
        except FileNotFoundError:
            return b""

    def _files(self) -> dict[str, Found]:
        found = {}
        if self._folder.data.is_dir():
            for path in self._folder.data.iterdir():
                if manifest.is_data(path.name):
                    state = path.stat()
                    found[path.name] = Found(state.st_size, state.st_mtime)
        return found

    def _remove_leftovers(self) -> None:
        """Temporary files are those of a server that runs; ours does not."""
        count = size = 0
        for folder in (self._folder.path, self._folder.data):
            for path in folder.glob("temp-*"):
                if path.is_file() or path.is_symlink():
                    size += path.lstat().st_size
                    path.unlink()
                    count += 1
        if count:
            log(
                _log, logging.INFO, "removed what unfinished rewrites had left behind",
                files=count, bytes=size,
            )  # fmt: skip

    # ---- what is wrong

    def _judge_list(self, files: dict[str, Found]) -> Cut | None:
        """Whether the list of files is one that the server can go by; if not, what to do."""
        text = self._list()
        has_list = (self._folder.data / NAME).exists()
        if not has_list and not any(one.size for one in files.values()):
            return None  # it was never started, or came no further than that
        named = Listed()
        try:
            named = manifest.parse(text)
            why = ""
        except manifest.Unreadable as error:
            why = f"the list of its files could not be used ({error})" if has_list else ""
            why = why or "the list of its files was gone"
        if not why:
            if gone := manifest.missing(named, files):
                why = f"a file was gone ({', '.join(gone)})"
            elif named.base and not files[named.base].size:
                why = f"a file was empty ({named.base})"
            elif manifest.is_behind(named, files):
                why = "the list of its files was older than they are"
            else:
                return None
        return self._rebuilt(why, text, named, files)

    def _rebuilt(self, why: str, text: bytes, named: Listed, files: dict[str, Found]) -> Cut:
        rebuilt = manifest.rebuild(files, self._base_began(files))
        live = rebuilt.listed.live
        # History, as the list says or as a newer base makes it, is in what is loaded.
        gone = [
            name for name in dict.fromkeys((*rebuilt.missing, *named.live))
            if name not in live and not _is_superseded(name, rebuilt.listed)
        ]  # fmt: skip
        pieces = [Piece(n, 0, f.size, removes=True) for n, f in files.items() if n not in live]
        lost = [f"what was in {', '.join(gone)}"] if gone else []
        if not live and not lost:
            lost = [_ALL]
        since_s = None
        if gone and live:
            since_s = int(max(files[name].written_s for name in live))
        if text:
            pieces.append(Piece(NAME, 0, len(text), removes=True))
        return self._relisted(new_cut(why, since_s, pieces, lost), text, rebuilt.listed)

    def _judge_increments(
        self, listed: Listed, files: dict[str, Found], unknown: bytes | None
    ) -> Cut | None:
        told_s: int | None = None
        for name in listed.increments:
            found = scan(self._folder.data / name, self._check, unknown)
            told_s = found.since_s or told_s
            if not found.is_whole:
                return self._cut_at(name, found, told_s, listed, files)
        return None

    def _cut_at(
        self, name: str, found: Scan, told_s: int | None, listed: Listed, files: dict[str, Found]
    ) -> Cut:
        later = listed.increments[listed.increments.index(name) + 1 :]
        pieces = [Piece(name, found.good_bytes, found.size)]
        pieces += [Piece(one, 0, files[one].size, removes=True) for one in later]
        tails = [
            look_at_tail(self._folder.data / piece.file, piece.start, self._check)
            for piece in pieces
        ]
        lost = []
        if any(tail.pauses for tail in tails):
            lost.append("a pause of a subscriber")
        if any(tail.unjournaled for tail in tails):
            lost.append("events that the journal's disk had refused")
        why = f"{name} could not be read behind byte {found.good_bytes}"
        if all(tail.is_zeros for tail in tails):
            why += ", where there were only zeros"
        cut = new_cut(why, told_s, pieces, lost)
        if not later:
            return cut
        return self._relisted(cut, self._list(), manifest.upto(listed, name))

    def _judge_base(self, listed: Listed, files: dict[str, Found]) -> Cut | None:
        if listed.base is None or self._is_base_whole(self._folder.data / listed.base):
            return None
        left = manifest.without_base(listed)
        pieces = [
            Piece(name, 0, files[name].size, removes=True)
            for name in listed.live if name not in left.live
        ]  # fmt: skip
        lost = [] if left.live else [_ALL]
        cut = new_cut(f"{listed.base} was damaged", None, pieces, lost)
        return self._relisted(cut, self._list(), left)

    def _relisted(self, cut: Cut, before: bytes, after: Listed) -> Cut:
        cut.before, cut.after = digest(before), after.render().decode()
        return cut

    # ---- what a base says

    def _base_began(self, files: dict[str, Found]) -> float | None:
        bases = [name for name in files if ".base." in name and files[name].size]
        if not bases:
            return None
        with (self._folder.data / max(bases, key=manifest.number)).open("rb") as file:
            match = _BEGAN.search(file.read(_RDB_HEAD_BYTES))
        return float(int.from_bytes(match[1], "little")) if match else None

    def _is_base_whole(self, path: Path) -> bool:
        """Ask the server's own checker, which is the same program by another name."""
        if path.suffix == ".aof":
            return scan(path, self._check).is_whole
        with subprocess.Popen(  # noqa: S603 - the server's own binary
            [_CHECKER, path], executable=self._binary, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as checker:  # fmt: skip
            try:
                said = self._said(checker)
            finally:
                checker.kill()
        # A program that is no checker ends badly too, and has not read the file.
        return not (checker.returncode and b"RDB ERROR DETECTED" in said)

    def _said(self, checker: subprocess.Popen[bytes]) -> bytes:
        for _ in range(int(_CHECK_S / _LOOK_S)):
            self._check()
            with suppress(subprocess.TimeoutExpired):
                return checker.communicate(timeout=_LOOK_S)[0]
        return b""

    # ---- what is done about it

    def _make(self, cut: Cut) -> None:
        folder = self._folder
        try:
            kept = put_aside(folder.damaged, folder.data, cut, self._check)
        except OSError as error:
            raise EmbeddedEngineError(
                f"the embedded Valkey's files are damaged ({cut.why}), and the {cut.cut_bytes}"
                f" bytes to cut cannot be kept in {folder.damaged}: {error.strerror or error}."
                " Nothing is cut, and it does not start: make room there"
            ) from error
        carry_out(kept, folder.data, cut)
        log(
            _log, logging.WARNING, "the embedded server's files were damaged, and are mended",
            why=cut.why, cut_bytes=cut.cut_bytes, kept_in=str(kept),
            since="unknown" if cut.since_s is None else moment(cut.since_s),
            lost=", ".join(cut.lost) or "nothing that the journal does not hold",
        )  # fmt: skip


def _is_superseded(name: str, listed: Listed) -> bool:
    """Whether a newer base, or a base at all, has in it what was in the file."""
    if listed.base is None:
        return ".base." in name and manifest.number(name) == 1
    if ".base." in name:
        return manifest.number(name) < manifest.number(listed.base)
    return bool(listed.increments) and manifest.number(name) < manifest.number(listed.increments[0])
