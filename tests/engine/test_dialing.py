"""A connection to one server: by socket, name or address, over TLS, logged in; what is said when it
cannot be had; and how many there are.
"""

import asyncio
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from support.eventually import eventually
from support.ports import free_ports, full_port
from support.proxy import proxied
from support.servers import Server, data_lines
from support.tls_front import tls_front

from gateway.engine.access import EngineAccess
from gateway.engine.engine import Engine
from gateway.engine.own_links import OwnLinks
from gateway.engine.pool import MOST
from gateway.engine.resp import pack
from gateway.errors import EngineRefused, EngineUnavailable

PASSWORD = "hush/hush?#@:%"
IN_URL = "hush%2Fhush%3F%23%40%3A%25"
ECHO = "return ARGV[1]"


@asynccontextmanager
async def guarded(folder, *lines):
    """A server with a password, and a user `gateway` with the same."""
    (port,) = free_ports(1)
    user = f"user gateway on >{PASSWORD} ~gw:* &gw:* +@all"
    bind = "bind 127.0.0.1 -::1"
    unix = f'unixsocket "{folder / "s"}"'
    server = Server(folder, port, data_lines(f'requirepass "{PASSWORD}"', user, bind, unix, *lines))
    await server.log_in(PASSWORD)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def me(url, access=None):
    """What the server knows of a connection by `url`."""
    engine = Engine(url, timeout_s=30.0, access=access)
    try:
        told = (await engine.command("CLIENT", "INFO")).decode()
        return dict(pair.split("=", 1) for pair in told.split())
    finally:
        await engine.close()


async def test_a_connection_is_for_the_user_and_database_of_its_url(tmp_path):
    """By host, IPv6 address or socket; whatever stands in the password; without a user, too."""
    async with guarded(tmp_path) as server:
        host = f"127.0.0.1:{server.port}"
        hosts = [host, f"localhost:{server.port}"]
        with socket.socket(socket.AF_INET6) as probe:
            if probe.connect_ex(("::1", server.port)) == 0:
                hosts.append(f"[::1]:{server.port}")
        for each in hosts:
            told = await me(f"redis://gateway:{IN_URL}@{each}/3")
            assert (told["user"], told["db"], told["resp"]) == ("gateway", "3", "2")
        told = await me(f"redis://:{IN_URL}@{host}?db=2")
        assert (told["user"], told["db"]) == ("default", "2")
        told = await me(f"unix://gateway:{IN_URL}@{tmp_path / 's'}?db=1")
        assert (told["user"], told["db"]) == ("gateway", "1")


async def test_of_several_addresses_that_which_answers_is_taken(tmp_path, monkeypatch):
    """A name whose first address is silent and whose second refuses leads to the third."""
    async with guarded(tmp_path) as server:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        hosts = ("127.0.0.3", "127.0.0.2", "127.0.0.1")

        def look_up(host, port, *, flags, **_):
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "no number")
            return [(*kind, (each, port)) for each in hosts]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        with full_port(server.port, host="127.0.0.3"):
            told = await me(f"redis://gateway:{IN_URL}@several.invalid:{server.port}")
        assert told["user"] == "gateway"


@pytest.mark.parametrize(
    ("credentials", "says"),
    [("", "NOAUTH"), (":other-hush@", "WRONGPASS"), ("nobody:other-hush@", "WRONGPASS")],
)
async def test_who_is_not_let_in_waits_until_he_is(tmp_path, credentials, says):
    """A wrong password is no reason to give up, as it may be put right there; it is told, without
    a word of it.
    """
    async with guarded(tmp_path) as server:
        url = f"redis://{credentials}127.0.0.1:{server.port}/1"
        engine, lines = Engine(url), OwnLinks(url, timeout_s=30.0)
        for asked in (engine.command("GET", "gw:x"), lines.exchange([pack("GET", "gw:x")], [0])):
            with pytest.raises(EngineUnavailable, match=says) as told:
                await asked
            assert "hush" not in str(told.value)
        if "nobody" in credentials:
            await server.client.execute_command(
                "ACL", "SETUSER", "nobody", "on", ">other-hush", "~*", "+@all"
            )
        else:
            word = credentials[1:-1]
            await server.client.execute_command("CONFIG", "SET", "requirepass", word)
        assert await engine.command("GET", "gw:x") is None
        assert await lines.exchange([pack("GET", "gw:x")], [0]) == [None]
        await engine.close()
        await lines.close()


async def test_a_database_that_is_not_there_is_refused(tmp_path):
    """Waiting makes no database."""
    async with guarded(tmp_path) as server:
        with pytest.raises(EngineRefused, match="DB index"):
            await me(f"redis://:{IN_URL}@127.0.0.1:{server.port}/99")


async def test_where_nobody_is_says_so(tmp_path):
    """The address is told, the credentials are not; and somebody who says nothing is not waited
    for any longer than the time-out.
    """
    (port,) = free_ports(1)
    for url, said in {
        f"redis://:hush@127.0.0.1:{port}": f"cannot connect to 127.0.0.1:{port}: .*refused",
        f"redis://:hush@nobody.invalid:{port}": f"cannot connect to nobody.invalid:{port}: ",
        f"redis://:hush@{'x' * 80}.invalid:{port}": "cannot connect to x+.invalid",
        f"unix://:hush@{tmp_path}/s": f"cannot connect to {tmp_path}/s: No such file",
    }.items():
        with pytest.raises(EngineUnavailable, match=said) as told:
            await me(url)
        assert "hush" not in str(told.value)
    with socket.create_server(("127.0.0.1", port)):
        engine = Engine(f"redis://:hush@127.0.0.1:{port}", timeout_s=0.2)
        with pytest.raises(EngineUnavailable, match=r"cannot connect to .* within 0.2 s"):
            await engine.command("PING")
        await engine.close()


async def test_whoever_speaks_something_else_is_no_redis(tmp_path):
    """Such as a web server: it is left, and said to be none."""

    async def serve(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(EngineUnavailable, match="this is no Redis"):
        await me(f"redis://127.0.0.1:{port}")
    server.close()


async def test_a_crowded_server_is_waited_for(tmp_path):
    """Refused as one too many, we come again, and are told why meanwhile."""
    async with guarded(tmp_path) as server:
        url = f"redis://:{IN_URL}@127.0.0.1:{server.port}"
        await server.client.execute_command("CONFIG", "SET", "maxclients", 1)
        engine, lines = Engine(url), OwnLinks(url, timeout_s=30.0)
        with pytest.raises(EngineUnavailable, match="max number of clients"):
            await engine.command("GET", "gw:x")
        with pytest.raises(EngineUnavailable, match="max number of clients"):
            await lines.exchange([pack("GET", "gw:x")], [0])
        await server.client.execute_command("CONFIG", "SET", "maxclients", 100)
        assert await engine.command("GET", "gw:x") is None
        assert await lines.exchange([pack("GET", "gw:x")], [0]) == [None]
        await engine.close()
        await lines.close()


async def test_certificates_are_read_anew_when_they_have_changed(tmp_path, engine_url):
    """An authority that was put in place of another is the one that is trusted from then on."""
    async with tls_front(tmp_path, engine_url) as front:
        files = {name: Path(path) for name, path in front.arguments.items() if name != "url"}
        right = files["ca"].read_bytes()
        trustme.CA().cert_pem.write_to_path(files["ca"])
        access = EngineAccess(**files)
        with pytest.raises(EngineUnavailable, match="certificate verify failed"):
            await me(front.arguments["url"], access)
        files["ca"].write_bytes(right)
        assert (await me(front.arguments["url"], access))["user"] == "default"
        elsewhere = front.arguments["url"].replace("127.0.0.1", "localhost")
        with pytest.raises(EngineUnavailable, match="[Hh]ostname mismatch"):
            await me(elsewhere, access)
        files["ca"].unlink()
        with pytest.raises(
            EngineUnavailable, match=f"files for TLS cannot be used: .*{files['ca']}"
        ):
            await me(front.arguments["url"], access)


async def test_connections_have_a_bound(engine, redis):
    """However many ask at once, all are answered, over a bounded number of connections."""
    (script,) = [await redis.script_load(ECHO)]
    asked = [engine.command("EVALSHA", script, 0, number) for number in range(10 * MOST)]
    assert await asyncio.gather(*asked) == [b"%d" % number for number in range(10 * MOST)]
    assert MOST / 2 < (await redis.info("clients"))["connected_clients"] <= MOST + 2


async def test_who_waits_for_a_connection_waits_no_longer_than_for_an_answer(
    engine_socket, engine_url, tmp_path
):
    """With all connections busy on a server that does not answer, one more fails in time as well."""
    async with proxied(engine_socket, tmp_path / "proxy") as proxy:
        engine = Engine(f"unix://{tmp_path / 'proxy'}", timeout_s=2.0)
        await asyncio.gather(*(engine.command("PING") for _ in range(MOST)))
        proxy.die()
        asked = [asyncio.create_task(engine.command("PING")) for _ in range(MOST + 1)]
        done, waiting = await asyncio.wait(asked, timeout=60)
        assert not waiting
        told = sorted(str(one.exception()) for one in done)
        assert told == [
            f"all {MOST} connections to Redis were busy for 2 s",
            *["no answer within 2 s"] * MOST,
        ]
        assert await engine.command("PING") == b"PONG"
        await engine.close()


async def test_nobody_else_gets_a_connection_that_blocks(engine, redis):
    """What waits for an entry holds up no other command, and gets the entry."""
    blocked = asyncio.create_task(
        engine.blocking("XREAD", "BLOCK", 20_000, "STREAMS", "gw:x", "$", key="gw:x", timeout_s=30)
    )
    await eventually(lambda: _blocked(redis, 1))
    assert await engine.command("PING") == b"PONG"
    entry = await engine.command("XADD", "gw:x", "*", "f", "v")
    assert await blocked == [[b"gw:x", [[entry, [b"f", b"v"]]]]]


async def test_a_read_that_was_given_up_leaves_nothing_behind(engine, redis):
    """Neither cancelled, nor out of time, nor with its engine closed does a blocking read go on."""

    def read(timeout_s):
        return asyncio.create_task(
            engine.blocking(
                "XREAD", "BLOCK", 60_000, "STREAMS", "gw:x", "$", key="gw:x", timeout_s=timeout_s
            )
        )

    cancelled, left = read(50), read(50)
    await eventually(lambda: _blocked(redis, 2))
    slow = read(1)
    cancelled.cancel()
    with pytest.raises(EngineUnavailable, match="no answer within 1 s"):
        await slow
    await eventually(lambda: _blocked(redis, 1))
    await engine.close()
    with pytest.raises(EngineUnavailable, match="given up"):
        await left
    await eventually(lambda: _blocked(redis, 0))


async def _blocked(redis, count):
    return (await redis.info("clients"))["blocked_clients"] == count
