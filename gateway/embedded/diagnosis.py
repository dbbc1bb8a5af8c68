"""What is wrong with the server's files, and what is to be done: nothing is changed here.

The list of files is judged before each launch; what is in them only when the server has refused
it, for a file that it does not mind is not ours to cut. Where our reading finds nothing in a file
that the server has refused, its own checker is asked.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from gateway.embedded import checker, manifest
from gateway.embedded.cuts import Cut, CutPiece, digest, new_cut
from gateway.embedded.manifest import NAME, FoundFile, Listed
from gateway.embedded.scanning import (
    Command,
    Halt,
    IsRefused,
    Scan,
    look_at_tail,
    odd_count,
    scan,
)

# It says so, or stumbles over a length that nobody can have.
_REFUSED = re.compile(rb"reading the append only file|BUG REPORT START|Out Of Memory allocating")
_REFUSED_IN = re.compile(rb"reading the append only file ([\w.]+)")
_UNKNOWN = re.compile(rb"[Uu]nknown command '([^'\r\n]{1,64})'")
_UNKNOWN_SECOND = re.compile(rb"unknown subcommand '([^'\r\n]{1,128})'\. Try (\w{1,64}) HELP")
_ODD_COUNT = re.compile(rb"wrong number of arguments for '([^'|\r\n]{1,64})")
_BASE_BEGAN = re.compile(rb"\x05ctime\xc2(.{4})", re.DOTALL)  # in the first fields of RDB
_INCREMENT_BEGAN = re.compile(rb"#TS:(\d{1,12})\r\n")
_HEAD_BYTES = 512
_ALL = "all that it held and the journal does not"

Files = Mapping[str, FoundFile]


class Diagnosis:
    """Of the files in `data`; `binary`: the server's. Everything raises OSError."""

    def __init__(self, data: Path, binary: Path, halt: Halt) -> None:
        self._data, self._binary, self._halt = data, binary, halt

    def files(self) -> dict[str, FoundFile]:
        """Return the server's data files by name."""
        found = {}
        if self._data.is_dir():
            for path in self._data.iterdir():
                if manifest.is_data(path.name):
                    state = path.stat()
                    found[path.name] = FoundFile(state.st_size, state.st_mtime)
        return found

    def judge_list(self, files: Files) -> Cut | None:
        """Whether the list of files is one that the server can go by; if not, what to do."""
        path = self._data / NAME
        text = path.read_bytes() if path.exists() else None
        if text is None and not manifest.hold_anything(files):
            return None  # it was never started, or came no further than that
        named = Listed()
        try:
            named = manifest.parse(text or b"")
            why = manifest.misfit(named, files)
        except manifest.Unreadable as error:
            why = f"the list of its files could not be used ({error})"
        if text is None:
            why = "the list of its files was gone"
        return self._rebuilt(why, text or b"", named, files) if why else None

    def _rebuilt(self, why: str, text: bytes, named: Listed, files: Files) -> Cut:
        rebuilt = manifest.before_gap(named, files) if manifest.missing(named, files) else None
        rebuilt = rebuilt or manifest.rebuild(files, self._began(files))
        live = rebuilt.listed.live
        # History, as the list says or as a newer base makes it, is in what is loaded.
        gone = [
            name
            for name in dict.fromkeys((*rebuilt.missing, *named.live))
            if name not in live and not _is_superseded(name, rebuilt.listed)
        ]
        pieces = [CutPiece(n, 0, f.size, removes=True) for n, f in files.items() if n not in live]
        lost = [f"what was in {', '.join(gone)}"] if gone else []
        if not live and not lost:
            lost = [_ALL]
        since_s = None
        if gone and live:
            since_s = int(max(files[name].written_s for name in live))
        if text:
            pieces.append(CutPiece(NAME, 0, len(text), removes=True))
        return _relisted(new_cut(why, since_s, pieces, lost), text, rebuilt.listed)

    def judge_content(self, words: bytes, files: Files) -> Cut | None:
        """Why the server has refused its files, and what to do, None when that is not found.

        `words`: what it logged.
        """
        try:
            listed = manifest.parse((self._data / NAME).read_bytes())
        except (manifest.Unreadable, FileNotFoundError):
            return None  # the next look before a launch is for that
        cut = self._judge_increments(listed, words, files) if _REFUSED.search(words) else None
        return cut or self._judge_base(listed, files)

    def _judge_increments(self, listed: Listed, words: bytes, files: Files) -> Cut | None:
        told_s = self._began([listed.base]).get(listed.base) if listed.base else None
        scans = {}
        for name in listed.increments:
            found = scan(self._data / name, self._halt, self._refused(name, words))
            told_s = found.since_s or told_s
            scans[name] = Scan(found.size, found.good_bytes, told_s)
            if not found.is_whole:
                return self._cut_at(name, scans[name], listed, files)
        for name, found in scans.items():
            good = checker.good_bytes(self._binary, self._data / name, self._halt)
            if good is not None and good < found.size:
                refused = Scan(found.size, good, found.since_s)
                return self._cut_at(name, refused, listed, files)
        return None

    def _refused(self, name: str, words: bytes) -> IsRefused:
        """Return which commands of the file the server has said that it does not take."""
        if match := _UNKNOWN.search(words):
            return partial(_is_named, match[1].upper())
        named = _REFUSED_IN.search(words)
        if named is None or named[1].rstrip(b".").decode() != name:
            return _is_fine
        if match := _UNKNOWN_SECOND.search(words):
            return partial(_has_second, match[2].upper(), match[1])
        if match := _ODD_COUNT.search(words):
            return odd_count(self._data / name, self._halt, match[1].upper())
        return _is_fine

    def _cut_at(self, name: str, found: Scan, listed: Listed, files: Files) -> Cut:
        later = listed.increments[listed.increments.index(name) + 1 :]
        pieces = [CutPiece(name, found.good_bytes, found.size)]
        pieces += [CutPiece(one, 0, files[one].size, removes=True) for one in later]
        tails = [look_at_tail(self._data / piece.file, piece.start, self._halt) for piece in pieces]
        lost = []
        if any(tail.pauses for tail in tails):
            lost.append("a pause of a subscriber")
        if any(tail.unjournaled for tail in tails):
            lost.append("events that the journal's disk had refused")
        why = f"{name} could not be read behind byte {found.good_bytes}"
        if all(tail.is_zeros for tail in tails):
            why += ", where there were only zeros"
        cut = new_cut(why, found.since_s, pieces, lost)
        if not later:
            return cut
        return _relisted(cut, (self._data / NAME).read_bytes(), manifest.upto(listed, name))

    def _judge_base(self, listed: Listed, files: Files) -> Cut | None:
        if listed.base is None or self._is_base_whole(self._data / listed.base):
            return None
        left = manifest.without_base(listed)
        pieces = [
            CutPiece(name, 0, files[name].size, removes=True)
            for name in listed.live
            if name not in left.live
        ]
        lost = [] if left.live else [_ALL]
        why = f"{listed.base} was damaged"
        if left.live:
            why += ", in which there was nothing yet"
        cut = new_cut(why, None, pieces, lost)
        return _relisted(cut, (self._data / NAME).read_bytes(), left)

    def _began(self, files: Iterable[str]) -> dict[str, int]:
        """Return when each file was begun, in Unix seconds, as far as they tell."""
        found = {}
        for name in files:
            with (self._data / name).open("rb") as file:
                head = file.read(_HEAD_BYTES)
            if match := _BASE_BEGAN.search(head):
                found[name] = int.from_bytes(match[1], "little")
            elif match := _INCREMENT_BEGAN.match(head):
                found[name] = int(match[1])
        return found

    def _is_base_whole(self, path: Path) -> bool:
        if path.suffix == ".aof":
            return checker.good_bytes(self._binary, path, self._halt) is None
        return not checker.is_base_damaged(self._binary, path, self._halt)


def _is_fine(_: Command) -> bool:
    return False


def _is_named(name: bytes, command: Command) -> bool:
    return command.name == name


def _has_second(name: bytes, second: bytes, command: Command) -> bool:
    return command.name == name and command.second == second


def _relisted(cut: Cut, before: bytes, after: Listed) -> Cut:
    cut.before, cut.after = digest(before), after.render().decode()
    return cut


def _is_superseded(name: str, listed: Listed) -> bool:
    """Whether a newer base, or a base at all, has in it what was in the file."""
    if listed.base is None:
        return ".base." in name and manifest.number(name) == 1
    if ".base." in name:
        return manifest.number(name) < manifest.number(listed.base)
    return bool(listed.increments) and manifest.number(name) < manifest.number(listed.increments[0])
