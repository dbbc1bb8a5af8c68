"""Whose a journal is: a small file, `owner`, beside its segments.

It says under which name the journal is published, whose hand opened the folder last, and which
tokens Redis may have of us. So two things are told apart that look the same by positions alone:
a journal that goes on, and a copy of it that somebody else goes on with.

Written whole or not at all. A disk that refuses it costs no event: at worst the journal goes on
under a new name at the next start.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

import msgspec

from gateway.journal.disk import Disk
from gateway.logs import Seldom

_log = logging.getLogger("gateway.journal")
_NAME = "owner"
_HAND_BYTES, _TOKEN_BYTES, _ID_BYTES = 8, 8, 16
_MOST_TOKENS = 512


class _Written(msgspec.Struct):
    """The file. `opened`: where the first opening began that Redis has not confirmed yet; all
    before it was confirmed. `parent`, `begins`, `shared`: of a name that was taken later than the
    journal began: which it had before, where each shard goes on, and up to where others may have
    the same records.
    """

    name: str
    hand: str = ""
    opened: int | None = None
    tokens: list[str] = msgspec.field(default_factory=list)
    parent: str = ""
    begins: list[int] = msgspec.field(default_factory=list)
    shared: int = 0


_decode = msgspec.json.Decoder(_Written).decode


class Ownership:
    """Of the journal in `folder`. Used from one event loop; `take` makes a file of it."""

    def __init__(self, disk: Disk, folder: Path, found: str) -> None:
        """`found`: the name that the newest segment bears, empty if there is none."""
        self._disk, self._folder = disk, folder
        self._seldom = Seldom(interval_s=60)
        self.is_lost = False  # another hand has the folder: nothing is written there any more
        written = self._read()
        if written is None or not found or found not in {written.name, written.parent}:
            written = _Written(found or token_hex(_ID_BYTES))
        self._now = written
        self._now.hand = token_hex(_HAND_BYTES)
        self._made = ""  # the token of this hand, under this name

    # ---- the name

    @property
    def name(self) -> str:
        """Under which Redis keeps the journal's positions; 32 hex digits."""
        return self._now.name

    @property
    def parent(self) -> str:
        """The name that the journal had before this one, empty if there was none."""
        return self._now.parent

    @property
    def shared(self) -> int:
        """Records before this position may have been published under another name as well."""
        return self._now.shared

    def began(self, shard: int) -> int:
        """Return the position from which on `shard` is given records under this name."""
        return self._now.begins[shard] if shard < len(self._now.begins) else 0

    def rename(self, begins: Sequence[int], shared: int) -> None:
        """Take a new name, under which each shard goes on at its place in `begins`."""
        self._now = _Written(
            token_hex(_ID_BYTES), self._now.hand, None, [], self._now.name, list(begins), shared
        )
        self._save()

    # ---- the tokens

    @property
    def tokens(self) -> Sequence[str]:
        """All that Redis may have of us, the newest last."""
        return self._now.tokens

    @property
    def token(self) -> str:
        """The newest, empty before there is any."""
        return self._now.tokens[-1] if self._now.tokens else ""

    def expect(self) -> str:
        """Make a new token and write it down, before Redis is told of it. One for each start and
        name: however often Redis refuses it, those that it may have are not forgotten for it.
        """
        if not self._made or self._made != self.token:
            self._made = token_hex(_TOKEN_BYTES)
            self._now.tokens = [*self._now.tokens, self._made][-_MOST_TOKENS:]
            self._save()
        return self._made

    @property
    def opened(self) -> int | None:
        """Where the first opening began that Redis has not confirmed; None: all is confirmed."""
        return self._now.opened

    def open(self, end: int) -> None:
        """Say that this hand has the folder, and goes on at `end`."""
        if self._now.opened is None:
            self._now.opened = end
        self._write()

    def confirm(self) -> None:
        """Redis and this journal agree: what is appended from now on stands where it stays."""
        if self._now.opened is not None:
            self._now.opened = None
            self._save()

    # ---- the hand

    def look(self) -> bool:
        """Tell whether the folder is still ours: nobody else has opened it since."""
        if not self.is_lost:
            found = self._read()
            self.is_lost = found is not None and found.hand != self._now.hand
        return not self.is_lost

    # ---- the file

    def _read(self) -> _Written | None:
        try:
            return _decode(self._disk.read_whole(self._folder / _NAME))
        except (OSError, msgspec.MsgspecError):
            return None

    def _save(self) -> None:
        if self.look():  # who opened the folder last has it, also if nobody has looked since
            self._write()

    def _write(self) -> None:
        draft = self._folder / f"{_NAME}-{self._now.hand}.new"
        try:
            fd = self._disk.create(draft)
            try:
                data = msgspec.json.encode(self._now)
                while data:
                    data = data[self._disk.write(fd, data) :]
                self._disk.datasync(fd)
            finally:
                self._disk.close(fd)
            self._disk.rename(draft, self._folder / _NAME)
            self._disk.sync_folder(self._folder)
        except OSError as error:
            self._seldom.log(
                "owner",
                _log,
                "whose the journal is cannot be written down: after a restart it may"
                " go on under another name",
                folder=os.fspath(self._folder),
                error=str(error),
            )


def named(disk: Disk, folder: Path, found: str) -> str:
    """Return the name of the journal in `folder`, whose newest segment says `found`. Changes
    nothing.
    """
    return Ownership(disk, folder, found).name
