"""What the syncing thread does, in Python and in the C piece."""

import errno
import os
import threading
from contextlib import contextmanager

import pytest
from support.eventually import eventually

from gateway import native
from gateway.journal.disk import Disk
from gateway.journal.syncer import PlainSyncing

LONG_S = 3600.0


def plain(interval_s):
    return PlainSyncing(interval_s, Disk().datasync)


KINDS = [pytest.param(plain, id="python")]
if native.syncing is not None:
    KINDS.append(pytest.param(native.syncing, id="native"))
both = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def file(tmp_path):
    """A descriptor that can be synced."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


@pytest.fixture
def pipe():
    """A descriptor that cannot."""
    ends = os.pipe()
    yield ends[1]
    for end in ends:
        os.close(end)


@contextmanager
def running(syncing):
    """Run it on a thread; gives what it has told."""
    told = []

    def run():
        while (found := syncing.run()) is not None:
            told.append(found)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield told
    finally:
        syncing.close()
        thread.join(60)
        assert not thread.is_alive()


@both
async def test_a_sync_is_told_to_whoever_awaits_it(kind, file):
    """One that succeeds shows in `synced`; it is told only while somebody awaits that."""
    syncing = kind(0.001)
    with running(syncing) as told:
        syncing.mark(file, 10)
        await eventually(lambda: syncing.synced == 10)
        assert told == []
        syncing.is_awaited = True
        assert syncing.is_awaited
        syncing.mark(file, 20)
        await eventually(lambda: told == [(file, 20, 0)])
        assert syncing.synced == 20
        syncing.mark(file, 15)
        await eventually(lambda: len(told) == 2)
        assert syncing.synced == 20


@both
async def test_a_failed_file_is_synced_no_more(kind, file, pipe):
    """Its error is told at once, and marks of it count no more: a second sync would succeed over
    pages that the kernel has given up. What may be behind it does not count either, until it is
    forgotten.
    """
    syncing = kind(0.001)
    with running(syncing) as told:
        syncing.mark(pipe, 10)
        await eventually(lambda: told == [(pipe, 10, errno.EINVAL)])
        syncing.is_awaited = True
        syncing.mark(pipe, 20)
        syncing.mark(file, 20)
        await eventually(lambda: told[1:] == [(file, 20, 0)])
        assert syncing.synced == 0
        syncing.forget(pipe)
        syncing.mark(file, 20)
        await eventually(lambda: syncing.synced == 20)
        syncing.mark(pipe, 30)
        await eventually(lambda: told[-1] == (pipe, 30, errno.EINVAL))
        assert syncing.synced == 20


async def test_a_mark_during_a_sync_that_fails(file):
    """It is as good as one after it."""
    began, may_end, codes = threading.Event(), threading.Event(), [errno.EIO, 0]

    def datasync(_fd):
        began.set()
        assert may_end.wait(60)
        if code := codes.pop(0):
            raise OSError(code, os.strerror(code))

    syncing = PlainSyncing(0.001, datasync)
    with running(syncing) as told:
        syncing.mark(file, 10)
        assert began.wait(60)
        syncing.mark(file, 20)
        may_end.set()
        await eventually(lambda: told == [(file, 10, errno.EIO)])
    assert syncing.synced == 0
    assert codes == [0]


@both
async def test_a_close_ends_the_rest(kind, file, pipe, tmp_path):
    """What was marked while it rested is synced first, each file once, but for what was forgotten."""
    syncing, other = kind(LONG_S), os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    with running(syncing) as told:
        syncing.is_awaited = True
        syncing.mark(file, 10)
        await eventually(lambda: told == [(file, 10, 0)])
        for end in range(11, 20):
            syncing.mark(other, end)
            syncing.mark(pipe, end)
            syncing.mark(file, end)
        syncing.forget(pipe)
        assert syncing.synced == 10
    os.close(other)
    assert told[1:] == [(other, 19, 0), (file, 19, 0)]


async def test_a_forgotten_sync_counts_for_nothing(file):
    """Whatever comes of it: its file was closed, or failed, meanwhile."""
    began, may_end = threading.Event(), threading.Event()

    def datasync(fd):
        began.set()
        assert may_end.wait(60)
        if fd != file:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    syncing = PlainSyncing(0.001, datasync)
    syncing.is_awaited = True
    with running(syncing) as told:
        for fd in (file, file + 1):
            began.clear()
            may_end.clear()
            syncing.mark(fd, 10)
            assert began.wait(60)
            syncing.forget(fd)
            may_end.set()
        await eventually(lambda: syncing._current == -1)
        syncing.mark(file, 5)
        await eventually(lambda: told == [(file, 5, 0)])
        assert syncing.synced == 5
