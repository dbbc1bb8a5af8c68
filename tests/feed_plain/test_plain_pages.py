"""Pages of browsers: tickets, which stand in an address, and which pages may come."""

import aiohttp
import pytest
from plain_client import CALL, KEY, events, opened, token

URL = "http://127.0.0.1:{}{}"


async def ticket(gateway, bearer=None, **headers):
    url = URL.format(gateway.port, f"/feed/tickets?api_key={KEY}")
    headers["Authorization"] = bearer or token()
    async with aiohttp.ClientSession() as session:
        async with session.post(url, headers=headers) as response:
            return response.status, await response.json()


async def test_a_ticket_opens_one_connection(gateway, sender):
    """A ticket stands for its token once; Redis does not hold the ticket itself."""
    status, given = await ticket(gateway)
    assert status == 201
    redis = await gateway.redis()
    assert not [key for key in await redis.keys("*") if given["ticket"].encode() in key]
    await redis.aclose()
    async with events(gateway, bearer="", call=CALL, ticket=given["ticket"]) as stream:
        assert (await stream.hear())[0]["type"] == "watching"
        await sender.number()
        assert (await stream.hear())[0]["event"]["custom"]["n"] == 0
    async with events(gateway, bearer="", call=CALL, ticket=given["ticket"]) as stream:
        assert stream.response.status == 401
        assert (await stream.response.json())["code"] == 5


async def test_tickets_are_bounded_and_need_a_token(gateway):
    """Without a token there is none; nobody gets more than they may have connections."""
    assert (await ticket(gateway, bearer="x"))[0] == 401
    answers = [await ticket(gateway) for _ in range(51)]
    assert [status for status, _ in answers] == [201] * 50 + [429]
    assert (await ticket(gateway, bearer=token("bob")))[0] == 201


async def test_a_ticket_for_which_there_is_no_room(gateway):
    """Is refused in words, and counts against nobody."""
    redis = await gateway.redis()
    await redis.config_set("maxmemory", 1)
    for _ in range(60):
        status, said = await ticket(gateway)
        assert (status, said["code"]) == (503, -1)
        assert "memory is full here, nothing was done: try again later" in said["message"]
    await redis.config_set("maxmemory", 0)
    await redis.aclose()
    answers = [await ticket(gateway) for _ in range(51)]
    assert [status for status, _ in answers] == [201] * 50 + [429]


async def test_foreign_pages_are_refused_in_words(gateway):
    """Neither transport nor tickets for a page that is not listed, which hears why, with a code of
    its own, as far as its browser lets it; our own and programs pass.
    """
    evil = {"Origin": "https://evil.example"}
    async with events(gateway, call=CALL, headers=evil) as stream:
        assert stream.response.status == 403
        assert stream.response.headers["Access-Control-Allow-Origin"] == evil["Origin"]
        assert "Access-Control-Allow-Credentials" not in stream.response.headers
        said = await stream.response.json()
        assert said["code"] == 4003
        assert "feed.origins" in said["message"]
    assert (await ticket(gateway, **evil))[0] == 403
    for protocols in ((), ("gateway.feed.v1",)):
        async with opened(gateway, headers=evil, protocols=protocols) as socket:
            await socket.say(type="watch", calls=[CALL], token=token(), api_key=KEY)
            said = await socket.hear()
            assert (said["type"], said["code"]) == ("error", 4003)
            assert "https://evil.example" in said["message"]
            assert await socket.hear() is None
            assert socket.raw.close_code == 4003
    assert await gateway.metric('gateway_feed_refused_total{code="4003"}') == 4
    own = {"Origin": f"http://127.0.0.1:{gateway.port}"}
    async with opened(gateway, headers=own):
        pass


class TestAllowedPages:
    @pytest.fixture
    def settings(self):
        origins = ["https://app.example", "https://*.example.com", "capacitor://localhost"]
        return {"feed": {"origins": origins}}

    @pytest.mark.parametrize(
        ("page", "comes"),
        [
            ("https://preview-7.example.com", True),
            ("capacitor://localhost", True),
            ("https://example.com", False),
            ("tauri://localhost", False),
            ("null", False),
        ],
    )
    async def test_pages_below_a_name_and_apps_may_come(self, gateway, page, comes):
        """By either transport, and nobody else."""
        async with events(gateway, call=CALL, headers={"Origin": page}) as stream:
            assert (stream.response.status == 200) is comes
        async with opened(gateway, headers={"Origin": page}) as socket:
            await socket.say(type="watch", calls=[CALL], token=token(), api_key=KEY)
            assert ((await socket.hear())["type"] == "watching") is comes

    async def test_a_listed_page_may_come(self, gateway):
        """It passes, with the headers that its browser asks for."""
        page = {"Origin": "https://app.example"}
        async with events(gateway, call=CALL, headers=page) as stream:
            assert stream.response.headers["Access-Control-Allow-Origin"] == page["Origin"]
            assert (await stream.hear())[0]["type"] == "watching"
        async with aiohttp.ClientSession() as session:
            url = URL.format(gateway.port, "/feed/tickets")
            async with session.options(url, headers=page) as response:
                assert response.status == 204
                assert response.headers["Access-Control-Allow-Origin"] == page["Origin"]
                assert "authorization" in response.headers["Access-Control-Allow-Headers"]
