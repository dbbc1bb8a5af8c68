"""Text for terminals."""

from gateway.commands.text import counted, moment, printable, table


def test_bytes_from_outside_cannot_steer_the_terminal():
    """Escape sequences and line breaks arrive as text."""
    assert printable("\x1b[2Jx\n") == "\\x1b[2Jx\\n"
    assert printable("ä\n\tb\x07", keep="\n\t") == "ä\n\tb\\x07"


def test_tables_align_and_put_numbers_at_the_right():
    """Columns are as wide as their widest cell."""
    assert table(("NAME", "N"), [("a", 1), ("bcdef", 100)]) == "NAME     N\na        1\nbcdef  100"
    assert table(("NAME", "N"), []) == "NAME  N"


def test_moments_and_counts():
    """Times are in UTC; one is singular."""
    assert (moment(1_700_000_000_999), moment(0)) == ("2023-11-14T22:13:20Z", "-")
    assert (counted(1, "event"), counted(0, "event")) == ("1 event", "0 events")
