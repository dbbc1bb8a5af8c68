"""The map of a Cluster: which master has which slots, as any of its nodes tells."""

from binascii import crc_hqx
from bisect import bisect_right
from functools import lru_cache
from typing import Any

from gateway.engine.access import EngineAccess
from gateway.engine.redis_py import ask
from gateway.engine.replies import Redirection
from gateway.engine.topology import AskedServers
from gateway.engine.url import EngineUrl, HostPort, at
from gateway.errors import EngineUnavailable

_PATIENCE_S = 1.0  # with one node, while others may know
_SLOTS = 16_384


@lru_cache(maxsize=4096)
def slot_of(key: str) -> int:
    """Return the slot of a key; keys with the same part in braces share it.

    As the Cluster specification has it: CRC16 (XMODEM) of what stands between the first { and the
    first } behind it, or of the whole key where there is nothing between them.
    """
    name = key.encode(errors="surrogateescape")
    _, _, rest = name.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return crc_hqx(tag if tag and closed else name, 0) % _SLOTS


class Cluster(AskedServers):
    """Whoever answered last is asked last: a node that lags is not asked twice in a row."""

    is_split = True

    def __init__(self, place: EngineUrl, access: EngineAccess, timeout_s: float) -> None:
        super().__init__(place, access, min(timeout_s, _PATIENCE_S))
        self._nodes: list[HostPort] = list(place.seeds)
        self._starts: list[int] = []  # of ranges of slots, ascending
        self._ranges: list[tuple[int, str]] = []  # their last slot, and who has them
        self._moved: dict[int, str] = {}  # slots of which we were told since

    def known(self, key: str) -> str | None:
        if not self._is_sure:
            return None
        slot = slot_of(key)
        if slot in self._moved:
            return self._moved[slot]
        index = bisect_right(self._starts, slot) - 1
        if index < 0 or slot > self._ranges[index][0]:
            return None
        return self._ranges[index][1]

    def servers(self) -> frozenset[str]:
        return frozenset((*(server for _, server in self._ranges), *self._moved.values()))

    def moved(self, key: str, server: str) -> None:
        self._moved[slot_of(key)] = server

    def elsewhere(self, found: Redirection, asked: str) -> str:
        # One without a host is on the same.
        return self._place.server(found.host or _host_of(asked), found.port)

    async def ask(self) -> None:
        problems = []
        for node in tuple(self._nodes):
            self._nodes.remove(node)
            self._nodes.append(node)
            try:
                reply = await ask(
                    self._place.server(*node),
                    ("CLUSTER", "SLOTS"),
                    access=self._access,
                    timeout_s=self._timeout_s,
                )
            except OSError as error:
                problems.append(f"{at(*node)}: {str(error) or type(error).__name__}")
                continue
            if reply:
                self._take(reply, asked=node)
                return
            problems.append(f"{at(*node)}: has no slots")
        raise EngineUnavailable(f"no node of the Cluster tells who has what: {'; '.join(problems)}")

    def _take(self, reply: Any, asked: HostPort) -> None:
        self._moved = {}
        ranges = sorted((row[0], row[1], _node(row[2], asked)) for row in reply)
        self._starts = [first for first, _, _ in ranges]
        self._ranges = [(last, self._place.server(*node)) for _, last, node in ranges]
        told = {_node(node, asked) for row in reply for node in row[2:]}
        known = [node for node in self._nodes if node in told]
        seeds = [node for node in self._place.seeds if node not in told]
        self._nodes = [*(told.difference(known)), *known, *seeds]


def _node(told: Any, asked: HostPort) -> HostPort:
    # No host (or an empty one): the one that we asked at.
    return (told[0].decode() if told[0] else asked[0]), told[1]


def _host_of(url: str) -> str:
    return url.rpartition("@")[2].rpartition("//")[2].rpartition(":")[0].strip("[]")
