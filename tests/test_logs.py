"""What is logged of an exception that nobody foresaw: by a process of its own, as it is written."""

import json
import subprocess
import sys

import pytest

_PROCESS = """
import asyncio, logging, sys
from gateway import logs
from gateway.unforeseen import Unforeseen
from gateway.calls.tokens import is_user_id

logs.set_up(level="info", style=sys.argv[1])
log = logging.getLogger("gateway.test")

def ours():
    is_user_id(None)

def foreign():
    raise ValueError("foreign")

def tell(act, times, logger=log):
    for _ in range(times):
        try:
            act()
        except Exception:
            logger.exception("answering failed")

async def in_a_callback():
    loop = asyncio.get_running_loop()
    for _ in range(3):
        loop.call_soon(lambda: {}["absent"])
    await asyncio.sleep(0)

exec(sys.argv[2])
"""


def said(style, act):
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS, style, act], capture_output=True, text=True, check=True
    )
    return done.stderr


def lines(act):
    return [json.loads(line) for line in said("json", act).splitlines()]


def test_each_is_a_line_with_its_place():
    """Of what kind it is and where in our code; the traceback is in the first alone."""
    found = lines("tell(ours, 3); log.info('other')")
    assert [one["level"] for one in found] == ["ERROR"] * 3 + ["INFO"]
    for one in found[:3]:
        assert one["error"] == "AttributeError"
        assert one["place"].startswith("gateway/calls/tokens.py:")
        assert one["place"].endswith(" is_user_id")
    assert ["exception" in one for one in found] == [True, False, False, False]


def test_places_are_told_apart():
    """Another place, ours or not, has a traceback of its own."""
    found = lines("tell(ours, 2); tell(foreign, 2); tell(ours, 1)")
    assert ["exception" in one for one in found] == [True, False, True, False, False]
    assert found[2]["place"].endswith("foreign")


def test_a_flood_is_held_back():
    """Ten lines a minute for a place: whatever causes it cannot fill a disk."""
    assert len(lines("tell(ours, 5000); tell(foreign, 1)")) == 11


def test_what_was_held_back_is_counted():
    """In the next line of that place."""
    found = lines(
        "own = Unforeseen(interval_s=3600, most_lines=2);"
        "logging.getLogger().handlers[0].filters[:] = [own];"
        "tell(ours, 5); own._interval_s = 0; tell(ours, 1)"
    )
    assert len(found) == 3
    assert [one.get("held_back") for one in found] == [None, None, 3]
    assert ["exception" in one for one in found] == [True, False, True]


@pytest.mark.parametrize("logger", ["asyncio", "aiohttp.server", "gateway.feed"])
def test_whoever_logs_it(logger):
    """The libraries that answer for us too."""
    found = lines(f"tell(ours, 2, logging.getLogger('{logger}'))")
    assert ["exception" in one for one in found] == [True, False]


def test_a_callback_that_fails():
    """The loop tells of it by the same rule."""
    found = lines("asyncio.run(in_a_callback())")
    assert [("exception" in one, one["error"]) for one in found] == [
        (True, "KeyError"),
        (False, "KeyError"),
        (False, "KeyError"),
    ]


def test_in_text():
    """One line each but for the traceback behind the first."""
    text = said("text", "tell(ours, 2)")
    assert text.count("Traceback") == 1
    assert text.count("ERROR test: answering failed error=AttributeError place=gateway/calls/") == 2
    assert "Traceback" not in text.splitlines()[-1]
