"""Redis comes back from an older copy of itself, and the gateway was killed with it."""

import shutil
import struct

import pytest
from plain_client import watching
from support.eventually import eventually

from gateway.store import keys


async def seen_and_lost(gateway, sender, copy):
    """Send 5 numbers, copy what Redis has, send 5 more, which are watched; kill, and put the copy
    in its place. Returns the cursor behind all ten.
    """
    await sender.number(5)
    await gateway.settled()
    assert await gateway.stop() == 0
    shutil.copytree(gateway.data / "valkey", copy)
    await gateway.start()
    await gateway.up()
    async with watching(gateway) as socket:
        await sender.number(5)
        assert await socket.numbers(5) == [5, 6, 7, 8, 9]
    await gateway.settled()
    # Told to itself, as it does in every second: up to where Redis has had the journal.
    async with await gateway.redis() as redis:
        await eventually(lambda: _knows_what_is_published(gateway, redis))
    await gateway.kill()
    await eventually(lambda: gateway.engine_pid() is None or _is_gone(gateway.engine_pid()))
    shutil.rmtree(gateway.data / "valkey")
    shutil.copytree(copy, gateway.data / "valkey")
    return socket.cursor


async def _knows_what_is_published(gateway, redis):
    """Whether the journal is published to its end in every shard, and the file beside it says so."""
    path = gateway.data / "journal" / "0" / "published"
    content = path.read_bytes() if path.exists() else b""
    journal, marks = content[:16].hex(), content[16:-4]  # behind them a checksum
    kept = [mark for (mark,) in struct.iter_unpack("<Q", marks[: len(marks) // 8 * 8])]
    has = [await redis.hget(keys.shard_state(one), f"pos:{journal}") for one in range(keys.SHARDS)]
    return len(set(kept)) == 1 and kept == [int(one or 0) for one in has]


def _is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split()[2] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("journal", ["kept", "lost"])
async def test_a_cursor_of_what_is_gone_says_so(gateway, sender, tmp_path, journal):
    """Whether or not the journal heals it, and before anything new comes: `recovered: false` at
    once, never a gap or a repeat in silence, nor a wait for what will not come.
    """
    cursor = await seen_and_lost(gateway, sender, tmp_path / "copy")
    if journal == "lost":
        shutil.rmtree(gateway.data / "journal")
    await gateway.start()
    await gateway.up()
    async with watching(gateway, since=cursor) as socket:
        assert socket.first["recovered"] is False
        assert socket.first["lost"] == ["default:numbers"]
        if journal == "kept":
            await eventually(lambda: _healed(gateway))
    async with watching(gateway) as socket:
        await sender.number(3)
        assert await socket.numbers(3) == [10, 11, 12]
        after = socket.cursor
        await sender.number()
    async with watching(gateway, since=after) as socket:
        assert socket.first["recovered"] is True
        assert await socket.numbers(1) == [13]
    if journal == "kept":
        assert (await gateway.settled())["overall"]["published"] == 14


async def _healed(gateway):
    return (await gateway.settled())["overall"]["published"] == 10
