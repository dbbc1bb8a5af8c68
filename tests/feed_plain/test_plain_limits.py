"""What one client of the plain feed may do to it, and to the others: little."""

import asyncio

import pytest
from plain_client import watching
from support.eventually import eventually


async def test_what_is_no_message_does_not_end_the_connection(gateway, sender):
    """It is answered, and the feed goes on."""
    async with watching(gateway) as socket:
        for text in (
            "x",
            "[]",
            '{"type":"fly"}',
            '{"type":"watch","calls":["default:a"],"since":"c"}',
        ):
            await socket.raw.send_str(text)
            assert (await socket.hear())["code"] == 4
        await sender.number()
        assert await socket.numbers(1) == [0]


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (lambda raw: raw.send_bytes(b"{}"), 1003),
        (lambda raw: raw.send_str(" " * (65 << 10)), 1009),
    ],
)
async def test_binary_and_oversized_messages_end_it(gateway, send, code):
    """With the code that says why."""
    async with watching(gateway) as socket:
        await send(socket.raw)
        assert await socket.hear() is None
        assert socket.raw.close_code == code


async def test_a_flood_ends_it(gateway):
    """More messages than anybody needs, pings included, end the connection."""
    for flood in ("text", "ping"):
        async with watching(gateway) as socket:
            for _ in range(101):
                await (socket.say(type="ping") if flood == "text" else socket.raw.ping())
            while await socket.hear() is not None:
                pass
            assert socket.raw.close_code == 1008


async def test_a_watcher_that_does_not_read_is_let_go(gateway, sender):
    """What waits for it is bounded; it comes back and has missed nothing."""
    async with watching(gateway) as slow, watching(gateway, user="bob") as quick:
        slow.raw._response.connection.transport.pause_reading()
        for number in range(120):  # in step: the quick one is never behind
            await sender.number(size=100_000)
            assert await quick.numbers(1) == [number]
        slow.raw._response.connection.transport.resume_reading()
        seen = []
        while (said := await slow.hear()) is not None:
            seen.append(said["event"]["custom"]["n"])
        assert seen == list(range(len(seen)))
        assert len(seen) < 120
    async with watching(gateway, since=slow.cursor) as back:
        assert back.first["recovered"] is True
        assert await back.numbers(120 - len(seen)) == list(range(len(seen), 120))


async def _read_when_let_go(gateway, slow):
    """Hear at once why: it is not waited for long."""
    await eventually(lambda: gateway.metric('gateway_feed_let_go_total{reason="slow"}'))
    slow.raw._response.connection.transport.resume_reading()
    while await slow.hear() is not None:
        pass


async def test_a_slow_watcher_of_two_calls_is_let_go_alone(gateway, sender):
    """One that went from one call to two, in the middle of an event's way to others like it."""
    async with watching(gateway) as slow, watching(gateway, user="bob") as quick:
        for one in (slow, quick):
            await one.say(type="watch", calls=["default:other"])
            assert (await one.hear())["calls"] == ["default:numbers", "default:other"]
        slow.raw._response.connection.transport.pause_reading()
        leaving = asyncio.create_task(_read_when_let_go(gateway, slow))
        for number in range(60):
            await sender.number(size=100_000)
            assert await quick.numbers(1) == [number]
        await leaving
        assert slow.raw.close_code == 1013
    assert "Traceback" not in gateway.log_text
