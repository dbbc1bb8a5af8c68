"""Kind log: the line."""

import os
import re

from attempts import BODY, KEY, attempt
from hypothesis import given
from hypothesis import strategies as st

from gateway.subscribers.log import LogSubscriber, line_of
from gateway.subscribers.outcome import Delivered

NOW_MS = 1_795_478_400_123


def test_the_line():
    """One line says when, what, and how large, and nothing of what is inside."""
    assert line_of(attempt(), NOW_MS) == (
        "2026-11-24T00:00:00.123Z event app=demo-key type=call.created call=default:x "
        f"key={KEY} bytes={len(BODY)} attempt=1\n"
    )


def test_no_call_and_late():
    """An event of no call has a dash, a late one says so at the end."""
    line = line_of(attempt(call_cid=None, late=True), NOW_MS)
    assert " call=- " in line
    assert line.endswith(" attempt=1 late=1\n")


@given(st.text(), st.text())
def test_no_field_can_forge_a_line(kind, call_cid):
    """Whatever an event says of itself, it stays in its fields of one short line."""
    line = line_of(attempt(type=kind, call_cid=call_cid), NOW_MS)
    encoded = line.encode(errors="replace")
    assert len(encoded) <= 4096
    assert len(line.splitlines()) == 1
    assert len(re.findall(r"(?:^| )(?:app|type|call|key|bytes|attempt)=", line)) == 6


async def test_standard_output_is_the_default(capfd):
    """Without a descriptor of its own the line goes to standard output."""
    assert await LogSubscriber(now_ms=lambda: NOW_MS).attempt(attempt()) == Delivered()
    assert capfd.readouterr().out == line_of(attempt(), NOW_MS)


async def test_a_closed_descriptor_is_a_value():
    """A descriptor that was closed fails the attempt, and raises nothing."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    os.close(write_end)
    outcome = await LogSubscriber(now_ms=lambda: NOW_MS, descriptor=write_end).attempt(attempt())
    assert outcome.detail.startswith("output: ")
