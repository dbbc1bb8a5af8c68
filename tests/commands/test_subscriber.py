"""`gateway subscriber` on real subscriptions."""

import json

import pytest
from support.commands import run, write_config
from support.streams import Recorder, TestPublisher, delivering, event, served, settled

from gateway.subscribers.outcome import Failed, Reason


@pytest.fixture
async def config(engine_url, tmp_path):
    """`sub` has delivered two and buried one, `left` is no longer configured, two wait for it."""
    publisher = TestPublisher(engine_url)
    recorder = Recorder(
        lambda a: Failed(Reason.GONE, 410) if b'"n":0' in a.body else Recorder().answer(a)
    )
    async with delivering(engine_url, served(recorder), served(Recorder(), name="left")):
        await publisher.publish(*(event(n) for n in range(3)))
        await settled(engine_url)
        await settled(engine_url, "left")
    await publisher.publish(event(10), event(11))
    async with delivering(engine_url, served(recorder)):
        await settled(engine_url)
    await publisher.close()
    return write_config(tmp_path, redis=engine_url, names=("sub", "new"))


async def subscriber(config, *args):
    return await run("subscriber", *args, "--config", config)


async def states(config):
    rows = json.loads((await subscriber(config, "list", "--json")).stdout)
    return {row["subscriber"]: row for row in rows}


async def test_everybody_is_listed_with_state_and_backlog(config):
    """Configured or not, started or not."""
    rows = await states(config)
    assert {name: row["state"] for name, row in rows.items()} == {
        "sub": "active",
        "left": "removed from config",
        "new": "not started",
    }
    assert (rows["sub"]["delivered"], rows["sub"]["buried"], rows["sub"]["unread"]) == (4, 1, 0)
    assert (rows["left"]["delivered"], rows["left"]["unread"]) == (3, 2)
    assert "removed from config" in (await subscriber(config, "list")).stdout


async def test_pause_and_resume(config):
    """Both take effect once, say so, and repeat harmlessly."""
    assert (await subscriber(config, "pause", "sub")).stdout == "sub is paused now\n"
    assert (await states(config))["sub"]["state"] == "paused"
    assert (await subscriber(config, "pause", "sub")).stdout == "sub is paused already\n"
    assert (await subscriber(config, "resume", "sub")).stdout == "sub is active now\n"
    assert (await states(config))["sub"]["state"] == "active"


async def test_dry_runs_change_nothing(config):
    """They say what would happen."""
    before = await states(config)
    assert (await subscriber(config, "pause", "sub", "--dry-run")).stdout == (
        "sub is active, would be paused\n"
    )
    assert (await subscriber(config, "forget", "left", "--dry-run")).stdout == (
        "would forget left and discard 2 waiting events and 0 dead letters\n"
    )
    assert await states(config) == before


async def test_forget_says_what_is_discarded(config):
    """A subscriber that left the configuration is gone with all that waits for it."""
    result = await subscriber(config, "forget", "left")
    assert result.stdout == "forgot left and discarded 2 waiting events and 0 dead letters\n"
    assert "left" not in await states(config)


async def test_forget_refuses_what_is_configured_unless_forced(config):
    """A configured one would start anew at once."""
    result = await subscriber(config, "forget", "sub")
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert (await states(config))["sub"]["delivered"] == 4
    result = await subscriber(config, "forget", "sub", "--force")
    assert result.stdout == "forgot sub and discarded 0 waiting events and 1 dead letter\n"
    assert (await states(config))["sub"]["state"] == "not started"


@pytest.mark.parametrize("verb", ["pause", "resume", "forget"])
async def test_an_unknown_subscriber_is_told_with_the_known(config, verb):
    """Exit code 1."""
    result = await subscriber(config, verb, "nobody")
    assert result.exit_code == 1
    assert "left, sub" in result.stderr
