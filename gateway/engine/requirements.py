"""What an engine has to be: new enough, named as what it is, and one that keeps what it is given.

Of a Cluster every master is asked. Asked with INFO, which hosted services answer too where they
refuse CONFIG.
"""

from gateway.engine.engine import Engine
from gateway.engine.info import number, read_info
from gateway.engine.replies import ONE_NODE
from gateway.errors import EngineRefused, EngineUnavailable

# Scripts say in their first line that they may run on a full engine: since Redis 7. Valkey tells
# the version of Redis that it began from, 7.2.
_OLDEST_REDIS = 7
# How one that is not a server of its own has to be named in `redis.url`.
_NAMED = {
    "sentinel": "this is a Sentinel and holds no data: write redis+sentinel://host:port/name in"
    " redis.url, with what it calls the master (rediss+sentinel:// over TLS)",
    "cluster": ONE_NODE,
}

_SILENT = "this Redis does not say what it is: allow INFO to the gateway's user there"


async def check_engine(engine: Engine, *, allow_volatile: bool) -> None:
    """Make sure that this engine can be used, evicts nothing, and outlives a restart.

    `allow_volatile` waives the last: a restart of Redis then costs what the journal does not
    hold any more. Raises `EngineRefused`, or `EngineUnavailable` when it is away or still loads.
    """
    try:
        replies = await engine.everywhere("INFO")
    except EngineRefused as error:
        if not str(error).startswith("NOPERM"):
            raise
        raise EngineRefused(f"{_SILENT} ({error})") from error
    for reply in replies:
        info = read_info(reply)
        _check_kind(info, is_cluster=engine.is_cluster)
        _check_version(info)
        _check_loaded(info)
        _check_eviction(info)
        if not allow_volatile:
            _check_persistence(info)


def _check_kind(info: dict[str, str], *, is_cluster: bool) -> None:
    mode = info.get("redis_mode") or info.get("server_mode")
    if mode in _NAMED and not (mode == "cluster" and is_cluster):
        raise EngineRefused(_NAMED[mode])


def _check_version(info: dict[str, str]) -> None:
    version = info.get("redis_version", "")
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < _OLDEST_REDIS:
        raise EngineRefused(
            f"this Redis is too old (version {version}): upgrade it to Redis {_OLDEST_REDIS} or"
            " Valkey 8 or later, or point redis.url at another one"
        )


def _check_loaded(info: dict[str, str]) -> None:
    """While a server reads its append-only file it says that it keeps none."""
    if number(info, "loading"):
        raise EngineUnavailable("it is loading its data")


def _check_eviction(info: dict[str, str]) -> None:
    policy = info.get("maxmemory_policy") or "noeviction"
    if policy != "noeviction":
        raise EngineRefused(
            f"this Redis would throw events away when it is full (maxmemory-policy {policy}):"
            " set maxmemory-policy to noeviction, or point redis.url at another one"
        )


def _check_persistence(info: dict[str, str]) -> None:
    if not number(info, "aof_enabled"):
        raise EngineRefused(
            "this Redis forgets everything when it restarts (appendonly no): set appendonly to"
            " yes, or write allow_volatile: true under redis if replicas keep its data"
        )
