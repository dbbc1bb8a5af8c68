"""Every option can be set, and the file that ships shows each of them."""

import dataclasses
import re

from support.configs import APPS, FULL, QUEUE, SHIPPED, SQS, load, unset

from gateway import config, options
from gateway.config import findings


def test_every_option_can_be_set(tmp_path, certificates):
    """Each setting has a key in YAML that reaches it, in its unit."""
    loaded = load(tmp_path, FULL)
    (everything,) = loaded.subscribers
    tls = tmp_path / "tls"
    assert loaded.server == options.ServerOptions(
        host="::1",
        port=0,
        workers=3,
        max_connections=7,
        max_unfinished_bytes=3 << 20,
        header_timeout_s=1,
        body_timeout_s=2,
        keepalive_timeout_s=180,
        drain_s=4,
        tls=options.TlsOptions(cert=tls / "cert.pem", key=tls / "key.pem"),
    )
    assert loaded.journal == options.JournalOptions(
        max_bytes=1 << 30, segment_bytes=1 << 20, keep_s=3600, sync_interval_s=0.25
    )
    assert everything.retry == options.RetryOptions(
        timeout_s=8,
        total_s=20,
        status_attempts=4,
        network_attempts=5,
        timeout_attempts=6,
        waits_s=(0, 0.1),
        slow_first_s=60,
        slow_max_s=120,
        slow_horizon_s=172800,
    )
    assert everything.http == options.HttpOptions(
        url="https://h/x",
        headers=(("Authorization", "Bearer x"),),
        ca=tls / "ca.pem",
        client_cert=tls / "cert.pem",
        client_key=tls / "key.pem",
        on_410="pause",
        max_response_bytes=1024,
        allow_networks=("10.0.0.0/8",),
    )
    assert loaded.ingest == options.IngestOptions(
        path="/in", ack="replicated", replicas=2, dedupe_window_s=7200, max_body_bytes=64 << 10
    )
    assert loaded.apps[0] == options.App(api_key="k1", secrets=("new", "old"))
    assert loaded.feed == options.FeedOptions(
        enabled=False,
        access="any",
        guests=True,
        demo=True,
        origins=(
            "https://app.example.com:8443",
            "https://*.example.com",
            "capacitor://localhost",
            "*",
        ),
        user_events_per_s=12,
        user_events_burst=13,
        call_events_per_s=14,
        call_events_burst=15,
        new_calls_per_s=16,
        new_calls_burst=17,
        guests_per_s=18,
        guests_burst=19,
        user_requests_per_s=20,
        user_requests_burst=21,
        max_connections=9,
        max_connections_per_user=8,
        max_watched_calls=7,
        outbox_bytes=6 << 10,
        max_message_bytes=5 << 10,
        handshake_timeout_s=4,
        ping_interval_s=3,
        max_replay_events=2,
        calls_retention_s=3600,
        max_calls=11,
        max_calls_bytes=3 << 20,
    )
    assert loaded.upstream == options.UpstreamOptions(
        url="https://stream.example.com",
        timeout_s=1,
        custom_events="local",
        ca=tls / "ca.pem",
        max_response_bytes=1 << 20,
    )
    assert unset(loaded) == [".sources", ".subscribers.sqs"]


def test_every_option_of_a_source_can_be_set(tmp_path):
    """Queues and topics are sources; each key reaches its option, in its unit."""
    text = (
        APPS
        + """
sources:
  - {name: q, kind: sqs, app: k, enabled: false, queue_url: "http://h/1/q", region: r-1,
     endpoint: "https://h", receivers: 3, wait: 5s, visibility_timeout: 1m}
  - {name: t, kind: sns, app: k, path: /sns, topic_arns: ["arn:aws:sns:r-1:123456789012:t"],
     raw_credentials: "user:hush-hush-1-hush-hush-1", endpoint: "https://h"}
"""
    )
    loaded = load(tmp_path, text)
    queue, topic = loaded.sources
    assert queue.sqs == options.SqsSourceOptions(
        queue_url="http://h/1/q",
        region="r-1",
        endpoint="https://h",
        receivers=3,
        wait_s=5,
        visibility_timeout_s=60,
    )
    assert topic.sns == options.SnsSourceOptions(
        path="/sns",
        topic_arns=("arn:aws:sns:r-1:123456789012:t",),
        raw_credentials="user:hush-hush-1-hush-hush-1",
        endpoint="https://h",
    )
    assert unset(queue) == [".sns"]
    assert unset(topic) == [".enabled", ".sqs"]
    told = config.describe(loaded)
    assert "q: sqs, queue q, for app k, disabled" in told
    assert "t: sns, 1 topic at /sns, for app k" in told
    assert "hush-hush" not in told + repr(loaded)


def test_every_option_of_a_queue_can_be_set(tmp_path):
    """A queue is described by its URL alone, or by everything around it."""
    more = "region: r-1, endpoint: 'https://h:1/', format: gzip, timeout: 1s}"
    for text, expected in (
        (SQS + QUEUE + "}", options.SqsOptions(queue_url=QUEUE[11:-2])),
        (
            SQS + "queue_url: http://h/1/q, " + more,
            options.SqsOptions(
                queue_url="http://h/1/q", region="r-1", endpoint="https://h:1", format="gzip"
            ),
        ),
    ):
        (subscriber,) = load(tmp_path, text).subscribers
        assert (subscriber.kind, subscriber.http, subscriber.sqs) == ("sqs", None, expected)
    assert subscriber.retry.timeout_s == 1
    assert unset(expected) == []
    assert "to queue q as gzip" in config.describe(load(tmp_path, text))


def test_shipped_file_loads():
    """The file that comes with the gateway runs as it is: demo app, embedded, one log."""
    loaded = config.load(SHIPPED, {})
    assert loaded == options.Config(
        apps=(options.App(api_key="demo-key", secrets=("demo-secret",)),),
        subscribers=(options.SubscriberOptions(name="console", kind="log"),),
        data_dir=SHIPPED.parent / "data",
        feed=options.FeedOptions(demo=True),
    )


def test_shipped_file_shows_every_key_with_its_default(tmp_path, certificates):
    """What is commented out in the shipped file can be put back, and changes nothing."""
    text = re.sub(r"^( *)#((?:  )*\S)", r"\1\2", SHIPPED.read_text(), flags=re.MULTILINE)
    loaded = load(tmp_path, text.replace("url: embedded", "url: rediss+sentinel://h/x"))
    console, recordings, _ = loaded.subscribers
    queue, topic = (one.sqs or one.sns for one in loaded.sources)
    assert unset(queue) == [".receivers", ".wait_s", ".visibility_timeout_s"]
    assert unset(topic) == []
    assert dataclasses.replace(loaded.server, tls=None) == options.ServerOptions()
    assert dataclasses.replace(loaded.upstream, url=None, ca=None) == options.UpstreamOptions()
    without = {
        "url": "embedded",
        "ca": None,
        "client_cert": None,
        "client_key": None,
        "sentinel_username": None,
        "sentinel_password": None,
    }
    assert dataclasses.replace(loaded.redis, **without) == options.RedisOptions()
    for part in ("admin", "ingest", "journal", "retention", "log"):
        assert getattr(loaded, part) == getattr(options.Config(), part)
    assert (recordings.retry, recordings.backlog) == (console.retry, console.backlog)
    for section in (
        (),
        ("server",),
        ("journal",),
        ("sources", 0),
        ("subscribers", 0),
        ("subscribers", 0, "retry"),
    ):
        for key in findings.keys_at(section):
            assert re.search(rf"\b{key}:", text), key


def test_schema_names_every_key():
    """Editors get the same keys as the reader has."""
    schema = config.json_schema()
    assert set(schema["properties"]) == set(findings.keys_at(()))
    assert "timeout" in schema["$defs"]["Subscriber"]["properties"]
