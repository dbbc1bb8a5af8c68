"""Text for terminals."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from gateway.commands.text import counted, moment, printable, table


def test_bytes_from_outside_cannot_steer_the_terminal():
    """Escape sequences and line breaks arrive as text."""
    assert printable("\x1b[2Jx\n") == "\\x1b[2Jx\\n"
    assert printable("ä\n\tb\x07", keep="\n\t") == "ä\n\tb\\x07"


def test_tables_align_and_put_numbers_at_the_right():
    """Columns are as wide as their widest cell."""
    assert table(("NAME", "N"), [("a", 1), ("bcdef", 100)]) == "NAME     N\na        1\nbcdef  100"
    assert table(("NAME", "N"), []) == "NAME  N"


def test_wide_characters_align_too():
    """A column is as wide as what a terminal shows, not as the number of its characters."""
    shown = table(("NAME", "N"), [("会议", "x"), ("abcdef", "y")])
    assert shown == "NAME    N\n会议    x\nabcdef  y"


@pytest.mark.parametrize("environment", [{}, {"COLUMNS": "20"}, {"FORCE_COLOR": "1"}])
def test_for_programs_a_row_is_a_line(environment):
    """Where no terminal is, nothing is folded, coloured or read as markup, whatever is said of one."""
    code = "from gateway.commands.text import table\nprint(table(('A', 'B'), [('[red]x', 'y' * 9000)]))"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == f"A       B\n[red]x  {'y' * 9000}\n"


def _shown_on_a_terminal(code, columns):
    """Return what `code` writes to a terminal that is so many columns wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {
        name: text for name, text in os.environ.items() if name not in {"COLUMNS", "LINES"}
    }
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**environment, "TERM": "xterm"}, stdout=theirs
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 65536):
                written += piece
        except OSError:  # Linux' way to say that nobody has the other end any more
            pass
        assert process.wait(60) == 0
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", written.decode()).splitlines()


def test_on_a_terminal_a_table_fits_and_loses_nothing():
    """What is too wide goes on in the next line of its own column; what people copy stays whole."""
    code = (
        "from gateway.commands.text import table\n"
        "print(table(('ID', 'REASON', 'CALL'), [('7-1790000000000-0', 'timeout', 'default:' + 'x' * 60)]))"
    )
    lines = _shown_on_a_terminal(code, 50)
    assert all(len(line) <= 50 for line in lines)
    assert lines[1].startswith("7-1790000000000-0  timeout  default:xx")
    assert "".join(line[28:] for line in lines[1:]) == "default:" + "x" * 60
    assert len(lines) > 2


def test_a_narrow_terminal_still_shows_the_first_column():
    """However narrow it is, what people copy is there."""
    code = (
        "from gateway.commands.text import table\n"
        "print(table(('ID', 'REASON'), [('7-1790000000000-0', 'timeout')]))"
    )
    assert any("7-1790000000000-0" in line for line in _shown_on_a_terminal(code, 10))


def test_moments_and_counts():
    """Times are in UTC; one is singular."""
    assert (moment(1_700_000_000_999), moment(0)) == ("2023-11-14T22:13:20Z", "-")
    assert (counted(1, "event"), counted(0, "event")) == ("1 event", "0 events")
