"""The bounds of a configuration are added up, and the first that does not fit is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.options import (
    GIB,
    HOUR_S,
    MIB,
    BacklogOptions,
    Config,
    FeedOptions,
    IngestOptions,
    RedisOptions,
    RetentionOptions,
    ServerOptions,
    SubscriberOptions,
    TlsOptions,
)
from gateway.sizing import data_bytes, engine_bound_bytes, of_engine, told, whole_bytes

SMALL = Config(
    redis=RedisOptions(max_memory_bytes=180 * MIB),
    retention=RetentionOptions(max_bytes=20 * MIB, dead_letters_max_bytes=5 * MIB),
    feed=FeedOptions(max_calls_bytes=20 * MIB),
    subscribers=(
        SubscriberOptions(name="a", kind="log", backlog=BacklogOptions(max_bytes=15 * MIB)),
    ),
)


def unfit(config, limit_bytes=None):
    return [one.strip() for one in told(config, limit_bytes) if "DOES NOT FIT" in one]


def test_all_of_it_fits():
    """Then that is told with what it adds up to: 22 MiB of digests, and the bounds."""
    assert unfit(SMALL) == []
    assert sum(one.size_bytes for one in of_engine(SMALL)) // MIB == 22 + 20 + 5 + 5 + 20 + 15
    assert next(told(SMALL, None)) == (
        "memory        Redis may come to hold 87 MiB of 109 MiB for data in 180 MiB (redis.max_memory)"
    )


def test_a_digest_is_43_bytes():
    """For each event of a window and a half, which is how long they are kept."""
    digests, *_ = of_engine(replace(SMALL, ingest=IngestOptions(dedupe_window_s=2 * HOUR_S)))
    assert digests.size_bytes == 43 * 100 * 3 * 3600


@pytest.mark.parametrize(
    ("max_memory_mib", "named"),
    [
        (28, "digests at 100 events/s (ingest.dedupe_window); publishing may come to wait"),
        (59, "backlog of a (backlog.max_size); publishing may come to wait in the journal: raise"),
        (74, "dead letters of a (retention.dead_letters_max_size); publishing may come to wait"),
        (82, "dead letters of the gateway itself (retention.dead_letters_max_size); publishing"),
        (105, "states of calls (feed.max_calls_size); states of the calls that were touched"),
        (166, "history (retention.max_size); it gives way"),
    ],
)
def test_the_first_that_does_not_fit_is_named(max_memory_mib, named):
    """With what follows; what never gives way comes first, and what does begins to below the
    bound.
    """
    redis = RedisOptions(max_memory_bytes=max_memory_mib * MIB)
    (line,) = unfit(replace(SMALL, redis=redis))
    assert line.startswith(f"DOES NOT FIT into redis.max_memory ({max_memory_mib} MiB): {named}")


def test_what_the_machine_has_bounds_it_too():
    """The gateway's own processes are in it, and the engine only where it is ours."""
    assert unfit(SMALL, 1 * GIB) == []
    (line,) = unfit(SMALL, 200 * MIB)
    assert "into the memory that this container may use (200 MiB): history" in line
    (line,) = unfit(replace(SMALL, server=ServerOptions(workers=2)), 140 * MIB)
    assert "may use (140 MiB): the gateway's own processes (server.workers)" in line
    elsewhere = replace(SMALL, redis=RedisOptions(url="redis://elsewhere"))
    assert unfit(elsewhere, 140 * MIB) == []
    assert next(told(elsewhere, 140 * MIB)) == "memory        Redis may come to hold 87 MiB"


def test_connections_over_tls_count():
    """Strangers can fill their buffers, so as many as may be are added up."""
    tls = TlsOptions(cert=Path("cert.pem"), key=Path("key.pem"))
    many = replace(SMALL, server=ServerOptions(tls=tls, max_connections=2000))
    (line,) = unfit(many, 1 * GIB)
    assert "TLS connections (server.max_connections); strangers can fill it" in line
    assert unfit(replace(many, server=ServerOptions(tls=tls, max_connections=500)), 1 * GIB) == []
    assert unfit(replace(many, server=ServerOptions(max_connections=2000)), 1 * GIB) == []


def test_the_embedded_engine_takes_what_is_left():
    """Of a container's memory, and never more than it is given; nobody need be killed for it."""
    assert engine_bound_bytes(SMALL, None) == 180 * MIB
    assert engine_bound_bytes(SMALL, 1 * GIB) == 180 * MIB
    assert engine_bound_bytes(SMALL, 128 * MIB) == 64 * MIB
    assert engine_bound_bytes(SMALL, 32 * MIB) == 16 * MIB


@pytest.mark.parametrize("mib", [16, 24, 32, 64, 128, 1024])
def test_an_engine_holds_less_than_it_takes(mib):
    """A small one far less, for its own process is in it; each of the two tells the other."""
    whole = mib * MIB
    data = data_bytes(whole)
    assert whole // 4 <= data <= 0.65 * whole
    assert whole - 8 <= whole_bytes(data) <= whole + 8
