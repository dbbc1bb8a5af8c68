"""`gateway run` as a process: what it tells, and how it ends."""

import asyncio
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager

from support.commands import run, write_config

from gateway.stream.connection import Engine
from gateway.stream.ledger import read_ledger


@asynccontextmanager
async def gateway_process(config):
    """`gateway run`; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "--config", config,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def told_until(process, text):
    """All lines of standard error up to the one with `text`."""
    lines = []
    async with asyncio.timeout(30):
        while not lines or text not in lines[-1]:
            line = await process.stderr.readline()
            assert line, "".join(lines)
            lines.append(line.decode())
    return "".join(lines)


async def test_it_tells_where_to_send_a_first_event_and_ends_in_good_order(tmp_path, engine_url):
    """The ports in the banner are open, an event sent there is in the ledger, SIGTERM is 0."""
    config = write_config(
        tmp_path, redis=engine_url, more="server: {port: 0}\nadmin: {port: 0}\nlog: {level: error}"
    )
    async with gateway_process(config) as process:
        banner = await told_until(process, "Send a first event")
        url = re.search(r"http://\S+/webhooks/stream", banner)[0]
        sent = await run("send", "--config", config, "--url", url, "--type", "call.created")
        assert sent.exit_code == 0, sent.output
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0
    engine = Engine(engine_url)
    assert (await read_ledger(engine))["published"] == int(sent.stdout.split()[0])
    await engine.close()


async def test_a_port_that_is_taken_is_one_clear_line(tmp_path, engine_url):
    """Exit code 1, without a traceback, for either listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for ports in (
            f"server: {{port: {port}}}\nadmin: {{port: 0}}",
            f"server: {{port: 0}}\nadmin: {{port: {port}}}",
        ):
            config = write_config(tmp_path, redis=engine_url, more=ports)
            async with gateway_process(config) as process:
                _, told = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 1
            assert str(port) in told.decode()
            assert "Traceback" not in told.decode()


async def test_a_wrong_configuration_ends_with_2(tmp_path):
    """Nothing is started."""
    config = write_config(tmp_path, more="nonsense: 1")
    async with gateway_process(config) as process:
        _, told = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert told.decode().startswith(f"{config}:")
