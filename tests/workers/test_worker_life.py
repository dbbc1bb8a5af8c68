"""What workers are together: one gateway, to who sends, who watches and who looks after it."""

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
from contextlib import closing

import aiohttp
import pytest
from support.commands import write_config
from support.engines import running_engine
from support.eventually import eventually
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import RunningGateway, running_gateway
from support.stream_client import stream_client
from support.webhooks import distinct_event, signed_request

from gateway.app.channel import Brief
from gateway.app.role import Role
from gateway.app.worker_slot import WorkerSlot
from gateway.config import load as load_config

CALL = "default:room"


def to(receiver):
    return {"name": "app", "kind": "http", "url": receiver.url, "order": "call"}


def passed_socket():
    """What systemd holds for us."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


async def test_a_socket_that_is_passed_in_outlives_restarts(tmp_path):
    """Restarted under load, again and again, with LISTEN_FDS: no connection is ever refused, what
    is acked is delivered once. With workers and without.
    """
    async with running_receiver() as receiver:
        config = {"server": {"workers": 2, "drain": "30s"}, "subscribers": [to(receiver)]}
        with closing(passed_socket()) as listening:
            async with running_gateway(tmp_path / "g", listening=listening, **config) as gateway:
                load = Load(gateway.port, pause_s=0.002)
                sending = asyncio.create_task(load.run(1_000_000))
                for workers in (1, 2):
                    before = len(load.acked)
                    await eventually(lambda n=before: len(load.acked) > n + 300, within_s=60)
                    assert await gateway.stop() == 0
                    gateway.config["server"]["workers"] = workers
                    await gateway.start()
                await eventually(lambda: len(load.acked) > 900, within_s=60)
                load.stop = True
                await sending
                ledger = await gateway.settled()
                assert load.refused == 0
                assert set(load.acked) <= set(receiver.bodies)
                assert ledger["overall"]["published"] == len(receiver.bodies)


async def test_a_descriptor_that_is_no_listening_socket_is_told(tmp_path):
    """One clear error, no traceback."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(AssertionError, match="no listening TCP socket") as died:
            async with running_gateway(tmp_path / "g", listening=silent):
                pass
    assert "Traceback" not in str(died.value)


async def test_a_worker_that_cannot_start_at_all(tmp_path):
    """The gateway ends with one clear line, and leaves no worker behind."""
    (tmp_path / "g" / "data" / "journal").mkdir(parents=True)
    (tmp_path / "g" / "data" / "journal" / "1").write_bytes(b"in the way")
    gateway = RunningGateway(tmp_path / "g", {"server": {"workers": 2}})
    with pytest.raises(
        AssertionError, match="worker 1 cannot start: cannot open the journal in"
    ) as died:
        await gateway.start()
    assert "cannot open the journal in" in str(died.value)
    assert "Traceback" not in str(died.value)
    assert await gateway.ended() == 1
    assert not gateway.workers()


async def test_a_worker_for_which_there_is_no_process(tmp_path, monkeypatch):
    """Where the system starts no more processes it is tried again, and said why; then it serves."""
    async with running_engine(tmp_path / "e") as url:
        options = load_config(write_config(tmp_path, redis=url), {})
        brief = Brief(options, Role(frozenset({"delivery"})), url, None, None)
        slot = WorkerSlot(brief, (), lambda *_: None)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
        running = asyncio.create_task(slot.run())
        await eventually(lambda: slot.deaths > 1)
        assert (await slot.reasons())[0].startswith(f"it has ended, {slot.deaths} times in a row")
        assert slot.why == "no process could be started: No such file or directory"
        monkeypatch.undo()
        await eventually(slot.is_ready.is_set, within_s=60)
        await slot.stop(20)
        await running


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_terminal_that_closes_cuts_nobody_off(tmp_path, workers):
    """SIGHUP, which a terminal sends to everybody in it, drains as SIGTERM does."""
    was = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the suite may run under nohup
    gateway = RunningGateway(tmp_path / "g", {"server": {"workers": workers}})
    try:
        await gateway.start()
    finally:
        signal.signal(signal.SIGHUP, was)
    slow = await half_a_webhook(gateway)
    for pid in (gateway.pid, *gateway.workers().values()):
        os.kill(pid, signal.SIGHUP)
    await eventually(lambda: gateway.log_text.count("stopping: no new connections") == workers)
    assert await slow.finish() == 200
    assert await gateway.ended() == 0


async def test_nobody_is_left_waiting_at_a_port_that_is_being_closed(tmp_path):
    """While workers drain, who connects is refused, as with one process."""
    async with running_gateway(tmp_path / "g", server={"workers": 2}) as gateway:
        slow = [await half_a_webhook(gateway, number) for number in range(1, 5)]
        gateway.send_signal(signal.SIGTERM)
        await eventually(lambda: refuses(gateway.port))
        assert [await one.finish() for one in slow] == [200] * 4
        assert await gateway.ended() == 0


async def refuses(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


class HalfAWebhook:
    def __init__(self, streams, rest):
        self._streams, self._rest = streams, rest

    async def finish(self):
        reader, writer = self._streams
        writer.write(self._rest)
        status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
        writer.close()
        return status


async def half_a_webhook(gateway, number=1):
    """A webhook under way, the `number`th, of which the second half is still to come."""
    request = Load(gateway.port).request(distinct_event(number))
    streams = await asyncio.open_connection("127.0.0.1", gateway.port)
    streams[1].write(request[:-20])
    for _ in range(2):  # a turn of its loop later it has read that
        await eventually(lambda: has_connections(gateway, number))
    return HalfAWebhook(streams, request[-20:])


async def has_connections(gateway, count):
    return await gateway.metric("gateway_connections") == count


async def test_what_all_workers_count_is_one_sum(tmp_path):
    """Metrics and ledger are of all workers, and no counter goes back when one is killed."""
    async with running_receiver() as receiver:
        config = {"server": {"workers": 3}, "subscribers": [to(receiver)]}
        async with running_gateway(tmp_path / "g", **config) as gateway:
            load = Load(gateway.port)
            await load.run(600, connections=24)
            ledger = await gateway.settled()
            assert ledger["overall"]["accepted"] == 600
            for name in (
                "gateway_accepted_total",
                'gateway_webhooks_total{status="200"}',
                "gateway_ack_seconds_count",
            ):
                await eventually(lambda name=name: _shows(gateway, name, 600))
            await eventually(lambda: _shows(gateway, "gateway_stream_up", 1))
            os.kill(gateway.workers()[1], signal.SIGKILL)
            await eventually(lambda: _shows(gateway, "gateway_worker_ends_total", 1))
            await eventually(lambda: _shows(gateway, "gateway_accepted_total", 600))
            ledger = await gateway.settled()  # with a worker that may not be back yet
            assert ledger["overall"]["accepted"] == 600


async def _shows(gateway, name, value):
    """Whether a metric has that value: a worker that is slow to answer is not counted at once."""
    return await gateway.metric(name) == value


async def _reasons(gateway):
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{gateway.admin_port}/readyz") as response:
            return (await response.json())["reasons"]


async def test_a_worker_that_always_dies(tmp_path):
    """It is started again ever more seldom, readiness says so, the others serve; once it can, it
    comes back, and its journal with it.
    """
    async with running_receiver() as receiver:
        config = {"server": {"workers": 2}, "subscribers": [to(receiver)]}
        async with running_gateway(tmp_path / "g", **config) as gateway:
            load = Load(gateway.port)
            await load.run(200, connections=16)
            await gateway.settled()
            journal, aside = gateway.data / "journal" / "1", tmp_path / "aside"
            pid = gateway.workers()[1]
            os.kill(pid, signal.SIGSTOP)
            shutil.move(journal, aside)
            journal.write_bytes(b"in the way")
            os.kill(pid, signal.SIGKILL)

            async def told():
                reasons = await _reasons(gateway)
                return any(
                    map(re.compile(r"worker 1: it has ended, [3-9] times in").match, reasons)
                )

            await eventually(told, within_s=60)
            assert '"worker":1' in gateway.log_text
            assert "cannot open the journal" in gateway.log_text
            again = Load(gateway.port)
            await again.run(200, connections=16, first=200)
            assert again.refused == 0
            journal.unlink()
            shutil.move(aside, journal)
            await eventually(lambda: _serving(gateway, 2), within_s=60)
            await eventually(lambda: _well(gateway), within_s=60)
            ledger = await gateway.settled()
            assert ledger["overall"]["accepted"] == 400
            assert set(load.acked) | set(again.acked) == set(receiver.bodies)


async def _well(gateway):
    return not await _reasons(gateway)


async def _serving(gateway, workers):
    return await gateway.metric("gateway_workers") == workers


async def test_a_watch_asked_of_another_worker(tmp_path):
    """A socket held by one worker watches what is asked of any: each request, on a connection of
    its own, is confirmed, and what is published after its answer arrives.
    """
    config = {"server": {"workers": 2, "drain": "1s"}, "feed": {"access": "any"}}
    async with running_gateway(tmp_path / "g", **config) as gateway:
        await eventually(lambda: _well(gateway), within_s=60)
        base = f"http://127.0.0.1:{gateway.port}"
        async with stream_client(base, "anna") as anna:
            await anna.connect()
            for number in range(12):
                async with stream_client(base, "anna") as asking:
                    asking.connection_id = anna.connection_id
                    path = f"/video/call/default/room{number}"
                    answer = await asking.ask("POST", path, {}, watching=True)
                    assert answer.status < 300, answer.body
                await webhook(gateway, distinct_event(number, f"default:room{number}"))
                while (event := await anna.event())["type"] != "custom":
                    pass
                assert event["call_cid"] == f"default:room{number}"


async def webhook(gateway, body):
    async with aiohttp.ClientSession() as session:
        async with session.post(gateway.url, data=body, headers=signed_request(body)) as response:
            assert response.status == 200
