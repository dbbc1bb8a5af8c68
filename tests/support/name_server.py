"""A DNS server of ours, and surroundings in which the system's own resolver asks it alone.

    async with name_server(folder) as dns:
        dns.silent.add("dead.test")
        async with running_gateway(folder, within=dns.within, ...)

Every name is this machine, but for those in `silent`, which are never answered, and in `refused`,
which cannot be told for the moment; "" there stands for all. Only the resolver's files are other,
in a mount namespace: all else, sockets included, is shared with the test.
"""

import asyncio
import errno
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

_PORT = 53
_HOST = "127.0.53.{}"
_ANSWERED, _REFUSED = 0x8180, 0x8182
_ENTER = """
mount --bind "$0/resolv.conf" /etc/resolv.conf &&
mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && exec "$@"
"""


class NameServer(asyncio.DatagramProtocol):
    """`asked` counts questions by name."""

    def __init__(self, folder: Path) -> None:
        self.silent: set[str] = set()
        self.refused: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.within = ("unshare", "-m", "sh", "-c", _ENTER, str(folder))
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is none

    def datagram_received(self, data: bytes, addr: Any) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
        name, kind = b".".join(labels).decode().lower(), data[at + 2]
        self.asked[name] += 1
        if self.silent & {name, ""}:
            return
        code = _REFUSED if self.refused & {name, ""} else _ANSWERED
        has_answer = code == _ANSWERED and kind == 1
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1" if has_answer else b""
        head = data[:2] + code.to_bytes(2) + b"\0\1\0" + bytes([has_answer]) + b"\0\0\0\0"
        self._transport.sendto(head + data[12 : at + 5] + answer, addr)


@asynccontextmanager
async def name_server(folder: Path, *, options: str = "") -> AsyncIterator[NameServer]:
    """`options`: of resolv.conf. Skips the test where no surroundings can be made."""
    folder.mkdir(parents=True, exist_ok=True)
    server = NameServer(folder)
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no mount namespace can be had here: {tried.stderr}")
    listener = _bound()
    (folder / "resolv.conf").write_text(f"nameserver {listener.getsockname()[0]}\n{options}\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, sock=listener)
    try:
        yield server
    finally:
        transport.close()


def _bound() -> socket.socket:
    """A socket on the first address on which no other test has one."""
    listener = socket.socket(type=socket.SOCK_DGRAM)
    for host in map(_HOST.format, range(1, 255)):
        try:
            listener.bind((host, _PORT))
        except PermissionError as error:
            listener.close()
            pytest.skip(f"port {_PORT} cannot be had here: {error}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return listener
    raise RuntimeError(f"no address of {_HOST.format('x')} has port {_PORT} free")
