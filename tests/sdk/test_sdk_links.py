"""The connection of Stream's own client: accepted, refused, refreshed, lost and taken up again."""

import asyncio
import itertools
import json

import pytest
from drivers import Refused
from support.eventually import eventually
from users import OTHER_SECRET, connected, user_token

CID = "default:link"


async def _send(client, n):
    await client.ask("send", cid=CID, events=[{"n": n}])


async def test_a_call_read_through_the_sdk(gateway, users):
    """The SDK's own state holds what another user made: custom data, time, members, who made it."""
    alice, bob = [await connected(users, gateway, name) for name in ("alice", "bob")]
    data = {"custom": {"topic": "Ω"}, "members": [{"user_id": "bob"}, {"user_id": "carol"}]}
    await alice.ask("get_or_create", cid=CID, data=data)
    await bob.ask("get", cid=CID)
    for one in (alice, bob):
        state = await one.ask("state", cid=CID)
        assert state["watching"]
        assert state["custom"] == {"topic": "Ω"}
        assert state["created_by"] == "alice"
        assert state["created_at"].startswith("20")
        assert {"bob", "carol"} <= set(state["members"])
    assert (await bob.ask("status"))["user"] == "bob"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        pytest.param(user_token("alice", secret=OTHER_SECRET), 43, id="signature"),
        pytest.param(user_token("alice").rpartition(".")[0] + ".devtoken", 43, id="devtoken"),
        pytest.param(user_token("alice", lifetime_s=-60), 40, id="expired"),
    ],
)
async def test_a_token_that_is_refused(gateway, users, token, code):
    """The SDK tells the code to the application, which cannot take it for a failure to connect."""
    with pytest.raises(Refused) as refused:
        await connected(users, gateway, "alice", tokens=[token])
    said = json.loads(refused.value.message)
    assert {**said, "message": ""} == {
        "code": code,
        "StatusCode": 401,
        "isWSFailure": False,
        "message": "",
    }, said


async def test_an_app_that_nobody_knows(gateway, users):
    """Code 2, by the same way."""
    with pytest.raises(Refused) as refused:
        await connected(users, gateway, "alice", app=("no-such-key", "demo-secret"))
    assert json.loads(refused.value.message)["code"] == 2


async def test_an_expired_token_is_replaced(gateway, users):
    """Refused with 40, the SDK asks its provider again and connects with what it gets."""
    tokens = [user_token("alice", lifetime_s=-60), user_token("alice")]
    alice = await connected(users, gateway, "alice", tokens=tokens)
    assert (await alice.ask("status"))["tokens_asked"] == 2
    await alice.ask("get_or_create", cid=CID)
    await _send(alice, 1)
    assert await alice.hears(1) == [{"n": 1}]


async def test_a_token_that_expires_meanwhile(gateway, users):
    """Its socket closes; the SDK is back with a new token, watches again, and hears on."""
    bob = await connected(users, gateway, "bob")
    await bob.ask("get_or_create", cid=CID)
    tokens = [user_token("alice", lifetime_s=8), user_token("alice")]  # to come with, and watch
    alice = await connected(users, gateway, "alice", tokens=tokens)
    await alice.ask("get", cid=CID)
    await _send(bob, 1)
    await alice.hears(1)
    await alice.is_online(times=2)
    await _hears_again(alice, bob, 2)
    assert (await alice.ask("status"))["tokens_asked"] == 2


async def _hears_again(listener, sender, first):
    """Send until one is heard: the SDK does not say when it has watched again."""
    numbers = itertools.count(first)
    before = len(listener.heard)

    async def heard():
        await _send(sender, next(numbers))
        return len(listener.heard) > before

    await eventually(heard, within_s=60)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_restart_of_the_gateway(gateway, users, how):
    """Drained or killed: every user comes back by itself, watches again, and hears each event once."""
    people = [await connected(users, gateway, name) for name in ("alice", "bob")]
    for one in people:
        await one.ask("get_or_create", cid=CID)
    await _send(people[0], 0)
    for one in people:
        await one.hears(1)
    before = [(await one.ask("status"))["connection_id"] for one in people]
    await getattr(gateway, how)()
    await gateway.start()
    for one, old in zip(people, before, strict=True):
        await one.is_online(times=2)
        assert (await one.ask("status"))["connection_id"] != old
    alice, bob = people
    await _hears_again(bob, alice, 100)
    await _hears_again(alice, bob, 200)
    for one in people:
        heard = [event["custom"]["n"] for event in one.heard]
        assert len(heard) == len(set(heard))
        assert 0 in heard


@pytest.mark.hard
@pytest.mark.xdist_group("sdk-idle")
async def test_forty_idle_seconds(gateway, node_users, chromium_users):
    """Nothing happens for longer than the SDK's patience (35 s): the link is the same after it."""
    alice = await connected(node_users, gateway, "alice")
    bob = await connected(chromium_users, gateway, "bob")
    for one in (alice, bob):
        await one.ask("get_or_create", cid=CID)
    before = [await one.ask("status") for one in (alice, bob)]
    await asyncio.sleep(40)
    assert [await one.ask("status") for one in (alice, bob)] == before
    assert alice.online == bob.online == 1
    await _send(alice, 1)
    await _send(bob, 2)
    for one in (alice, bob):
        assert await one.hears(2) == [{"n": 1}, {"n": 2}]
