"""`gateway dead` on real dead letters."""

import json

import pytest
from redis.asyncio import Redis
from support.commands import run, write_config
from support.streams import (
    Recorder,
    TestPublisher,
    assert_balanced,
    delivering,
    event,
    served,
    settled,
)

from gateway.store import keys
from gateway.subscribers.outcome import Failed, Reason


def rejected(attempt):
    return Failed(Reason.REJECTED, status=400, snippet="no\x1b[2J")


@pytest.fixture
async def config(engine_url, tmp_path):
    """Five dead letters of `sub`, four of them rejected; `other` has none."""
    publisher = TestPublisher(engine_url)
    recorder = Recorder(lambda a: Failed(Reason.GONE, 410) if b'"n":0' in a.body else rejected(a))
    async with delivering(engine_url, served(recorder), served(Recorder(), name="other")):
        await publisher.publish(*(event(n, call=f"default:{n}") for n in range(5)))
        await settled(engine_url)
    await publisher.close()
    return write_config(tmp_path, redis=engine_url)


async def dead(config, *args):
    return await run("dead", *args, "--config", config)


async def ids(config, *args):
    return [
        one["id"] for one in json.loads((await dead(config, "list", "sub", "--json", *args)).stdout)
    ]


async def test_the_counts_of_all_are_listed(config):
    """Without a subscriber everybody is listed, the gateway's own too."""
    result = await dead(config, "list", "--json")
    assert json.loads(result.stdout) == {"other": 0, "sub": 5, "gateway": 0}
    assert "SUBSCRIBER" in (await dead(config, "list")).stdout


async def test_a_list_can_be_bounded_and_chosen_by_reason(config):
    """--limit takes the oldest, --reason those of one reason."""
    assert len(await ids(config)) == 5
    assert await ids(config, "--limit", "2") == (await ids(config))[:2]
    assert len(await ids(config, "--reason", "rejected")) == 4
    assert len(await ids(config, "--reason", "gone")) == 1
    assert (
        "1 of 5 dead letters of sub" in (await dead(config, "list", "sub", "--limit", "1")).stderr
    )


async def test_a_letter_is_shown_with_its_history_and_its_body(config):
    """Reason, status, answer, attempts and the very bytes; nothing steers the terminal."""
    (letter_id,) = await ids(config, "--reason", "rejected", "--limit", "1")
    (letter,) = json.loads((await dead(config, "show", "sub", letter_id, "--json")).stdout)
    assert (letter["reason"], letter["status"], letter["attempts"]) == ("rejected", 400, 1)
    assert (letter["app"], letter["type"]) == ("app", "call.updated")
    assert json.loads(letter["body"])["type"] == "call.updated"
    text = (await dead(config, "show", "sub", letter_id)).stdout
    assert letter["body"] in text
    assert "no\\x1b[2J" in text
    assert "\x1b" not in text


async def test_revived_letters_are_due_again(config, engine_url):
    """By id or all; they leave the dead letters, and are delivered."""
    first, *_ = await ids(config)
    assert "revived 1 dead letter of sub" in (await dead(config, "revive", "sub", first)).stdout
    assert "revived 4 dead letters of sub" in (await dead(config, "revive", "sub", "--all")).stdout
    assert await ids(config) == []
    recorder = Recorder()
    async with delivering(engine_url, served(recorder), served(Recorder(), name="other")):
        await settled(engine_url)
    assert len(recorder.delivered) == 5


async def test_purged_letters_are_gone_and_the_ledger_says_so(config, engine_url):
    """By reason or all; what was purged counts as discarded."""
    result = await dead(config, "purge", "sub", "--all", "--reason", "gone")
    assert "purged 1 dead letter of sub" in result.stdout
    assert "purged 4 dead letters of sub" in (await dead(config, "purge", "sub", "--all")).stdout
    assert (await assert_balanced(engine_url))["sub"]["discarded"] == 5


@pytest.mark.parametrize("verb", ["revive", "purge"])
async def test_a_dry_run_changes_nothing(config, verb):
    """It says what would happen, with the same choice of letters."""
    before = await ids(config)
    for args, number in (
        (("--all",), "5 dead letters"),
        (("--all", "--reason", "rejected"), "4 dead letters"),
        ((before[0],), "1 dead letter"),
    ):
        result = await dead(config, verb, "sub", *args, "--dry-run")
        assert result.stdout == f"would {verb} {number} of sub\n"
    assert await ids(config) == before


@pytest.mark.parametrize("verb", ["revive", "purge"])
async def test_all_must_be_said(config, verb):
    """Neither ids nor --all, or both, is a usage error."""
    for args in ((), ("1:1-0", "--all")):
        result = await dead(config, verb, "sub", *args)
        assert result.exit_code == 2
        assert "--all" in result.stderr
    assert len(await ids(config)) == 5


@pytest.mark.parametrize("verb", ["show", "revive", "purge"])
async def test_unknown_ids_and_subscribers_are_told_before_anything_is_done(config, verb):
    """Exit code 1, with those that there are; the known id beside it is left alone."""
    known = await ids(config)
    for args, text in (
        (("nobody", known[0]), "other, sub, gateway"),
        (("sub", known[0], "0:1-0"), known[0]),
        (("sub", "nonsense"), "no id of a dead letter"),
    ):
        result = await dead(config, verb, *args)
        assert result.exit_code == 1
        assert text in result.stderr
    assert await ids(config) == known


async def test_what_is_no_event_cannot_be_revived(config):
    """The gateway's own dead letters can be shown and purged only."""
    result = await dead(config, "revive", "gateway", "--all", "--dry-run")
    assert result.exit_code == 1
    assert "no events" in result.stderr


async def test_a_letter_that_cannot_be_read_is_still_shown(config, engine_url):
    """A meta that somebody else wrote, and a body that is no text, do not stop a command."""
    from gateway.store.parcels import Parcel, pack

    redis = Redis.from_url(engine_url)
    packed = pack(Parcel(b"?", b"\xff\x1b", reason="unreadable", buried_ms=1))
    await redis.hset(keys.dead(0, "sub"), "9-9", packed)
    await redis.zadd(keys.dead_at(0, "sub"), {"9-9": 1})
    await redis.aclose()
    assert "unreadable" in (await dead(config, "list", "sub")).stdout
    (letter,) = json.loads((await dead(config, "show", "sub", "0:9-9", "--json")).stdout)
    assert letter["body_base64"] == "/xs="
    assert "\\xff\\x1b" in (await dead(config, "show", "sub", "0:9-9")).stdout
