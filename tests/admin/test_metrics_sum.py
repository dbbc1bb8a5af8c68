"""What several processes have counted, as one."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import tally
from gateway.metrics import Metrics


def counted(accepted, up, connections, *, seconds=(), status="200"):
    """What a process says that has counted this, as it comes over the line."""
    metrics = Metrics()
    metrics.accepted.add(by=accepted)
    metrics.webhooks.add(status, by=accepted)
    metrics.stream_up.set(to=up)
    metrics.connections.track(read=lambda: connections)
    for one in seconds:
        metrics.ack_seconds.observe(one)
    return json.loads(json.dumps(metrics.snapshot()))


def read(*snapshots):
    """Sample name and labels -> value, of the rendered sum."""
    families = text_string_to_metric_families(Metrics().render(snapshots))
    return {
        (one.name, *one.labels.values()): one.value for family in families for one in family.samples
    }


def test_counters_histograms_and_most_gauges_are_added_up():
    """Each labelling for itself; every bucket for itself."""
    found = read(
        counted(3, 1, 5, seconds=[0.0001, 7]), counted(4, 1, 6, seconds=[0.0001], status="503")
    )
    assert found["gateway_accepted_total",] == 7
    assert found["gateway_webhooks_total", "200"] == 3
    assert found["gateway_webhooks_total", "503"] == 4
    assert found["gateway_connections",] == 11
    assert found["gateway_ack_seconds_bucket", "0.0001"] == 2
    assert found["gateway_ack_seconds_bucket", "15.0"] == 3
    assert found["gateway_ack_seconds_count",] == 3
    assert found["gateway_ack_seconds_sum",] == pytest.approx(7.0002)


def test_redis_is_up_when_it_is_for_everybody():
    """The least of all, not the sum."""
    assert read(counted(0, 1, 0), counted(0, 1, 0))["gateway_stream_up",] == 1
    assert read(counted(0, 1, 0), counted(0, 0, 0))["gateway_stream_up",] == 0


def test_what_a_process_counted_outlives_it_and_what_it_held_does_not():
    """Counters and histograms never go back; connections and a Redis that was away are gone."""
    ended = counted(3, 0, 5, seconds=[0.5])
    kept = tally.retained(tally.retained(tally.empty(), ended), ended)
    found = read(kept, counted(1, 1, 2, seconds=[0.5]))
    assert found["gateway_accepted_total",] == 7
    assert found["gateway_ack_seconds_count",] == 3
    assert found["gateway_connections",] == 2
    assert found["gateway_stream_up",] == 1
