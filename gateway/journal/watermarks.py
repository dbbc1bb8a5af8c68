"""Watermarks: up to where each shard has said that it has the journal, kept beside its segments.

They outlive us, at most a checkpoint behind. A Redis that comes back with less has lost what
watchers may have seen, also where nobody of us was alive to notice. They are a witness and
nothing more: a disk that refuses them costs only that.
"""

import logging
import struct
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from gateway.journal.disk import Disk
from gateway.journal.ownership import Ownership
from gateway.logs import Seldom

_log = logging.getLogger("gateway.journal")
_NAME = "published"
_ID_BYTES, _SUM_BYTES, _POSITION_BYTES = 16, 4, 8


class Watermarks:
    """Of the journal under the name that it has; those of another one mean nothing here."""

    def __init__(self, disk: Disk, folder: Path, ownership: Ownership) -> None:
        self._disk, self._path, self._ownership = disk, folder / _NAME, ownership
        self._seldom = Seldom(interval_s=60)
        self._kept = self._read()

    def of(self, shard: int) -> int:
        """Return a position that `shard` has had; 0 when none is known."""
        kept = self._kept[shard] if shard < len(self._kept) else 0
        return max(kept, self._ownership.began(shard))

    def keep(self, positions: Sequence[int]) -> None:
        """Remember where each shard is now. Never raises."""
        if tuple(positions) == self._kept or self._ownership.is_lost:
            return
        content = self._id + struct.pack(f"<{len(positions)}Q", *positions)
        try:
            draft = self._path.with_suffix(".new")  # a copy of the folder has all of it or none
            fd = self._disk.create(draft)
            try:
                self._disk.write(fd, content + crc32(content).to_bytes(_SUM_BYTES, "little"))
            finally:
                self._disk.close(fd)
            self._disk.rename(draft, self._path)
        except OSError as error:
            self._seldom.log("keep", _log, "watermarks are not kept", error=str(error))
        self._kept = tuple(positions)

    def forget(self) -> None:
        """Know nothing of what was said under a name of before."""
        self._kept = ()

    @property
    def _id(self) -> bytes:
        return bytes.fromhex(self._ownership.name)

    def _read(self) -> tuple[int, ...]:
        try:
            found = self._disk.read_whole(self._path)
        except OSError:
            return ()
        content, checksum = found[:-_SUM_BYTES], found[-_SUM_BYTES:]
        count, rest = divmod(len(content) - _ID_BYTES, _POSITION_BYTES)
        is_whole = crc32(content).to_bytes(_SUM_BYTES, "little") == checksum and not rest
        if not is_whole or content[:_ID_BYTES] != self._id:
            return ()
        return struct.unpack_from(f"<{count}Q", content, _ID_BYTES)
