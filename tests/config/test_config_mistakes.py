"""Every mistake is told in one pass, with its place and what would be right."""

import sys

import pytest
from support.configs import APPS, HTTP, QUEUE, SOURCE, SQS, TOPIC, load, mistakes, only_mistake

from gateway import config
from gateway.aws import credentials
from gateway.delivery import matching
from gateway.errors import ConfigError


def test_seven_mistakes_in_one_pass(tmp_path):
    """Mistakes of every sort are told together, each with its line and column, in file order."""
    text = """\
server:
  port: 80a80
  hots: 127.0.0.1
apps:
  - {api_key: k, secrets: ["${STREAM_SECRET}"]}
ingest: {dedupe_window: 60}
subscribers:
  - {name: a, kind: http}
  - {name: b, kind: log, order: strict}
  - name: a
    kind: log
"""
    found = mistakes(tmp_path, text)
    assert [place[:2] for place in found] == [
        (2, 9),
        (3, 3),
        (5, 28),
        (6, 25),
        (8, 5),
        (9, 33),
        (10, 11),
    ]
    for (_, _, said), expected in zip(
        found,
        [
            "server.port: expected a whole number",
            "server.hots: unknown key `hots`: did you mean `host`? valid keys are host, port, tls,",
            "apps[0].secrets: environment variable STREAM_SECRET is not set",
            "ingest.dedupe_window: expected a duration with its unit, such as 250ms, 6s, 15m",
            "subscribers[0].url: a subscriber of kind http needs a url",
            "subscribers[1].order: `strict` is not available: use none or call",
            "subscribers[2].name: another subscriber in line 8 has this name",
        ],
        strict=True,
    ):
        assert said.startswith(expected), said


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", (1, 1), "apps: this key is required"),
        ("apps: []", (1, 7), "apps: must have at least one entry"),
        ("- a\n", (1, 1), "expected a mapping"),
        ("apps: [{api_key: k}]", (1, 8), "apps[0].secrets: this key is required"),
        ("apps: [{api_key: k, secrets: []}]", (1, 30), "expected one secret, or two"),
        ("apps: [{api_key: k, secrets: [a, b, c]}]", (1, 30), "not 3"),
        ("apps: [{api_key: k, secrets: [a, a]}]", (1, 34), "the same secret twice"),
        ('apps: [{api_key: k, secrets: [""]}]', (1, 31), "the secret is empty"),
        ("apps: [{api_key: k, secrets: [12]}]", (1, 31), "in quotes if it is a number"),
        ("apps: [{api_key: 12, secrets: [s]}]", (1, 18), "put it in quotes"),
        ("apps: [{api_key: k, secrets: [{file: gone}]}]", (1, 31), "no such file"),
        ("apps: [{api_key: k, secrets: [{path: gone}]}]", (1, 31), "{file: path}"),
        (
            "apps: [{api_key: k, secrets: [s]}, {api_key: k, secrets: [t]}]",
            (1, 46),
            "apps[1].api_key: another app in line 1 has this api_key",
        ),
        (APPS + "server: {port: 3030}", (2, 16), "turns :3030 into :8800"),
        (APPS + "server: {port: 70000}", (2, 16), "must be at most 65535"),
        (APPS + "server: {workers: many}", (2, 19), "processes from 1 to 64, or auto"),
        (APPS + "server: {workers: 0}", (2, 19), "processes from 1 to 64, or auto"),
        (
            APPS + "server: {workers: 4}\njournal: {max_size: 256MiB}",
            (2, 19),
            "4 workers share journal.max_size",
        ),
        (APPS + 'server: {port: "80"}', (2, 16), "expected a whole number, without quotes"),
        (APPS + "server: {host: 'h:80'}", (2, 16), "without scheme and port"),
        (
            APPS + "server: {host: 0.0.0.0, port: 8081}",
            (2, 31),
            "server.port: both listeners are on port 8081",
        ),
        (APPS + "admin: {port: 8080}", (2, 15), "admin.port: both listeners are on port 8080"),
        (APPS + "admin: {host: 0.0.0.0}", (2, 15), "add `allow_remote: true`"),
        (APPS + "server: {tls: {cert: config.yaml}}", (2, 15), "server.tls.key: this key is"),
        (APPS + "server: {header_timeout: 0s}", (2, 26), "must be more than zero"),
        (
            APPS + "redis: {url: http://h}",
            (2, 14),
            "redis://, rediss://, unix://, redis+sentinel:// or",
        ),
        (APPS + "ingest: {path: webhooks}", (2, 16), "expected a path such as /webhooks"),
        (APPS + "ingest: {path: /healthz}", (2, 16), "answers health checks"),
        (APPS + "redis: {lease: 100ms}", (2, 16), "expected 1s to 1m"),
        (APPS + "ingest: {ack: replicated}", (2, 15), "with how many replicas"),
        (APPS + "ingest: {ack: disk}", (2, 15), "expected `journal`, `redis` or {replicated: 1}"),
        (APPS + "ingest: {ack: {replicated: 0}}", (2, 15), "how many replicas, 1 or more"),
        (APPS + "ingest: {ack: {replicated: 1}}", (2, 15), "embedded engine has no replicas"),
        (APPS + "ingest: {max_body: 1MB}", (2, 20), "such as 512B, 64KiB, 1MiB or 2GiB"),
        (APPS + "ingest: {max_body: 65MiB}", (2, 20), "must fit into journal.segment_size"),
        (APPS + "journal: {max_size: 100MiB}", (2, 21), "at least two segments"),
        (APPS + "subscribers: [{name: gateway, kind: log}]", (2, 22), "own dead letters"),
        (APPS + "subscribers: [{name: a b, kind: log}]", (2, 22), "1 to 64 letters"),
        (APPS + "subscribers: [{name: a, kind: ftp}]", (2, 31), "expected `http`, `log` or `sqs`"),
        (APPS + "subscribers: [{name: a, kind: sqs}]", (2, 15), "needs a queue_url"),
        (APPS + "subscribers: [{name: a, kind: log, format: raw}]", (2, 36), "use kind: sqs"),
        (HTTP + "region: eu-west-1}", (4, 1), "use kind: sqs"),
        (SOURCE + "kind: sqs}" + "]", (3, 4), "a source of kind sqs needs a queue_url"),
        (SOURCE + "kind: log}" + "]", (4, 7), "expected `sqs` or `sns`"),
        (
            SOURCE.replace("app: k", "app: x") + "kind: sqs, " + QUEUE + "}" + "]",
            (3, 19),
            "no app has",
        ),
        (SOURCE + "kind: sqs, path: /x, " + QUEUE + "}" + "]", (4, 12), "use kind: sns"),
        (SOURCE + "kind: sqs, wait: 21s, " + QUEUE + "}" + "]", (4, 18), "from 1s to 20s"),
        (SOURCE + "kind: sqs, wait: 500ms, " + QUEUE + "}" + "]", (4, 18), "whole seconds"),
        (SOURCE + "kind: sqs, receivers: 65, " + QUEUE + "}" + "]", (4, 23), "at most 64"),
        (SOURCE + "kind: sqs, visibility_timeout: 1d, " + QUEUE + "}" + "]", (4, 32), "to 43200s"),
        (
            SOURCE + "kind: sqs, " + QUEUE + "}, {name: s, kind: sqs, app: k, " + QUEUE + "}]",
            (5, 11),
            "another source in line 3 has this name",
        ),
        (SOURCE + "kind: sns, path: /x}" + "]", (3, 4), "a source of kind sns needs topic_arns"),
        (SOURCE + "kind: sns, path: /x, topic_arns: []}" + "]", (4, 34), "at least one entry"),
        (
            SOURCE + "kind: sns, " + TOPIC + "path: /webhooks/stream}" + "]",
            (5, 7),
            "choose another path",
        ),
        (SOURCE + "kind: sns, " + TOPIC + "path: /readyz}" + "]", (5, 7), "health checks"),
        (SOURCE + "kind: sns, path: /x, topic_arns: [t]}" + "]", (4, 35), "the ARN of a topic"),
        (
            SOURCE + "kind: sns, path: /x, raw_credentials: secret," + TOPIC + "}" + "]",
            (4, 39),
            "expected user:password",
        ),
        (
            SOURCE + "kind: sns, path: /x, receivers: 2, " + TOPIC + "}" + "]",
            (4, 22),
            "use kind: sqs",
        ),
        (SQS + "queue_url: 'https://h/q'}", (4, 12), "does not tell the region: add region"),
        (SQS + "queue_url: 'https://sqs.eu-west-1.amazonaws.com'}", (4, 12), "the URL of a queue"),
        (SQS + "queue_url: 'arn:aws:sqs:eu-west-1:1:q'}", (4, 12), "the URL of a queue"),
        (SQS + QUEUE + "region: us-east-1}", (5, 9), "the queue's URL says eu-west-1"),
        (SQS + QUEUE + "endpoint: 'http://h/path'}", (5, 11), "without a path"),
        (SQS + QUEUE + "url: 'http://h/path'}", (5, 1), "kind sqs has no such key"),
        (SQS + QUEUE.replace("q,", "q.fifo,") + "}", (3, 5), "a FIFO queue needs order: call"),
        (SQS + QUEUE + "format: json}", (5, 9), "expected `base64`, `gzip` or `raw`"),
        (APPS + "subscribers: [{name: a, kind: log, on_410: bury}]", (2, 36), "use kind: http"),
        (HTTP + "match: {apps: [k2]}}", (4, 16), "no app has this api_key: expected one of k"),
        (HTTP + "match: {types: call}}", (4, 16), "expected a list"),
        (HTTP + "match: {types: ['a, b']}}", (4, 17), "one event type or pattern"),
        (HTTP + "match: {types: ['a[b']}}", (4, 17), "one event type or pattern"),
        (HTTP + "match: {where: 'event.type =='}}", (4, 16), "match.where: column 14: "),
        (HTTP + "timeout: 20s}", (4, 10), "timeout (20s) is longer than retry.total (15s)"),
        (HTTP + "headers: {A: 1}}", (4, 14), "put it in quotes"),
        (HTTP + 'headers: {A: "a\\nb"}}', (4, 14), "one line of Latin-1"),
        (HTTP + "headers: {A b: x}}", (4, 11), "expected the name of a header"),
        (HTTP + "headers: {X-Signature: x}}", (4, 11), "sets this header itself"),
        (HTTP + "headers: {A: x, a: y}}", (4, 17), "the same header twice"),
        (HTTP + "ca: gone.pem}", (4, 5), "no such file"),
        (HTTP + "ca: config.yaml}", (4, 5), "no certificate in PEM form"),
        (HTTP + "client_cert: config.yaml}", (4, 1), "client_cert needs client_key"),
        (HTTP + "allow_networks: [10.0.0.1/8]}", (4, 18), "did you mean 10.0.0.0/8?"),
        (HTTP + "allow_networks: [10/8/8]}", (4, 18), "expected a network"),
        (HTTP + "retry: {waits: []}}", (4, 16), "must have at least one entry"),
        (HTTP + "concurrency: 0}", (4, 14), "must be at least 1"),
        (HTTP + "enabled: 'true'}", (4, 10), "true or false, without quotes"),
    ],
)
def test_each_mistake_says_what_would_be_right(tmp_path, text, place, said):
    """A single mistake gives a single line, at the value or the key that is wrong."""
    line, column, found = only_mistake(tmp_path, text)
    assert said in found
    assert (line, column) == place


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "example.com",
        "file://",
        "https://a.*.example.com",
        "https://*",
        "https://*.",
        "https://*.*.example.com",
        "https://a*.example.com",
        "capacitor://",
        "ext://a*",
        "ext://a/b",
        "https://h/",
        "wss://h",
        "data://x",
    ],
)
def test_origin_of_a_page(tmp_path, origin):
    """Only what a browser sends, and patterns that can match it."""
    assert "https://" in only_mistake(tmp_path, f"{APPS}feed: {{origins: ['{origin}']}}")[2]


@pytest.mark.parametrize(
    "url", ["ftp://h/", "http:///x", "h:80", "http://[::1/", "http://h:99999/", "http://h/a b"]
)
def test_url_of_a_subscriber(tmp_path, url):
    """Only a whole http or https URL passes."""
    text = f"{APPS}subscribers: [{{name: a, kind: http, url: '{url}'}}]"
    assert "http://" in only_mistake(tmp_path, text)[2]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: [1\nb: 2", (2, 2), "not valid YAML"),
        (APPS + "server: {port: ${X}}", (2, 17), "inside { } a variable needs quotes"),
        (b"a: \xff", (1, 1), "not UTF-8"),
        ("a: b\n\nc: \x07", (3, 4), "control character"),
        (APPS + "server: {port: 1}\nserver: {port: 2}", (3, 1), "given before, in line 2"),
        (APPS + "log: &x {level: info}", (2, 6), "anchors (&) and aliases (*)"),
        (APPS + "log: {<<: {level: info}}", (2, 7), "merge keys (<<)"),
        (APPS + "log: {level: !!str info}", (2, 14), "tags (!)"),
        (APPS + "log: {[a]: info}", (2, 7), "a key must be plain text"),
        (APPS + "---\nlog: {}", (2, 1), "a second document"),
        (APPS + "log: {level: }", (2, 7), "log.level: has no value"),
        (APPS + "log: " + "[" * 60 + "]" * 60, (2, 36), "nested too deeply"),
    ]
    + [
        (APPS + f"server: {{port: {word}}}", (2, 16), "different readers of YAML")
        for word in ("yes", "Off", "1:30", "012", "0x10", "1_000", "2020-01-01", ".inf", "1.5e+3")
    ],
)
def test_yaml_that_readers_disagree_on_is_refused(tmp_path, text, place, said):
    """Aliases, tags, merge and duplicate keys, and words that YAML 1.1 twists are mistakes."""
    found = mistakes(tmp_path, text)
    assert (*place, True) in [(line, column, said in text) for line, column, text in found], found


def test_a_file_that_cannot_be_read(tmp_path):
    """It is one mistake like any other."""
    for path in (tmp_path / "gone.yaml", tmp_path):
        with pytest.raises(ConfigError, match=r":1:1: cannot be read"):
            config.load(path, {})


def test_an_expression_without_the_package_for_it(tmp_path, monkeypatch):
    """What has to be installed is told, and only to those who use it."""
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    matching._environment.cache_clear()
    assert load(tmp_path, HTTP + "}").subscribers
    line, column, told = only_mistake(tmp_path, HTTP + "match: {where: 'event.a == 1'}}")
    assert (line, column) == (4, 16)
    assert "match.where needs the extra: pip install 'stream-video-gateway[where]'" in told


def test_a_queue_without_the_packages_for_it(tmp_path, monkeypatch):
    """What has to be installed is told, and only to those who use it."""
    monkeypatch.setattr(credentials, "find_spec", lambda _: None)
    assert load(tmp_path, HTTP + "}").subscribers
    line, column, told = only_mistake(tmp_path, SQS + QUEUE + "}")
    assert (line, column) == (3, 21)
    assert "pip install 'stream-video-gateway[sqs]'" in told
