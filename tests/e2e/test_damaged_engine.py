"""The gateway after a power failure that damaged its engine's files: what is told, and the ledger."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest
from support.append_only import increments, killed_rewrite, put, rewritten
from support.eventually import eventually
from support.load import Load
from support.receiver import running_receiver, status
from support.running_gateway import RunningGateway, running_gateway

SMALL = {"segment_size": "512KiB", "max_size": "4MiB", "keep": "1s"}


def subscriber(url: str) -> dict:
    return {"name": "app", "kind": "http", "url": url, "order": "call"}


async def commanded(gateway: RunningGateway, *words: str) -> tuple[int, str]:
    """Run a command on its configuration; return the exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *words,
        "--config",
        "config.yaml",
        cwd=gateway.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def written(gateway: RunningGateway) -> None:
    async with await gateway.redis() as client:
        await client.execute_command("WAITAOF", 1, 0, 0)


async def power_fails(gateway: RunningGateway) -> Path:
    """kill -9 of everything; return the file that the engine wrote to last."""
    pid = gateway.engine_pid()
    await gateway.kill()
    await eventually(lambda: not Path(f"/proc/{pid}").exists(), within_s=60)
    return increments(gateway.data)[-1]


async def warnings(gateway: RunningGateway) -> list[str]:
    """What /readyz warns of, once it is ready."""
    found = await eventually(lambda: gateway.ask("/readyz"), within_s=60)
    return found.get("warnings", [])


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_the_journal_holds_comes_again(tmp_path, workers):
    """A zero page in the middle of the file, and all behind it good: everything is delivered, the
    ledger adds up with what is buried and parked, webhooks are taken all the while, and it is told
    how many bytes were cut off, and since when.
    """
    server = {"server": {"workers": workers}} if workers > 1 else {}
    async with running_receiver() as receiver, running_receiver(otherwise=status(400)) as refuser:
        parts = [subscriber(receiver.url), {**subscriber(refuser.url), "name": "refuser"}]
        down = {**subscriber("http://127.0.0.1:1/"), "name": "down"}
        async with running_gateway(tmp_path / "g", subscribers=[*parts, down], **server) as gateway:
            load = Load(gateway.port)
            await load.run(300)
            await gateway.tried()
            await written(gateway)
            path = await power_fails(gateway)
            size = path.stat().st_size
            put(path, size // 2 // 4096 * 4096, bytes(4096))
            await gateway.start()
            await load.run(50, first=300)
            (told,) = await warnings(gateway)
            ledger = await gateway.tried()
            assert ledger["balanced"], ledger
            assert set(load.acked) <= set(receiver.bodies)
            accounts = ledger["subscribers"]
            assert accounts["refuser"]["buried"] == accounts["app"]["delivered"] == 350
            assert accounts["down"]["waiting"]["parked"] == 350
            cut_bytes = ledger["overall"]["engine_cut_bytes"]
            assert size // 3 < cut_bytes < size
            assert f"{cut_bytes:,} bytes were cut off, written since 20" in told
            assert await gateway.metric("gateway_engine_cut_bytes") == cut_bytes
            assert gateway.log_text.count("were damaged, and are mended") == 1
            code, said = await commanded(gateway, "ledger")
            assert code == 0
            assert "everything adds up" in said
            assert f"{cut_bytes:,} bytes were cut off" in said


async def test_what_only_the_engine_held_is_told_as_lost(tmp_path):
    """Where the journal does not reach back to what is left, the accounts add up and the ledger is
    not balanced, with and without a gateway, until the folder is taken away.
    """
    async with running_receiver() as receiver:
        config = {"journal": SMALL, "ingest": {"max_body": "256KiB"}}
        config["subscribers"] = [subscriber(receiver.url)]
        async with running_gateway(tmp_path / "g", **config) as gateway:
            load = Load(gateway.port)
            while min(int(p.stem) for p in (gateway.data / "journal/0").glob("*.journal")) == 0:
                await load.run(500, first=len(load.acked), connections=16)
            await gateway.settled()
            await written(gateway)
            path = await power_fails(gateway)
            # So early that the files which the journal has let go of reach beyond it.
            put(path, path.stat().st_size // 40, bytes(4096))
            await gateway.start()
            await warnings(gateway)
            ledger = await eventually(lambda: told_as_lost(gateway), within_s=60)
            await eventually(lambda: is_idle(gateway), within_s=60)
            ledger = await gateway.ledger()
            assert not ledger["balanced"]
            assert ledger["overall"]["balance"] == ledger["subscribers"]["app"]["balance"] == 0
            assert ledger["overall"]["forgotten"] > 0
            code, said = await commanded(gateway, "ledger")
            assert code == 1
            assert "LOST BY THE ENGINE, OR MAY BE" in said
            await gateway.stop()
            code, said = await commanded(gateway, "ledger")
            assert code == 1
            assert "LOST BY THE ENGINE, OR MAY BE" in said
            await gateway.start()
            shutil.rmtree(next((gateway.data / "valkey" / "damaged").iterdir()))
            assert await warnings(gateway) == []
            assert "engine" not in await gateway.settled()


async def told_as_lost(gateway: RunningGateway) -> dict | None:
    ledger = await gateway.ledger()
    return ledger if ledger and ledger.get("engine", {}).get("lost") else None


async def is_idle(gateway: RunningGateway) -> bool:
    ledger = await gateway.ledger()
    return bool(ledger) and not any(ledger["subscribers"]["app"]["waiting"].values())


async def test_a_pause_that_is_lost_is_told(tmp_path):
    """Events come again; that somebody had paused a subscriber nobody knows any more."""
    async with running_receiver() as receiver:
        parts = [subscriber(receiver.url)]
        async with running_gateway(tmp_path / "g", subscribers=parts) as gateway:
            load = Load(gateway.port)
            await load.run(50)
            await gateway.settled()
            await written(gateway)
            start = increments(gateway.data)[-1].stat().st_size
            assert (await commanded(gateway, "subscriber", "pause", "app"))[0] == 0
            await written(gateway)
            put(await power_fails(gateway), start - 3, bytes(20))
            await gateway.start()
            await load.run(10, first=50)
            ledger = await eventually(lambda: told_as_lost(gateway), within_s=60)
            assert ledger["engine"]["lost"] == ["a pause of a subscriber"]
            await eventually(lambda: set(load.acked) <= set(receiver.bodies), within_s=60)
            assert ledger["subscribers"]["app"]["balance"] == 0


async def test_a_rewrite_that_fails_shows_until_one_goes_well(tmp_path):
    """In /readyz, as a metric, and in the log: once when it fails, once when that is over."""
    async with running_gateway(tmp_path / "g") as gateway:
        await gateway.up()
        async with await gateway.redis() as client:
            await client.set("k", "v")
            await client.config_set("rdb-key-save-delay", 10_000_000)
            await client.bgrewriteaof()
            await killed_rewrite(client, gateway.engine_pid())
            await client.config_set("rdb-key-save-delay", 0)

            async def reasons() -> list[str]:
                found = await gateway.ask("/readyz", status=503)
                return [one for one in (found or {}).get("reasons", []) if "rewrite" in one]

            assert await eventually(reasons, within_s=60)
            assert await gateway.metric("gateway_engine_rewrite_ok") == 0
            await rewritten(client)
            await eventually(lambda: gateway.ask("/readyz"), within_s=60)
            assert await gateway.metric("gateway_engine_rewrite_ok") == 1
        assert gateway.log_text.count("could not rewrite its append-only file") == 1
        assert gateway.log_text.count("rewrites its file again") == 1


async def test_an_engine_whose_files_cannot_be_used_says_why(tmp_path):
    """A server that ends whatever is done: webhooks are taken, and /readyz has its last words."""
    server = tmp_path / "server"
    server.write_text("#!/bin/sh\necho the disk is on fire\nexit 3\n")
    server.chmod(0o755)
    os.environ["GATEWAY_VALKEY_SERVER"] = str(server)
    try:
        async with running_gateway(tmp_path / "g") as gateway:

            async def told() -> bool:
                found = await gateway.ask("/readyz", status=503)
                return "the disk is on fire" in str(found)

            await eventually(told, within_s=60)
            load = Load(gateway.port)
            await load.run(5)
            assert len(load.acked) == 5
    finally:
        del os.environ["GATEWAY_VALKEY_SERVER"]
