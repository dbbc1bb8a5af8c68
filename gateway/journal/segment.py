"""One file of the journal: a header, then records back to back.

    offset  size  field
    0       8     magic and format version "GWJRNL01"
    8       16    id of the journal
    24      8     base: the position of the first record
    32      8     number of the first record
    40      4     CRC-32 of the 40 bytes before

The file is named after its base. A segment ends where the next one begins, whatever its file
still holds behind that place: so records whose sync failed can be written anew, at the same
positions, into a fresh file.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from zlib import crc32

from gateway.errors import JournalForeign
from gateway.journal.disk import Disk

_HEADER = Struct("<8s16sQQ")
_CRC = Struct("<I")
MAGIC = b"GWJRNL01"
_NAME_BYTES = 6  # of it; the rest is the version
HEADER_BYTES = _HEADER.size + _CRC.size
SUFFIX = ".journal"
ASIDE = ".before"  # was empty when another file took its name


@dataclass(slots=True)
class Segment:
    """An open segment. `end` is the position behind its last byte."""

    path: Path
    fd: int
    base: int
    first_number: int
    end: int
    finished_at: float | None = None  # monotonic time when wholly published

    @property
    def data_bytes(self) -> int:
        return self.end - self.base

    def offset(self, position: int) -> int:
        """Return where in the file `position` is."""
        return position - self.base + HEADER_BYTES


def create(
    disk: Disk, folder: Path, journal_id: bytes, base: int, number: int, *, data: bytes = b""
) -> Segment:
    """Make a new segment with `data`, and its name, durable. Raises `OSError`."""
    path = folder / f"{base:020d}{SUFFIX}"
    header = _HEADER.pack(MAGIC, journal_id, base, number)
    spare = path.with_suffix(".new")
    fd = disk.create(spare)
    try:
        # The sync tells a full disk now.
        write_all(disk, fd, header + _CRC.pack(crc32(header)) + data)
        disk.datasync(fd)
        # Only a whole segment ever bears the final name; one of the same base is replaced.
        disk.rename(spare, path)
        disk.sync_folder(folder)
    except OSError:
        disk.close(fd)
        raise
    return Segment(path, fd, base, number, base + len(data))


def write_all(disk: Disk, fd: int, data: bytes) -> None:
    """Write all of `data`: a disk that fills up takes a part first. Raises `OSError`."""
    written = disk.write(fd, data)
    while written < len(data):
        written += disk.write(fd, data[written:])


def reopen(disk: Disk, path: Path) -> tuple[Segment, bytes]:
    """Open what a former run left; also the journal's id, empty if the header does not check.

    The name alone says where the records stand, so a damaged header costs none of them. Where a
    header that checks says a higher place, a version before had moved the file, and the machine
    died before its new name was on disk: positions only ever grow.
    """
    fd = disk.open(path)
    header = disk.read(fd, HEADER_BYTES, 0)
    base, number, journal_id = int(path.stem), 1, b""
    if len(header) == HEADER_BYTES:
        magic, its_id, its_base, its_number = _HEADER.unpack_from(header)
        (crc,) = _CRC.unpack_from(header, _HEADER.size)
        _check_version(path, magic, is_whole=crc == crc32(header[: _HEADER.size]))
        if magic == MAGIC and crc == crc32(header[: _HEADER.size]):
            base, number, journal_id = max(base, its_base), its_number, its_id
    end = base + max(0, disk.size(fd) - HEADER_BYTES)
    return Segment(path, fd, base, number, end), journal_id


def keep_aside(disk: Disk, one: Segment) -> None:
    """Give `one`, whose name is about to be taken, another one by which the next start finds what a
    second hand may append to it. Costs no more than that where there are no links.
    """
    aside = one.path.with_suffix(ASIDE)
    with suppress(OSError):
        disk.remove(aside)
        disk.link(one.path, aside)


def settle(disk: Disk, one: Segment, journal_id: bytes) -> None:
    """Have name and header of `one` say the base that it has. Raises `OSError`."""
    path = one.path.with_name(f"{one.base:020d}{one.path.suffix}")
    if path == one.path:
        return
    header = _HEADER.pack(MAGIC, journal_id, one.base, one.first_number)
    disk.write_at(one.fd, header + _CRC.pack(crc32(header)), 0)
    disk.rename(one.path, path)
    one.path = path


def _check_version(path: Path, magic: bytes, *, is_whole: bool) -> None:
    """Raise `JournalForeign` for another version; the header is the same in all of them."""
    if is_whole and magic != MAGIC and magic[:_NAME_BYTES] == MAGIC[:_NAME_BYTES]:
        raise JournalForeign(
            f"{path} is of another format ({magic.decode(errors='replace')}; this version has"
            f" {MAGIC.decode()}): let the version that wrote it publish all of it first, and then"
            " take the folder away"
        )
