"""The file system, as the journal sees it: the one door, and the place where tests break it."""

import os
from pathlib import Path

from gateway.open_files import kept


class Disk:
    """Plain calls; each raises `OSError` as the kernel gives it."""

    def create(self, path: Path) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        return kept.opened(lambda: os.open(path, flags, 0o600))

    def open(self, path: Path) -> int:
        return kept.opened(lambda: os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def write(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        os.pwrite(fd, data, offset)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        return os.pread(fd, length, offset)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def truncate(self, fd: int, length: int) -> None:
        os.ftruncate(fd, length)

    def seek(self, fd: int, offset: int) -> None:
        os.lseek(fd, offset, os.SEEK_SET)

    def datasync(self, fd: int) -> None:
        os.fdatasync(fd) if hasattr(os, "fdatasync") else os.fsync(fd)

    def sync_folder(self, folder: Path) -> None:
        """Make the creation of a file itself durable."""
        fd = kept.opened(lambda: os.open(folder, os.O_RDONLY | os.O_CLOEXEC))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def rename(self, path: Path, to: Path) -> None:
        """In one step; what was at `to` is gone. Durable only after `sync_folder`."""
        path.replace(to)

    def link(self, path: Path, to: Path) -> None:
        """Give the file at `path` a second name, which nothing has."""
        to.hardlink_to(path)

    def read_whole(self, path: Path) -> bytes:
        return kept.opened(path.read_bytes)
