"""The list of the server's append-only files, as it writes and reads it. Pure.

One line a file: `file NAME seq N type b|i|h`, for the base, the increments behind it in their
order, and history that may go. The server does not start on a list that it cannot read, and on
none at all it starts empty, whatever files lie beside: so a list is made anew from the files that
there are. What it must never do is to leave out an increment in the middle, or to put one on a
base that has it already.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

NAME = "appendonly.aof.manifest"
_FILE = re.compile(r"appendonly\.aof\.(\d{1,18})\.(base|incr)\.(?:aof|rdb)")
_LINE_MAX_BYTES = 1022  # the server's own bound, less the end of the line


class Unreadable(Exception):
    """The server will not take this list; the text says why."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The files of one list: at most one base, and increments by ascending number."""

    base: str | None = None
    increments: tuple[str, ...] = ()
    history: tuple[str, ...] = ()

    @property
    def live(self) -> tuple[str, ...]:
        """Those that the server loads, in its order."""
        return (*((self.base,) if self.base else ()), *self.increments)

    def render(self) -> bytes:
        """Return the list as the server reads it."""
        kinds = [(self.base, "b")] if self.base else []
        kinds += [(name, "h") for name in self.history]
        kinds += [(name, "i") for name in self.increments]
        lines = [f"file {name} seq {number(name)} type {kind}\n" for name, kind in kinds]
        return "".join(lines).encode()


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file on disk: its bytes, and when it was last written, in Unix seconds."""

    size: int
    written_s: float


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A list made from files; `missing` are those that there must have been."""

    listed: Listed
    missing: tuple[str, ...] = field(default=())


def is_data(name: str) -> bool:
    """Whether the server keeps data in a file of this name."""
    return _FILE.fullmatch(name) is not None


def number(name: str) -> int:
    """Return the number in a file's name; names that are not the server's have none: 0."""
    match = _FILE.fullmatch(name)
    return int(match[1]) if match else 0


def parse(text: bytes) -> Listed:
    """Return what a list names. Raises `Unreadable`, for whatever the server would refuse."""
    if not text:
        raise Unreadable("it is empty")
    if not text.endswith(b"\n"):
        raise Unreadable("its last line is cut off")
    base: str | None = None
    increments: list[str] = []
    history: list[str] = []
    for line in text[:-1].split(b"\n"):
        if line.startswith(b"#"):
            continue
        name, kind = _line(line)
        if kind == "h":
            history.append(name)
        elif kind == "i":
            increments.append(name)
        elif base is None:
            base = name
        else:
            raise Unreadable("it names two bases")
    numbers = [number(name) for name in increments]
    if any(one >= other for one, other in pairwise(numbers)):
        raise Unreadable("its files are out of order")
    return Listed(base, tuple(increments), tuple(history))


def _line(line: bytes) -> tuple[str, str]:
    words = line.decode("ascii", "replace").split(" ")
    fields = dict(zip(words[::2], words[1::2], strict=False))
    name, kind = fields.get("file", ""), fields.get("type", "")
    is_whole = len(words) >= 6 and not len(words) % 2 and len(line) <= _LINE_MAX_BYTES
    if not is_whole or not is_data(name) or fields.get("seq") != str(number(name)):
        raise Unreadable("a line of it is not a file's")
    if kind not in {"b", "i", "h"}:
        raise Unreadable("a line of it is not a file's")
    return name, kind


def hold_anything(files: Mapping[str, FoundFile]) -> bool:
    """Whether there is anything in the files: the first base of all is made empty."""
    return any(found.size and (".incr." in n or number(n) > 1) for n, found in files.items())


def misfit(listed: Listed, files: Mapping[str, FoundFile]) -> str:
    """Return in words why the list does not fit the files, nothing when it does."""
    if gone := missing(listed, files):
        return f"a file was gone ({', '.join(gone)})"
    if listed.base and not files[listed.base].size:
        return f"a file was empty ({listed.base})"
    return "the list of its files was older than they are" if _is_behind(listed, files) else ""


def _is_behind(listed: Listed, files: Mapping[str, FoundFile]) -> bool:
    """Whether there are increments with something in them that the list does not know yet."""
    last = max(map(number, listed.increments), default=0)
    return any(
        found.size and ".incr." in name and number(name) > last for name, found in files.items()
    )


def missing(listed: Listed, files: Collection[str]) -> tuple[str, ...]:
    """Return the files that the server would look for in vain."""
    return tuple(name for name in listed.live if name not in files)


def rebuild(files: Mapping[str, FoundFile], began_s: Mapping[str, int]) -> Rebuilt:
    """Return the list that goes with `files`; `began_s`: when they were begun, if they tell that.

    While an older base is there, its increments still are too: the server takes away the base
    first. With the newest base alone, an increment that is older than it is in it already. The
    first base of all has nothing in it.
    """
    bases = sorted((n for n in files if ".base." in n and files[n].size), key=number)
    increments = sorted((n for n in files if ".incr." in n), key=number)
    base = bases[0] if bases else None
    if len(bases) == 1 and number(bases[0]) > 1 and (base_s := began_s.get(bases[0])) is not None:
        # Whole seconds, rounded down. The last increment is always a live one.
        increments = [
            n
            for n in increments
            if n == increments[-1]
            or files[n].written_s >= base_s + 1
            or began_s.get(n, base_s - 1) >= base_s
        ]
    if base is None and increments and number(increments[0]) != 1:
        return Rebuilt(Listed(), ("the base file",))
    first = number(increments[0]) if increments else 1
    if base is not None and number(base) == 1:
        first = 1
    whole = [name for index, name in enumerate(increments) if number(name) == first + index]
    gone: tuple[str, ...] = ()
    if len(whole) < len(increments):
        gone = (f"appendonly.aof.{first + len(whole)}.incr.aof",)
    return Rebuilt(Listed(base, tuple(whole)), gone)


def before_gap(listed: Listed, files: Mapping[str, FoundFile]) -> Rebuilt | None:
    """Return what is left of a list when increments are gone; None when the base is, or is empty.

    The increments behind a gap would be applied to what they do not fit.
    """
    if listed.base is not None and (listed.base not in files or not files[listed.base].size):
        return None
    whole = tuple(takewhile(lambda name: name in files, listed.increments))
    return Rebuilt(Listed(listed.base, whole), missing(listed, files))


def without_base(listed: Listed) -> Listed:
    """Return what can be loaded when the base cannot.

    The first base of all is made when nothing is there yet, so the increments go without it.
    """
    if listed.base and number(listed.base) == 1 and listed.increments:
        first = number(listed.increments[0])
        return Listed(None, listed.increments, listed.history) if first == 1 else Listed()
    return Listed()


def upto(listed: Listed, last: str) -> Listed:
    """Return the list without what comes behind the increment `last`."""
    index = listed.increments.index(last)
    return Listed(listed.base, listed.increments[: index + 1], listed.history)
