"""Pages in Markdown: their links, anchors and pieces of code."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^([ ]*)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    path: Path
    text: str

    @property
    def prose(self) -> str:
        """The text without fenced and indented code."""
        return re.sub(r"^    .*$", "", _FENCE.sub("", self.text), flags=re.MULTILINE)

    def links(self) -> list[str]:
        """Where its links and pictures lead, inside the repository."""
        found: list[str] = _LINK.findall(re.sub(r"`[^`]*`", "", self.prose))
        return [link for link in found if not re.match(r"[a-z]+:", link)]

    def anchors(self) -> set[str]:
        """The anchors of its headings, as GitHub makes them."""
        found = set[str]()
        for heading in _HEADING.findall(_FENCE.sub("", self.text)):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
            anchor = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
            number = sum(1 for one in found if re.fullmatch(re.escape(anchor) + r"(-\d+)?", one))
            found.add(f"{anchor}-{number}" if number else anchor)
        return found

    def fenced(self, language: str) -> list[str]:
        """The pieces of code in this language."""
        return [
            textwrap.dedent(code) for _, name, code in _FENCE.findall(self.text) if name == language
        ]

    def spans(self) -> list[str]:
        """What stands between backticks, and what stands in indented lines."""
        indented = re.findall(r"^    (\S.*)$", _FENCE.sub("", self.text), flags=re.MULTILINE)
        shown = [line for code in self.fenced("") for line in code.splitlines()]
        return re.findall(r"`([^`\n]+)`", self.prose) + indented + shown


def page(path: Path) -> Page:
    return Page(path, path.read_text())
