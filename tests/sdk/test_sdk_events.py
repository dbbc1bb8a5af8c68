"""Custom events through Stream's SDKs: from each to each, once, in order."""

import asyncio

import pytest
from drivers import Refused
from users import OTHER_KEY, OTHER_SECRET, connected, server, user_token

CID = "default:balloons"
COUNT = 25


def numbered(sender: str, count: int = COUNT) -> list[dict]:
    return [{"from": sender, "n": n, "text": "hé \u2028 <&> 🎈"} for n in range(count)]


async def everybody_hears_everybody(listeners, senders):
    """`senders`: name to the coroutine function that sends one list of payloads."""
    await asyncio.gather(*(send(numbered(name)) for name, send in senders.items()))
    await next(iter(senders.values()))([{"from": "the end"}])  # a duplicate would come before it
    total = COUNT * len(senders) + 1
    everything = [await one.hears(total) for one in listeners]
    for payloads in everything:
        for name in senders:
            assert [one for one in payloads if one["from"] == name] == numbered(name)
        assert payloads == everything[0], "a call has one order"
    for one in listeners:
        assert [event for event in one.events if event["type"] == "custom"] == one.heard


def sending(client, **more):
    return lambda events: client.ask("send", cid=CID, events=events, **more)


async def test_users_in_node_and_both_servers(gateway, node_users, node_server, python_server):
    """Two users and two servers send at once: both users hear all of it, in one same order."""
    alice, bob = [await connected(node_users, gateway, name) for name in ("alice", "bob")]
    await alice.ask("get_or_create", cid=CID)
    await bob.ask("get", cid=CID)
    by_node, by_python = await server(node_server, gateway), await server(python_server, gateway)
    senders = {
        "alice": sending(alice),
        "bob": sending(bob),
        "node-sdk": sending(by_node, user_id="carol"),
        "getstream": sending(by_python, user_id="dave"),
    }
    await everybody_hears_everybody([alice, bob], senders)
    sender = {event["custom"]["from"]: event["user"]["id"] for event in bob.heard[:-1]}
    assert sender == {"alice": "alice", "bob": "bob", "node-sdk": "carol", "getstream": "dave"}


async def test_users_in_node_and_in_chromium_and_both_servers(
    gateway, node_users, chromium_users, node_server, python_server
):
    """A page of another origin, a user in Node and both servers: all hear all, in one order."""
    alice = await connected(node_users, gateway, "alice")
    bob = await connected(chromium_users, gateway, "bob")
    by_node, by_python = await server(node_server, gateway), await server(python_server, gateway)
    await alice.ask("get_or_create", cid=CID)
    await bob.ask("get_or_create", cid=CID)
    senders = {
        "alice": sending(alice),
        "bob": sending(bob),
        "node-sdk": sending(by_node, user_id="carol"),
        "getstream": sending(by_python, user_id="dave"),
    }
    await everybody_hears_everybody([alice, bob], senders)


@pytest.mark.parametrize("way", ["get", "get_or_create", "join", "query"])
async def test_each_request_that_watches(gateway, users, way):
    """Get, GetOrCreate, Join and QueryCalls with watch: after its answer no event is missed."""
    alice, bob, carol = [
        await connected(users, gateway, name) for name in ("alice", "bob", "carol")
    ]
    await alice.ask("get_or_create", cid=CID)
    filter_ = {"cid": {"$in": [CID]}}
    if way == "query":
        found = await bob.ask("query", filter=filter_, watch=True)
        assert found["cids"] == [CID]
    else:
        await bob.ask(way, cid=CID)
    await carol.ask("query", filter=filter_, watch=False)
    await alice.ask("send", cid=CID, events=numbered("alice", 3))
    assert await bob.hears(3) == await alice.hears(3) == numbered("alice", 3)
    assert carol.events == []


async def test_a_join_gets_no_media_but_watches(gateway, users):
    """call.join() fails for want of a media server, at once, and its user hears the call's events."""
    alice, bob = [await connected(users, gateway, name) for name in ("alice", "bob")]
    with pytest.raises(Refused):
        async with asyncio.timeout(30):
            await bob.ask("join_with_media", cid=CID)
    await alice.ask("get_or_create", cid=CID)
    await alice.ask("send", cid=CID, events=numbered("alice", 3))
    assert await bob.hears(3) == numbered("alice", 3)


async def test_two_apps_with_the_same_call_never_hear_each_other(gateway, users):
    """A call is (app, cid), and so is a user."""
    ours = await connected(users, gateway, "alice")
    theirs = await connected(users, gateway, "alice", app=(OTHER_KEY, OTHER_SECRET))
    for one in (ours, theirs):
        await one.ask("get_or_create", cid=CID)
    await asyncio.gather(
        ours.ask("send", cid=CID, events=numbered("ours", 5)),
        theirs.ask("send", cid=CID, events=numbered("theirs", 5)),
    )
    assert await ours.hears(5) == numbered("ours", 5)
    assert await theirs.hears(5) == numbered("theirs", 5)


async def test_more_than_5_kb_is_refused(gateway, users):
    """Code 22; nobody hears any of it, and what fits goes through after it."""
    alice = await connected(users, gateway, "alice")
    await alice.ask("get_or_create", cid=CID)
    with pytest.raises(Refused) as refused:
        await alice.ask("send", cid=CID, events=[{"text": "x" * 6000}])
    assert refused.value.code == 22
    await alice.ask("send", cid=CID, events=[{"text": "x" * 4900}])
    assert await alice.hears(1) == [{"text": "x" * 4900}]


async def test_a_guest_watches_and_sends(gateway, users):
    """Who has no token gets one, and with it hears and is heard like anybody."""
    alice = await connected(users, gateway, "alice")
    await alice.ask("get_or_create", cid=CID)
    visitor = {"id": "visitor", "name": "V", "type": "guest"}
    guest = await connected(users, gateway, "guest", guest=visitor)
    await guest.ask("get", cid=CID)
    await guest.ask("send", cid=CID, events=numbered("guest", 2))
    await alice.ask("send", cid=CID, events=numbered("alice", 2))
    assert (
        await guest.hears(4) == await alice.hears(4) == numbered("guest", 2) + numbered("alice", 2)
    )


async def test_a_python_client_with_a_users_token(gateway, node_users, python_server):
    """getstream with a token instead of a secret sends as that user, whatever it says."""
    alice = await connected(node_users, gateway, "alice")
    await alice.ask("get_or_create", cid=CID)
    bob = await server(python_server, gateway, token=user_token("bob"), is_async=True)
    await bob.ask("send", cid=CID, events=numbered("bob", 2))
    assert await alice.hears(2) == numbered("bob", 2)
    assert {event["user"]["id"] for event in alice.heard} == {"bob"}
