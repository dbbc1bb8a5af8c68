"""Text for a terminal: tables, times, and bytes from outside that must not steer it. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime


def printable(text: str, *, keep: str = "") -> str:
    """Return `text` with every character escaped that a terminal might obey, but for `keep`."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )


def moment(unix_ms: int) -> str:
    """Return a time in UTC, to the second; `-` for 0."""
    if not unix_ms:
        return "-"
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return aligned columns; numbers stand at the right."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    columns = range(len(head))
    widths = [max(len(row[column]) for row in (head, *cells)) for column in columns]
    right = [bool(rows) and all(isinstance(row[column], int) for row in rows) for column in columns]

    def line(row: Sequence[str]) -> str:
        aligned = (
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, right, strict=True)
        )
        return "  ".join(aligned).rstrip()

    return "\n".join(map(line, (head, *cells)))


def counted(number: int, what: str) -> str:
    """Return `1 dead letter`, `2 dead letters`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
