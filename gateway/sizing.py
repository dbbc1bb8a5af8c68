"""What a configuration may want of memory: its bounds, added up. Pure.

Bounds are of what is put in; in the engine a small piece weighs a third more at most. Those that
never give way come first (see `store.upkeep.yielding`), so the first that does not fit is told
with what follows from it.

The embedded engine is to take no more of the machine than it is given. So less of that may hold
data: the rest is for holes in its heap, for what it buffers, and for a second process that it
forks now and then to rewrite its append-only file. Every page that is written to meanwhile is
there twice.
"""

from collections.abc import Iterator
from typing import NamedTuple

from gateway.options import GIB, MIB, Config

DIGEST_BYTES = 43  # in the engine's memory, for each event (bench/micro/dedupe_memory.py)
EVENTS_PER_S = 100  # for which digests are added up: nothing bounds them but how many come
PROCESS_BYTES = 64 * MIB  # of the gateway, with what it holds under load
# A stranger's idle connection over TLS, once it has sent a quarter of a megabyte: the buffers of
# the loop and of OpenSSL keep their size.
TLS_CONNECTION_BYTES = 512 << 10
YIELDS_FROM = 0.85  # of what an engine may hold: there what can begins to give way
# Measured over hours of events, at 200 times their speed (`tests/store/test_yielding.py`).
_DATA_SHARE, _BESIDE_BYTES = 0.65, 8 * MIB
_LEAST_DATA = 4  # a part of so many, in an engine that is too small for its own process
_WINDOWS = 1.5  # digests are kept in halves of a window
_LEAST_ENGINE_BYTES = 16 * MIB

WAITS = "publishing may come to wait in the journal: raise {bound}, or lower this"
HISTORY_YIELDS = "it gives way, and history may reach back less than retention.history"
TLS_HOLDS = "strangers can fill it: lower server.max_connections, or let a proxy speak TLS"
CALLS_YIELD = "states of the calls that were touched longest ago give way"


class Demand(NamedTuple):
    """`yields`: what it means that it does not fit."""

    what: str
    size_bytes: int
    yields: str = WAITS


def of_engine(config: Config) -> Iterator[Demand]:
    """Yield what may lie in the engine, what never gives way first."""
    kept_s = _WINDOWS * config.ingest.dedupe_window_s
    digests = int(DIGEST_BYTES * EVENTS_PER_S * kept_s)
    yield Demand(f"digests at {EVENTS_PER_S} events/s (ingest.dedupe_window)", digests)
    letters = config.retention.dead_letters_max_bytes
    for one in config.subscribers:
        yield Demand(f"backlog of {one.name} (backlog.max_size)", one.backlog.max_bytes)
        yield Demand(f"dead letters of {one.name} (retention.dead_letters_max_size)", letters)
    yield Demand("dead letters of the gateway itself (retention.dead_letters_max_size)", letters)
    if config.feed.enabled:
        size = config.feed.max_calls_bytes
        yield Demand("states of calls (feed.max_calls_size)", size, CALLS_YIELD)
    yield Demand("history (retention.max_size)", config.retention.max_bytes, HISTORY_YIELDS)


def processes_bytes(config: Config) -> int:
    """Return what the gateway's own processes take, about."""
    workers = config.server.workers
    return PROCESS_BYTES * (workers + 1 if workers > 1 else 1)


def tls_bytes(config: Config) -> int:
    """Return what strangers can make connections over TLS hold, all together."""
    if config.server.tls is None:
        return 0
    return TLS_CONNECTION_BYTES * config.server.max_connections * config.server.workers


def engine_bound_bytes(config: Config, limit_bytes: int | None) -> int:
    """Return what the embedded engine may have: `redis.max_memory`, as far as the machine's limit
    leaves room for it.
    """
    if limit_bytes is None:
        return config.redis.max_memory_bytes
    room = max(limit_bytes - processes_bytes(config), _LEAST_ENGINE_BYTES)
    return min(config.redis.max_memory_bytes, room)


def data_bytes(whole_bytes: int) -> int:
    """Return what an engine may hold, all told, that is to take `whole_bytes` of the machine."""
    room = int(_DATA_SHARE * whole_bytes) - _BESIDE_BYTES
    return max(room, whole_bytes // _LEAST_DATA)


def whole_bytes(data: int) -> int:
    """Return what such an engine may take: about what `data_bytes` made `data` of."""
    return min(int((data + _BESIDE_BYTES) / _DATA_SHARE), data * _LEAST_DATA)


def told(config: Config, limit_bytes: int | None) -> Iterator[str]:
    """Yield lines for a person: what is wanted, and the first that does not fit.

    `limit_bytes`: of the memory of this container, or whatever bounds us.
    """
    demands, is_embedded = list(of_engine(config)), config.redis.url == "embedded"
    total, whole = size(sum(one.size_bytes for one in demands)), config.redis.max_memory_bytes
    bound = f" of {size(data_bytes(whole))} for data in {size(whole)} (redis.max_memory)"
    yield f"memory        Redis may come to hold {total}{bound if is_embedded else ''}"
    for one in demands:
        yield f"  {size(one.size_bytes):>9}  {one.what}"
    if is_embedded:
        yield from _too_much(demands, data_bytes(whole), f"redis.max_memory ({size(whole)})")
    if limit_bytes is not None:
        yield from _beyond(config, demands if is_embedded else [], limit_bytes)


def _beyond(config: Config, demands: list[Demand], limit_bytes: int) -> Iterator[str]:
    limit = f"the memory that this container may use ({size(limit_bytes)})"
    own = Demand("the gateway's own processes (server.workers)", processes_bytes(config))
    tls = Demand("TLS connections (server.max_connections)", tls_bytes(config), TLS_HOLDS)
    if own.size_bytes > limit_bytes:
        yield from _too_much([own], limit_bytes, limit)
    elif own.size_bytes + tls.size_bytes > limit_bytes:
        yield from _too_much([own, tls], limit_bytes, limit)
    elif engine_bound_bytes(config, limit_bytes) < config.redis.max_memory_bytes:
        yield from _too_much(demands, data_bytes(engine_bound_bytes(config, limit_bytes)), limit)


def _too_much(demands: list[Demand], bound_bytes: int, bound: str) -> Iterator[str]:
    total = 0
    for one in demands:
        total += one.size_bytes
        if total > (bound_bytes if one.yields is WAITS else YIELDS_FROM * bound_bytes):
            follows = one.yields.format(bound=bound.partition(" (")[0])
            yield f"  DOES NOT FIT into {bound}: {one.what}; {follows}"
            return


def size(size_bytes: int) -> str:
    """Return a size as a person reads it."""
    return f"{size_bytes / GIB:.1f} GiB" if size_bytes >= GIB else f"{size_bytes / MIB:.0f} MiB"
