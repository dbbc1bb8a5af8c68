"""Files of an embedded server to hurt: what a power failure leaves, made from what a real one wrote."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import redis.asyncio as aioredis
from support.engines import supervised
from support.eventually import eventually

from gateway.embedded import Cut, read_cuts_in


def data(data_dir: Path) -> Path:
    return data_dir / "valkey" / "appendonlydir"


def manifest(data_dir: Path) -> Path:
    return data(data_dir) / "appendonly.aof.manifest"


def bases(data_dir: Path) -> list[Path]:
    return sorted(data(data_dir).glob("*.base.rdb"))


def increments(data_dir: Path) -> list[Path]:
    return sorted(data(data_dir).glob("*.incr.aof"))


def command(*words: bytes) -> bytes:
    """A command as the file has it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def put(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def append(path: Path, content: bytes) -> None:
    put(path, path.stat().st_size, content)


async def rewritten(client: aioredis.Redis) -> None:
    """Have the file rewritten, to the end."""
    await client.bgrewriteaof()

    async def done() -> bool:
        told = await client.info("persistence")
        return not (told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"])

    await eventually(done)
    assert (await client.info("persistence"))["aof_last_bgrewrite_status"] == "ok"


async def fill(data_dir: Path, *, generations: int = 1, per_generation: int = 100) -> None:
    """Write keys `k0` and on; each generation but the first begins with a rewrite that is killed,
    and so in an increment of its own.
    """
    async with supervised(data_dir) as engine, aioredis.from_url(engine.url) as client:
        for generation in range(generations):
            if generation:
                await client.config_set("rdb-key-save-delay", 1_000_000)
                await client.bgrewriteaof()
                assert engine.pid is not None
                await killed_rewrite(client, engine.pid)
                await client.config_set("rdb-key-save-delay", 0)
            for number in range(generation * per_generation, (generation + 1) * per_generation):
                await client.set(f"k{number}", f"value {number}")
        await client.execute_command("WAITAOF", 1, 0, 0)


async def killed_rewrite(client: aioredis.Redis, server: int) -> None:
    """kill -9 the rewrite that is under way, as the kernel would for want of memory."""

    def child() -> int | None:
        text = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        return int(text[0]) if text else None

    os.kill(await eventually(child), signal.SIGKILL)

    async def ended() -> bool:
        return bool((await client.info("persistence"))["aof_last_bgrewrite_status"] == "err")

    await eventually(ended)


async def held(data_dir: Path) -> dict[str, str]:
    """Start a server on the files, and return the keys and values that it has then."""
    async with supervised(data_dir) as engine, aioredis.from_url(engine.url) as client:
        names: Any = await client.keys("*")
        values: Any = await client.mget(names) if names else []
    return {n.decode(): v.decode() for n, v in zip(names, values, strict=True) if v is not None}


def expected(count: int) -> dict[str, str]:
    return {f"k{number}": f"value {number}" for number in range(count)}


def only_cut(data_dir: Path) -> tuple[Path, Cut]:
    (found,) = read_cuts_in(data_dir)
    return found


async def left_over(data_dir: Path) -> list[str]:
    return await asyncio.to_thread(lambda: sorted(p.name for p in data_dir.rglob("temp-*")))
