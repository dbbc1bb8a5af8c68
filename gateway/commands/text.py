"""Text for a terminal: tables, times, and bytes from outside that must not steer it."""

import sys
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
    """Return aligned columns; numbers stand at the right.

    On a terminal they fit into it: what is too wide goes on in the next line, but the first column,
    which people copy, stays whole. Anywhere else a row is a line, however long.
    """
    # Here, not above: of 100 ms that most commands, and `--help`, do without.
    from rich.cells import cell_len  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(head, *cells, strict=True)]
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, title in enumerate(head):
        is_number = bool(rows) and all(isinstance(row[number], int) for row in rows)
        shown.add_column(
            Text(title),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=number == 0,
            min_width=0 if number else widths[0],
        )
    for row in cells:
        shown.add_row(*map(Text, row))
    is_terminal = sys.stdout.isatty()
    whole = sum(widths) + 2 * len(widths)
    console = Console(force_terminal=is_terminal, width=None if is_terminal else whole)
    with console.capture() as captured:
        console.print(shown, crop=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def counted(number: int, what: str) -> str:
    """Return `1 dead letter`, `2 dead letters`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
