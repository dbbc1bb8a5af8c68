"""Where a file of commands ends to be good: judged as the server's own checker judges it."""

import re
import subprocess
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.append_only import command

from gateway.embedded import find_server
from gateway.embedded.scanning import CHUNK_BYTES, look_at_tail, scan

_UPTO = re.compile(rb"ok_up_to=(\d+)")


@cache
def server():
    return find_server({})


def judged_by_the_server(path) -> int | None:
    """Up to where it is good; None when the checker finds nothing wrong."""
    done = subprocess.run(
        ["redis-check-aof", path], executable=server(), capture_output=True, timeout=60
    )
    return None if done.returncode == 0 else int(_UPTO.search(done.stdout)[1])


def never() -> None:
    """There is time."""


words = st.binary(max_size=40)
sets = st.builds(lambda key, value: command(b"SET", key, value), words, words)
transactions = st.builds(
    lambda inside: command(b"MULTI") + b"".join(inside) + command(b"EXEC"),
    st.lists(sets, max_size=3),
)
times = st.builds(lambda at: b"#TS:%d\r\n" % at, st.integers(1_700_000_000, 1_800_000_000))
files = st.lists(st.one_of(sets, transactions, times), min_size=1, max_size=12).map(b"".join)


@given(files, st.integers(0, 10_000), st.sampled_from(["cut", "zeros", "flip", "insert"]))
@settings(max_examples=60)
@example(command(b"SET", b"k", b"v"), 0, "none")
def test_damage_is_found_where_the_server_finds_it(tmp_path_factory, content, at, how):
    """Never later than the server's checker, and at the start of a whole command."""
    at %= len(content)
    spoilt = {
        "cut": content[:at],
        "zeros": content[:at] + bytes(len(content[at : at + 9])) + content[at + 9 :],
        "flip": content[:at] + bytes((content[at] ^ 0x15,)) + content[at + 1 :],
        "insert": content[:at] + b"\r\n" + content[at:],
        "none": content,
    }[how]
    path = tmp_path_factory.mktemp("scan") / "appendonly.aof.1.incr.aof"
    path.write_bytes(spoilt)
    found = scan(path, never)
    upto = judged_by_the_server(path) if spoilt else None
    if upto is not None:
        assert found.good_bytes <= upto
        assert not found.is_whole
    rest = scan(_beginning(path, found.good_bytes), never)
    assert rest.is_whole
    if how == "none":
        assert found.is_whole


def _beginning(path, size):
    beginning = path.with_name("beginning")
    beginning.write_bytes(path.read_bytes()[:size])
    return beginning


@pytest.mark.parametrize("size", [CHUNK_BYTES - 30, CHUNK_BYTES, 3 * CHUNK_BYTES + 1])
def test_arguments_of_any_size_are_passed(tmp_path, size):
    """Also where a piece that is read ends in the middle of one."""
    path = tmp_path / "file"
    parts = [command(b"SET", b"k%d" % n, bytes(size)) for n in range(4)]
    path.write_bytes(b"#TS:1\r\n" + b"".join(parts))
    found = scan(path, never)
    assert (found.is_whole, found.since_s) == (True, 1)
    with path.open("ab") as file:
        file.write(b"#TS:2\r\n" + parts[0][:-3])
    found = scan(path, never)
    assert found.good_bytes == len(b"#TS:1\r\n#TS:2\r\n") + sum(map(len, parts))
    assert found.since_s == 2


def test_the_times_told_are_those_before_the_damage(tmp_path):
    """The last one before, also from within a transaction that is whole."""
    path = tmp_path / "file"
    whole = command(b"MULTI") + b"#TS:7\r\n" + command(b"SET", b"k", b"v") + command(b"EXEC")
    path.write_bytes(b"#TS:5\r\n" + whole + bytes(5) + b"#TS:9\r\n")
    assert scan(path, never).since_s == 7
    assert look_at_tail(path, len(whole) + 7, never).is_zeros is False
    path.write_bytes(bytes(9))
    assert look_at_tail(path, 0, never).is_zeros
