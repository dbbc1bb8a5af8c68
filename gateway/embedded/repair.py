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
from pathlib import Path
from threading import Event

from gateway.embedded.cuts import Cut, carry_out, moment, put_aside, read_cuts
from gateway.embedded.diagnosis import Diagnosis
from gateway.embedded.folder import Folder
from gateway.embedded.manifest import FoundFile
from gateway.errors import EmbeddedEngineError
from gateway.logs import Seldom, log

_log = logging.getLogger(__name__)


class Halted(Exception):
    """There is no time for more: the gateway stops. Nothing is half done."""


class Repairer:
    """Of one folder whose server does not run. May block for long: call it on a thread."""

    def __init__(self, folder: Folder, binary: Path) -> None:
        self._folder = folder
        self._judge = Diagnosis(folder.data, binary, self._check)
        self._halted, self._seldom = Event(), Seldom(interval_s=3600)
        self._found_whole: tuple[dict[str, FoundFile], bytes] | None = None

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
        if (needed := self._judge.judge_list(self._judge.files())) is not None:
            self._make(needed)

    def after_refusal(self, words: bytes) -> bool:
        """Find out why the server ended while it loaded; tell whether that is mended now.

        `words`: what it logged in that life. Raises OSError, EmbeddedEngineError.
        """
        files = self._judge.files()
        if not files or (files, _without_times(words)) == self._found_whole:
            return False
        cut = self._judge.judge_content(words, files)
        if cut is None:
            self._found_whole = files, _without_times(words)
            return False
        self._make(cut)
        return True

    def _remove_leftovers(self) -> None:
        """Temporary files are those of a server that runs; ours does not."""
        count = size = 0
        for folder in (self._folder.path, self._folder.data):
            for path in folder.glob("temp-*"):
                if path.is_file() or path.is_symlink():
                    try:
                        bytes_there = path.lstat().st_size
                        path.unlink()
                    except OSError as error:  # it costs room, and no start
                        self._seldom.log(
                            "left",
                            _log,
                            "a temporary file cannot be removed",
                            path=str(path),
                            reason=error.strerror,
                        )
                        continue
                    size += bytes_there
                    count += 1
        if count:
            log(
                _log,
                logging.INFO,
                "removed what unfinished rewrites had left behind",
                files=count,
                bytes=size,
            )

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
        lost = {"lost_or_may_be": ", ".join(cut.lost)} if cut.lost else {}
        log(
            _log,
            logging.WARNING,
            "the embedded server's files were damaged, and are mended",
            why=cut.why,
            cut_bytes=cut.cut_bytes,
            kept_in=str(kept),
            since="unknown" if cut.since_s is None else moment(cut.since_s),
            **lost,
        )


def _without_times(words: bytes) -> bytes:
    """Return lines of a log without what differs from one life to the next."""
    return b"\n".join(line.rpartition(b" # ")[2] for line in words.splitlines() if b" # " in line)
