"""Reading a file of commands to its first one that is not whole, in bounded memory.

A file is commands in the protocol's own form, `*N` and N times `$LENGTH`, and lines that begin
with `#` and may tell the time. What is good ends before the first command that does not parse,
and before the MULTI of a transaction without its EXEC. A gigabyte takes some ten seconds: it is
read only when the server has refused it.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

CHUNK_BYTES = 1 << 20
_LINE_MAX_BYTES = 1024
_ARGUMENT_MAX_BYTES = 512 << 20  # the protocol's own bound
_ARGUMENTS_MAX, _DIGITS_MAX = 1 << 20, 12
_HEAD = re.compile(rb"\$(\d{1,9})\r\n")
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9._:|-]{0,63}")
# What no journal can bring back: a pause (gateway/store/taking/subscriptions.py), and events that
# no journal held (the count of the nameless one in gateway/store/lua/publish.lua).
_PAUSED = re.compile(rb'gw:subscribers\r\n\$\d+\r\n[^\r\n]{1,200}\r\n\$\d+\r\n\{"state":"paused"')
_UNJOURNALED = b"$6\r\ncount:\r\n"
_OVERLAP_BYTES = 512
_SECOND = re.compile(rb"\$\d{1,3}\r\n([^\r\n]{1,128})\r\n")
_SECOND_MAX_BYTES = 144

Halt = Callable[[], None]  # raises when there is no time for more


class Command(NamedTuple):
    """`name` in capitals; `words`: how many; `second`: of these, empty if it is a long one."""

    name: bytes
    words: int
    second: bytes


IsRefused = Callable[[Command], bool]


@dataclass(frozen=True, slots=True)
class Scan:
    """`good_bytes`: up to where it is whole; `since_s`: the last time told before, Unix seconds."""

    size: int
    good_bytes: int
    since_s: int | None

    @property
    def is_whole(self) -> bool:
        return self.good_bytes == self.size


@dataclass(frozen=True, slots=True)
class BadTail:
    """What can be told of bytes that are cut off."""

    is_zeros: bool
    pauses: bool
    unjournaled: bool


class _Bad(Exception):
    """Here it does not go on as a file of commands does."""


def _none(_: Command) -> bool:
    return False


def scan(path: Path, halt: Halt, is_refused: IsRefused = _none) -> Scan:
    """Read `path`; `is_refused`: whether the server does not take a command. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        size = path.stat().st_size
        reader = _Reader(file, halt)
        good, since_s, told_s, is_open = 0, None, None, False
        try:
            while reader.more():
                line = reader.line()
                if line.startswith(b"#"):
                    told_s = _told(line, told_s)
                else:
                    command = reader.command(line)
                    name = command.name
                    if name == (b"MULTI" if is_open else b"EXEC") or is_refused(command):
                        break
                    is_open = name == b"MULTI" or (is_open and name != b"EXEC")
                if not is_open:
                    good, since_s = reader.offset, told_s
        except _Bad:
            pass
    return Scan(size, good, since_s)


def odd_count(path: Path, halt: Halt, name: bytes) -> IsRefused:
    """Say of commands of a `name` which of them have another number of words than they should: the
    number that is rarest in `path`, and of these the smallest. Raises OSError.
    """
    counts: Counter[int] = Counter()
    scan(path, halt, partial(_counted, counts, name))
    odd = min(counts, key=lambda count: (counts[count], count), default=0)
    return lambda command: command.name == name and command.words == odd


def _counted(counts: Counter[int], name: bytes, command: Command) -> bool:
    if command.name == name:
        counts[command.words] += 1
    return False


def _told(line: bytes, before: int | None) -> int | None:
    text = line.removeprefix(b"#TS:")
    return int(text) if len(text) < len(line) and text.isdigit() else before


class _Reader:
    def __init__(self, file: IO[bytes], halt: Halt) -> None:
        self._file, self._halt = file, halt
        self._data, self._at, self._end = b"", 0, 0  # of the data: where we are, where it ends

    @property
    def offset(self) -> int:
        return self._end - len(self._data) + self._at

    def more(self) -> bool:
        return self._at < len(self._data) or self._fill()

    def _fill(self) -> bool:
        self._halt()
        chunk = self._file.read(CHUNK_BYTES)
        self._data = self._data[self._at :] + chunk
        self._end += len(chunk)
        self._at = 0
        return bool(chunk)

    def line(self) -> bytes:
        while (stop := self._data.find(b"\n", self._at)) < 0:
            if len(self._data) - self._at > _LINE_MAX_BYTES or not self._fill():
                raise _Bad
        line = self._data[self._at : stop]
        self._at = stop + 1
        if not line.endswith(b"\r"):
            raise _Bad
        return line[:-1]

    def command(self, line: bytes) -> Command:
        """Read the command that begins with `line`."""
        count = _number(line, b"*", _ARGUMENTS_MAX)
        length = _number(self.line(), b"$", _LINE_MAX_BYTES) if count else 0
        name = self._take(length)
        if not _NAME.fullmatch(name) or self._take(2) != b"\r\n":
            raise _Bad
        left = count - 1
        second = self._second() if left else b""
        while left:
            left -= self._pass_arguments(left)
            if left:  # one that is not in hand as a whole
                self._skip(_number(self.line(), b"$", _ARGUMENT_MAX_BYTES))
                if self._take(2) != b"\r\n":
                    raise _Bad
                left -= 1
        return Command(name.upper(), count, second)

    def _second(self) -> bytes:
        """Return the argument that comes next, and stay in front of it."""
        while len(self._data) - self._at < _SECOND_MAX_BYTES and self._fill():
            pass
        match = _SECOND.match(self._data, self._at)
        return match[1] if match else b""

    def _pass_arguments(self, most: int) -> int:
        """Pass the whole arguments in hand; return how many. This is where the time goes."""
        data, at, passed = self._data, self._at, 0
        while passed < most and (match := _HEAD.match(data, at)) is not None:
            end = match.end() + int(match[1])
            if data[end : end + 2] != b"\r\n":
                break
            at = end + 2
            passed += 1
        self._at = at
        return passed

    def _take(self, length: int) -> bytes:
        while len(self._data) - self._at < length:
            if not self._fill():
                raise _Bad
        self._at += length
        return self._data[self._at - length : self._at]

    def _skip(self, length: int) -> None:
        while length > (here := len(self._data) - self._at):
            length -= here
            self._at = len(self._data)
            if not self._fill():
                raise _Bad
        self._at += length


def _number(line: bytes, mark: bytes, most: int) -> int:
    digits = line[1:]
    if line[:1] != mark or not digits.isdigit() or len(digits) > _DIGITS_MAX or int(digits) > most:
        raise _Bad
    return int(digits)


def look_at_tail(path: Path, offset: int, halt: Halt) -> BadTail:
    """Tell what is known of the bytes of `path` from `offset` on. Raises OSError."""
    is_zeros, pauses, unjournaled, before = True, False, False, b""
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            halt()
            is_zeros = is_zeros and not chunk.strip(b"\0")
            text = before + chunk
            pauses = pauses or _PAUSED.search(text) is not None
            unjournaled = unjournaled or _UNJOURNALED in text
            before = text[-_OVERLAP_BYTES:]
    return BadTail(is_zeros, pauses, unjournaled)
