"""A Containerfile, read."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    name: str
    words: str

    def flags(self) -> list[str]:
        return [word for word in self.words.split() if word.startswith("--")]

    def paths(self) -> list[str]:
        return [word for word in self.words.split() if not word.startswith("--")]


def read(path: Path) -> list[Instruction]:
    """Return its instructions; a line that ends with a backslash goes on in the next."""
    told = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(told).replace("\\\n", " ")
    split = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [Instruction(name, words) for name, words in split]
