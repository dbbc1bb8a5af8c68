"""Files that a power failure has damaged: the server starts, and what was cut off is kept whole."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import redis.asyncio as aioredis
from support.append_only import (
    append,
    bases,
    command,
    data,
    expected,
    fill,
    held,
    increments,
    killed_rewrite,
    left_over,
    manifest,
    only_cut,
    put,
    rewritten,
)
from support.engines import supervised
from support.eventually import eventually

from gateway.embedded import attach, attached_or_started, find_server, read_cuts_in
from gateway.embedded.folder import Folder
from gateway.embedded.repair import Halted, Repairer

PAGE = 4096
REFUSED = b"Bad file format reading the append only file"


def zero_page(path: Path) -> None:
    size = path.stat().st_size
    put(path, size // PAGE * PAGE, bytes(size % PAGE))


ENDS = {
    "zeros behind it": lambda path: append(path, bytes(12)),
    "its last page is zeros": zero_page,
    "garbage in its end": lambda path: put(path, path.stat().st_size - 100, os.urandom(100)),
    "cut off in a command": lambda path: os.truncate(path, path.stat().st_size - 5),
    "a transaction without its end": lambda path: append(
        path, command(b"MULTI") + command(b"SET", b"k0", b"half")
    ),
    "a command of no name": lambda path: append(path, command(b"\xff\x00T", b"k0", b"x")),
    "a command that nobody knows": lambda path: append(path, command(b"SEX", b"k0", b"x")),
    "a length beyond the end": lambda path: append(path, b"*3\r\n$3\r\nSET\r\n$400000000\r\nx"),
    "a number of arguments beyond all bounds": lambda path: append(path, b"*99999999999999\r\n$1"),
    "no arguments": lambda path: append(path, b"*0\r\n"),
    "a length that no machine has": lambda path: append(
        path, b"*3\r\n$3\r\nSET\r\n$99999999999999\r\n"
    ),
    "a length below nothing": lambda path: append(path, b"*3\r\n$3\r\nSET\r\n$-5\r\nxx\r\n"),
    "fewer words than a command has": lambda path: append(path, command(b"SET", b"k0")),
    "more words than a command has": lambda path: append(path, command(b"GET", b"k0", b"x", b"y")),
    "fewer words in a transaction": lambda path: append(
        path, command(b"MULTI") + command(b"SET", b"k0") + command(b"EXEC")
    ),
    "a second word that nobody knows": lambda path: append(
        path, command(b"XGROUP", b"CREATF", b"x", b"y", b"0")
    ),
    "a line without an end": lambda path: append(path, b"*" + b"1" * 5000),
}


@pytest.mark.parametrize("what", ENDS)
async def test_a_damaged_end_is_put_aside_and_cut(tmp_path, what):
    """Whatever the end is like: what is whole before it is there, what is cut is kept byte for
    byte, and the note says how much that is, since when, and that it is done.
    """
    await fill(tmp_path, per_generation=300)
    (path,) = increments(tmp_path)
    ENDS[what](path)
    damaged = path.read_bytes()
    found = await held(tmp_path)
    folder, cut = only_cut(tmp_path)
    (piece,) = cut.pieces
    kept = (folder / piece.kept_as).read_bytes()
    assert kept == damaged[piece.start :]
    assert (cut.cut_bytes, cut.is_done, cut.lost) == (len(kept), True, [])
    assert 0 <= cut.at_s - cut.since_s < 600
    assert path.read_bytes()[: piece.start] == damaged[: piece.start]
    assert found == expected(len(found))
    whole_lost = 300 - len(found) - 1
    assert whole_lost * len(command(b"SET", b"k100", b"value 100")) <= len(kept)
    assert await held(tmp_path) == found
    assert len(read_cuts_in(tmp_path)) == 1  # a start in good order cuts nothing


async def test_a_time_that_is_cut_off_is_no_damage(tmp_path):
    """The server reads over it, and writes on behind it."""
    await fill(tmp_path)
    append(increments(tmp_path)[0], b"#TS:17")
    for number in range(3):
        async with supervised(tmp_path) as engine, aioredis.from_url(engine.url) as client:
            assert await client.dbsize() == 100 + number
            await client.set(f"more {number}", "x")
    assert not read_cuts_in(tmp_path)


async def test_what_is_good_behind_a_damaged_place_is_kept_too(tmp_path):
    """A page of zeros in the middle: all from there on is put aside, and nothing of it applied."""
    await fill(tmp_path, per_generation=1000)
    (path,) = increments(tmp_path)
    put(path, PAGE, bytes(PAGE))
    damaged = path.read_bytes()
    found = await held(tmp_path)
    folder, cut = only_cut(tmp_path)
    (piece,) = cut.pieces
    assert piece.start <= PAGE
    assert (folder / piece.kept_as).read_bytes() == damaged[piece.start :]
    assert found == expected(len(found))
    assert 0 < len(found) < 200


async def test_files_behind_a_damaged_one_are_put_aside_with_it(tmp_path):
    """They would be applied to what they do not fit. The server goes on, and rewrites its file."""
    await fill(tmp_path, generations=3)
    first, second, third = increments(tmp_path)
    put(second, second.stat().st_size // 2, bytes(100))
    before = [path.read_bytes() for path in (first, second, third)]
    async with supervised(tmp_path) as engine, aioredis.from_url(engine.url) as client:
        count = await client.dbsize()
        assert 100 < count < 200
        assert [path.name for path in increments(tmp_path)] == [first.name, second.name]
        await client.set(f"k{count}", f"value {count}")
        await rewritten(client)
    folder, cut = only_cut(tmp_path)
    assert [piece.file for piece in cut.pieces] == [second.name, third.name]
    assert (folder / cut.pieces[0].kept_as).read_bytes() == before[1][cut.pieces[0].start :]
    assert (folder / third.name).read_bytes() == before[2]
    assert cut.cut_bytes == len(before[1]) - cut.pieces[0].start + len(before[2])
    assert await held(tmp_path) == expected(count + 1)


LISTS = {
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a page of zeros": lambda path: path.write_bytes(bytes(PAGE)),
    "cut off": lambda path: os.truncate(path, path.stat().st_size - 9),
    "without its last character": lambda path: os.truncate(path, path.stat().st_size - 1),
    "garbage": lambda path: path.write_bytes(os.urandom(200)),
    "twice itself": lambda path: path.write_bytes(path.read_bytes() * 2),
    "older than the files": lambda path: path.write_bytes(
        b"".join(line + b"\n" for line in path.read_bytes().splitlines()[:2])
    ),
}


@pytest.mark.parametrize("what", LISTS)
async def test_a_list_of_files_that_cannot_be_used_is_made_anew(tmp_path, what):
    """Nothing is lost for it: the files that there are say what it was."""
    await fill(tmp_path, generations=3)
    path = manifest(tmp_path)
    LISTS[what](path)
    spoilt = path.read_bytes() if path.exists() else b""
    assert await held(tmp_path) == expected(300)
    folder, cut = only_cut(tmp_path)
    assert (cut.cut_bytes, cut.lost) == (0, [])
    assert not spoilt or (folder / path.name).read_bytes() == spoilt
    assert await held(tmp_path) == expected(300)
    assert len(read_cuts_in(tmp_path)) == 1


async def test_a_first_start_that_was_cut_short_is_no_damage(tmp_path):
    """The server had made its first base, and came no further."""
    await fill(tmp_path, per_generation=0)
    manifest(tmp_path).unlink()
    increments(tmp_path)[0].unlink()
    assert await held(tmp_path) == {}
    assert not read_cuts_in(tmp_path)


@pytest.mark.parametrize("is_old_base_there", [True, False])
async def test_a_list_is_made_anew_in_the_middle_of_a_rewrite(tmp_path, is_old_base_there):
    """Increments that a newer base has in it are not applied to it a second time."""
    async with supervised(tmp_path) as engine, aioredis.from_url(engine.url) as client:
        await client.incr("count")
        await client.execute_command("WAITAOF", 1, 0, 0)
        old = {path: path.read_bytes() for path in (*bases(tmp_path), *increments(tmp_path))}
        times = {path: path.stat() for path in old}
        written_s = max(state.st_mtime for state in times.values())
        await eventually(lambda: time.time() > written_s + 2)  # a base's time is in whole seconds
        await rewritten(client)
        await client.incr("count")
        await client.execute_command("WAITAOF", 1, 0, 0)
        await eventually(lambda: not any(path.exists() for path in old))
    for path, content in old.items():
        if is_old_base_there or ".base." not in path.name:
            path.write_bytes(content)
            os.utime(path, ns=(times[path].st_atime_ns, times[path].st_mtime_ns))
    manifest(tmp_path).write_bytes(b"")
    assert await held(tmp_path) == {"count": "2"}
    assert only_cut(tmp_path)[1].lost == []


def flipped(path: Path) -> None:
    middle = path.stat().st_size // 2
    put(path, middle, bytes(byte ^ 0xFF for byte in path.read_bytes()[middle : middle + 4]))


BASES = {
    "a few bits": flipped,
    "cut off": lambda path: os.truncate(path, path.stat().st_size - 5),
    "empty": lambda path: os.truncate(path, 0),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "garbage": lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("what", BASES)
async def test_the_first_base_is_not_needed(tmp_path, what):
    """It was made when there was nothing yet: without it all is there."""
    await fill(tmp_path, generations=2)
    (path,) = bases(tmp_path)
    assert path.name == "appendonly.aof.1.base.rdb"
    BASES[what](path)
    assert await held(tmp_path) == expected(200)
    assert only_cut(tmp_path)[1].lost == []


@pytest.mark.parametrize("what", BASES)
async def test_a_damaged_base_is_put_aside_with_all_behind_it(tmp_path, what):
    """The server starts empty, everything is kept, and it is said that it may be lost."""
    async with supervised(tmp_path) as engine, aioredis.from_url(engine.url) as client:
        await client.set("k0", "value 0")
        await rewritten(client)
        await client.set("k1", "value 1")
    (base,), (increment,) = bases(tmp_path), increments(tmp_path)
    BASES[what](base)
    before = {path.name: path.read_bytes() for path in (base, increment) if path.exists()}
    assert await held(tmp_path) == {}
    folder, cut = only_cut(tmp_path)
    assert cut.lost
    assert {name: (folder / name).read_bytes() for name in before} == before
    async with supervised(tmp_path) as engine, aioredis.from_url(engine.url) as client:
        await client.set("k2", "value 2")
        await rewritten(client)
    assert await held(tmp_path) == {"k2": "value 2"}


@pytest.mark.parametrize(("gone", "left"), [(0, 0), (1, 100), (2, 200)])
async def test_a_file_that_is_gone_is_told_as_lost(tmp_path, gone, left):
    """What was before it is there; what was behind it is kept, and nothing is said to be well."""
    await fill(tmp_path, generations=3)
    paths = increments(tmp_path)
    paths[gone].unlink()
    assert await held(tmp_path) == expected(left)
    folder, cut = only_cut(tmp_path)
    assert paths[gone].name in " ".join(cut.lost)
    assert all((folder / path.name).exists() for path in paths[gone + 1 :])


async def test_a_note_that_is_damaged_in_its_turn_is_told(tmp_path):
    """That something was cut is not forgotten; what lies there and is not ours is nothing."""
    await fill(tmp_path)
    append(increments(tmp_path)[0], bytes(12))
    await held(tmp_path)
    folder, _ = only_cut(tmp_path)
    (folder.parent / "notes of mine").mkdir()
    (folder / "cut.json").write_bytes(bytes(300))
    assert only_cut(tmp_path)[1].lost
    shutil.rmtree(folder)
    assert not read_cuts_in(tmp_path)


@pytest.mark.parametrize("content", [b"", bytes(50), b"/tmp/\0", b"garbage"])
async def test_a_damaged_note_of_the_socket_is_none(tmp_path, content):
    """A command then starts a server of its own, as if there had been no note."""
    await fill(tmp_path)
    (tmp_path / "valkey" / "socket.path").write_bytes(content)
    assert attach(tmp_path) is None
    async with attached_or_started(tmp_path, 64 << 20) as url, aioredis.from_url(url) as client:
        assert await client.dbsize() == 100


async def test_a_pause_that_was_cut_off_is_told(tmp_path):
    """No journal brings it back. An event that speaks of it is something else."""
    await fill(tmp_path)
    (path,) = increments(tmp_path)
    append(path, command(b"SET", b"k0", b'gw:subscribers {"state":"paused"'))
    append(path, bytes(3))
    append(path, command(b"HSET", b"gw:subscribers", b"app", b'{"state":"paused","since_ms":1}'))
    append(path, command(b"HSET", b"gw:{0}:shard", b"count:", b"3"))
    await held(tmp_path)
    assert len(only_cut(tmp_path)[1].lost) == 2


# ---- interrupted

KILLED = """
    import os, signal, sys
    from pathlib import Path
    from gateway.embedded import find_server
    from gateway.embedded.folder import Folder
    from gateway.embedded.repair import Repairer
    REFUSED = b"reading the append only file"
    left = int(sys.argv[2])
    STEPS = {"open", "os.rename", "os.truncate", "os.link", "os.remove", "os.mkdir", "os.rmdir"}
    def step(event, args):
        global left
        inside = str(args[0]).startswith(sys.argv[1]) or event == "os.truncate"
        if event in STEPS and inside:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    repairer = Repairer(Folder.of(Path(sys.argv[1])), find_server(os.environ))
    sys.addaudithook(step)
    repairer.before_launch()
    assert repairer.after_refusal(REFUSED)
"""


@pytest.mark.parametrize("what", ["two files", "list"])
async def test_it_is_killed_at_any_step_and_loses_nothing(tmp_path, what):
    """kill -9 before each call that opens, writes, cuts, renames or removes: the next start
    finishes, and every byte is in place or kept.
    """
    await fill(tmp_path / "whole", generations=2)
    first, second = increments(tmp_path / "whole")
    if what == "two files":
        put(first, 1000, bytes(500))
    else:
        manifest(tmp_path / "whole").write_bytes(bytes(80))
    count = len(await held(Path(shutil.copytree(tmp_path / "whole", tmp_path / "calm"))))
    step, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        data_dir = tmp_path / str(step)
        shutil.copytree(tmp_path / "whole", data_dir)
        code = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(KILLED), str(data_dir), str(step)],
            stderr=subprocess.PIPE,
        ).returncode
        repairer = Repairer(Folder.of(data_dir), find_server(os.environ))
        repairer.before_launch()
        repairer.after_refusal(REFUSED)
        if not step % 5 or code != -signal.SIGKILL:  # a server for each would take long
            assert await held(data_dir) == expected(count)
        assert all(cut.is_done for _, cut in read_cuts_in(data_dir))
        if what == "two files":
            kept = {}
            for folder, cut in read_cuts_in(data_dir):
                for piece in cut.pieces:
                    kept[piece.file] = (folder / piece.kept_as).read_bytes()
            there = (data(data_dir) / first.name).read_bytes()
            assert first.read_bytes().startswith(there)
            assert (there + kept[first.name]).startswith(first.read_bytes()[: len(there)])
            assert first.read_bytes().endswith(kept[first.name])
            assert len(there) + len(kept[first.name]) >= first.stat().st_size
            assert kept[second.name] == second.read_bytes()
        step += 1
    assert step > 8


async def test_nothing_is_cut_where_there_is_no_room_to_keep_it(tmp_path):
    """A disk that refuses the copy: the files stay as they are, no half of a copy stays, and it is
    said what to do. With room it is mended.
    """
    await fill(tmp_path, per_generation=2000)
    (path,) = increments(tmp_path)
    put(path, 100, bytes(10))
    damaged = path.read_bytes()
    refused = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), str(tmp_path), str(len(damaged) // 2)],
        capture_output=True,
        text=True,
    )
    assert "File too large" in refused.stdout
    assert "Nothing is cut" in refused.stdout
    assert path.read_bytes() == damaged
    assert [p.name for p in (tmp_path / "valkey" / "damaged").iterdir()] == []
    await held(tmp_path)
    assert only_cut(tmp_path)[1].cut_bytes > len(damaged) // 2


# Files beyond a size are refused, as by a disk that is full.
LIMITED = """
    import os, resource, sys
    from pathlib import Path
    from gateway.embedded import find_server
    from gateway.embedded.folder import Folder
    from gateway.embedded.repair import Repairer
    from gateway.errors import EmbeddedEngineError
    REFUSED = b"reading the append only file"
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    repairer = Repairer(Folder.of(Path(sys.argv[1])), find_server(os.environ))
    try:
        repairer.after_refusal(REFUSED)
    except EmbeddedEngineError as error:
        print(error)
"""


async def test_it_ends_in_the_middle_when_the_gateway_stops(tmp_path):
    """Nothing is half done then."""
    await fill(tmp_path)
    (path,) = increments(tmp_path)
    append(path, bytes(12))
    damaged = path.read_bytes()
    repairer = Repairer(Folder.of(tmp_path), find_server(os.environ))
    repairer.halt()
    with pytest.raises(Halted):
        repairer.after_refusal(REFUSED)
    assert path.read_bytes() == damaged
    assert not read_cuts_in(tmp_path)


async def test_stopping_while_files_are_mended_is_quick_and_leaves_them(tmp_path):
    """The directory is let go of when nothing is under way any more, and the next start mends."""
    await fill(tmp_path)
    (path,) = increments(tmp_path)
    append(path, command(b"SET", b"big", bytes(1000)) * 60_000 + bytes(12))
    damaged = path.stat().st_size
    async with supervised(tmp_path, ready=False) as engine:
        await eventually(lambda: engine.trouble or read_cuts_in(tmp_path), within_s=120)
    if path.stat().st_size == damaged:  # it was not done yet
        assert not read_cuts_in(tmp_path)
        assert not list((tmp_path / "valkey").glob("damaged/*"))
    assert len(await held(tmp_path)) == 101
    assert only_cut(tmp_path)[1].cut_bytes == 12


async def test_files_that_are_whole_are_read_once_for_a_server_that_does_not_start(tmp_path):
    """A server that ends for another reason does not have them read at each of its starts."""
    await fill(tmp_path)
    repairer = Repairer(Folder.of(tmp_path), find_server(os.environ))
    assert not repairer.after_refusal(REFUSED)
    repairer.halt()  # reading would raise
    assert not repairer.after_refusal(REFUSED)
    append(increments(tmp_path)[0], bytes(12))
    with pytest.raises(Halted):
        repairer.after_refusal(REFUSED)


# ---- what rewrites leave


async def test_what_killed_rewrites_leave_is_removed_before_each_life(tmp_path):
    """Servers that are killed while they rewrite leave no files that nobody needs, neither while
    the gateway runs nor after it.
    """
    async with supervised(tmp_path) as engine:
        for _ in range(2):
            async with aioredis.from_url(engine.url) as client:
                await client.set("k", "v")
                await client.config_set("rdb-key-save-delay", 10_000_000)
                await client.bgrewriteaof()
                await eventually(lambda: left_over(tmp_path))
                pid = engine.pid
                os.kill(pid, signal.SIGKILL)
                await eventually(lambda pid=pid: engine.pid not in (None, pid))
                assert await engine.wait_ready(60), engine.last_words()
            assert await left_over(tmp_path) == []
    (data(tmp_path) / "temp-appendonly.aof.manifest").write_bytes(b"x")
    (tmp_path / "valkey" / "temp-1.rdb").write_bytes(b"x")
    assert await held(tmp_path) == {"k": "v"}
    assert await left_over(tmp_path) == []


async def test_a_rewrite_that_fails_leaves_the_data(tmp_path):
    """kill -9 of the rewrite alone: the server goes on, and the next start has everything."""
    async with supervised(tmp_path) as engine, aioredis.from_url(engine.url) as client:
        await client.set("k", "v")
        await client.config_set("rdb-key-save-delay", 10_000_000)
        await client.bgrewriteaof()
        await killed_rewrite(client, engine.pid)
        await client.set("l", "w")
    assert await held(tmp_path) == {"k": "v", "l": "w"}
    assert await left_over(tmp_path) == []
    assert not read_cuts_in(tmp_path)
