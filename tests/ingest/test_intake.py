"""When the answer is given: by ack mode, and when disk or Redis fail."""

import asyncio
import errno
import os
import threading
import time
from contextlib import asynccontextmanager

import pytest
from support.events import event
from support.eventually import eventually

from gateway.ingest import answers
from gateway.ingest.intake import Intake
from gateway.journal.disk import Disk
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import JournalOptions
from gateway.store.publishing.publisher import Publisher
from gateway.tasks import end


class Given:
    """A reply that remembers its answer."""

    def __init__(self):
        self.read_at = time.perf_counter()
        self.answer = None

    def resolve(self, answer):
        assert self.answer is None
        self.answer = answer


class FullDisk(Disk):
    full = False
    syncs = True

    def write(self, fd, data):
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fd, data)

    def datasync(self, fd):
        if not self.syncs:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().datasync(fd)


@asynccontextmanager
async def intake(folder, url, ack, disk):
    metrics = Metrics()
    journal = Journal(folder, JournalOptions(), metrics, disk=disk)
    publisher = Publisher(url, journal, metrics, window_s=3600, timeout_s=30, linger_s=0)
    one = Intake(journal, publisher, ack, metrics)
    task = asyncio.create_task(publisher.run())
    try:
        yield one, publisher, metrics
    finally:
        await end([task])
        journal.close()


def submitted(one, n=1):
    reply = Given()
    one.submit(event(n), reply)
    return reply


async def test_journal_acks_in_the_same_tick(tmp_path):
    """`journal` needs no Redis: the answer is there when the tick ends."""
    away = f"unix://{tmp_path}/nothing"
    async with intake(tmp_path / "j", away, "journal", FullDisk()) as (one, _, metrics):
        reply = submitted(one)
        await asyncio.sleep(0)
        await eventually(lambda: reply.answer is answers.STORED)
        assert sum(metrics.ack_seconds.counts) == 1


async def test_redis_acks_when_published(tmp_path, engine_url):
    """`redis` answers once the streams have the event, a duplicate as well."""
    async with intake(tmp_path / "j", engine_url, "redis", FullDisk()) as (one, publisher, _):
        await eventually(lambda: publisher.is_up)
        replies = [submitted(one), submitted(one), submitted(one, 2)]
        await eventually(lambda: all(reply.answer is answers.STORED for reply in replies))
        assert publisher.cursor > 0
        assert one.pending == 0


async def test_redis_acks_from_the_disk_while_redis_is_away(tmp_path):
    """While Redis is away `redis` answers once the record is synced."""
    away = f"unix://{tmp_path}/nothing"
    async with intake(tmp_path / "j", away, "redis", FullDisk()) as (one, _, _):
        reply = submitted(one)
        await eventually(lambda: reply.answer is answers.STORED)


async def test_neither_redis_nor_a_sync_is_503_in_time(tmp_path, monkeypatch):
    """What can be made safe nowhere is refused before Stream gives up waiting."""
    monkeypatch.setattr("gateway.ingest.intake.ACK_DEADLINE_S", 0.2)
    disk = FullDisk()
    away = f"unix://{tmp_path}/nothing"
    async with intake(tmp_path / "j", away, "redis", disk) as (one, _, _):
        disk.syncs = False
        reply = submitted(one)
        await eventually(lambda: [one.expire(), reply.answer][1] is answers.UNAVAILABLE)
        disk.syncs = True


@pytest.mark.parametrize("ack", ["journal", "redis"])
async def test_a_full_disk_acks_through_redis(tmp_path, engine_url, ack):
    """ENOSPC: the ack goes through Redis, and the event is there once."""
    disk = FullDisk()
    async with intake(tmp_path / "j", engine_url, ack, disk) as (one, publisher, metrics):
        await eventually(lambda: publisher.is_up)
        disk.full = True
        reply = submitted(one)
        await eventually(lambda: reply.answer is answers.STORED)
        assert metrics.published.total() == 1
        disk.full = False
        again = submitted(one)
        await eventually(lambda: again.answer is answers.STORED)
        await eventually(lambda: metrics.duplicates.total() == 1)
        assert metrics.published.total() == 1


@pytest.mark.parametrize("ack", ["journal", "redis"])
async def test_a_full_disk_without_redis_is_503(tmp_path, ack):
    """Neither disk nor Redis: 503 at once."""
    disk = FullDisk()
    async with intake(tmp_path / "j", f"unix://{tmp_path}/nothing", ack, disk) as (one, _, _):
        disk.full = True
        reply = submitted(one)
        await eventually(lambda: reply.answer is answers.UNAVAILABLE)


class HeldDisk(Disk):
    """Nothing gets synced before the test lets it."""

    def __init__(self):
        self.let = threading.Event()

    def datasync(self, fd):
        if threading.current_thread().name == "journal-sync":
            self.let.wait(60)
        super().datasync(fd)


@pytest.mark.parametrize("ack", ["redis", "replicated"])
async def test_no_ack_comes_early_where_the_disk_had_lost_its_end(engine_url, tmp_path, ack):
    """What is taken before the publisher finds that Redis has more than the disk is acknowledged
    when Redis has it, and not a moment before; where replicas are wanted, and there are none, never.
    """
    async with intake(tmp_path / "j", engine_url, "redis", Disk()) as (one, publisher, _):
        replies = [submitted(one, n) for n in range(100)]
        await eventually(lambda: all(reply.answer is answers.STORED for reply in replies))
        await eventually(lambda: publisher.cursor == one._journal.end)
    last = max((tmp_path / "j").glob("*.journal"))
    os.truncate(last, last.stat().st_size // 2)
    disk, seen = HeldDisk(), []
    metrics = Metrics()
    journal = Journal(tmp_path / "j", JournalOptions(), metrics, disk=disk)
    publisher = Publisher(
        engine_url,
        journal,
        metrics,
        window_s=3600,
        timeout_s=30,
        linger_s=0,
        replicas=1 if ack == "replicated" else 0,
    )
    one = Intake(journal, publisher, ack, metrics)

    def noting():
        held = {n for n, reply in replies.items() if reply.answer is None}
        seen.append((set(replies) - held, metrics.published.total()))

    publisher.when("progress", noting)
    replies = {n: submitted(one, n) for n in range(200, 240)}
    await asyncio.sleep(0)  # the end of the tick
    task = asyncio.create_task(publisher.run())
    try:
        await eventually(lambda: publisher.is_up and publisher.cursor == journal.end)
        assert metrics.renamed.total() == 1
        for acked, published in seen:
            assert len(acked) <= published  # each of them is one that Redis has taken
        answered = [reply.answer for reply in replies.values()]
        assert set(answered) == ({answers.STORED} if ack == "redis" else {None})
    finally:
        disk.let.set()
        await end([task])
        journal.close()
