"""The configuration: every mistake in one pass with its place, every option, no secret told."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import trustme
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway import config, options
from gateway.aws import credentials
from gateway.config import findings
from gateway.errors import ConfigError

SHIPPED = Path(__file__).parent.parent / "config.yaml"
APPS = "apps: [{api_key: k, secrets: [s]}]\n"
HTTP = APPS + "subscribers:\n  - {name: a, kind: http, url: http://h/,\n"
SQS = APPS + "subscribers:\n  - {name: a, kind: sqs,\n"
SOURCE = APPS + "sources: [\n   {name: s, app: k,\n"
TOPIC = "topic_arns: ['arn:aws:sns:r-1:123456789012:t'],\n"
QUEUE = "queue_url: https://sqs.eu-west-1.amazonaws.com/1/q,\n"


def write(folder, text):
    file = folder / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def load(folder, text, **environ):
    return config.load(write(folder, text), environ)


def mistakes(folder, text, **environ):
    """Return the mistakes as (line, column, text); the name of the file is checked here."""
    file = write(folder, text)
    with pytest.raises(ConfigError) as raised:
        config.load(file, environ)
    found = []
    for line in str(raised.value).splitlines():
        place = re.fullmatch(re.escape(str(file)) + r":(\d+):(\d+): (.+)", line)
        assert place, line
        found.append((int(place[1]), int(place[2]), place[3]))
    return found


def only_mistake(folder, text, **environ):
    found = mistakes(folder, text, **environ)
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def certificates(tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    folder = tmp_path / "tls"
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "cert.pem", append=True)
    return folder


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
        (2, 9), (3, 3), (5, 28), (6, 25), (8, 5), (9, 33), (10, 11),
    ]  # fmt: skip
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


def test_variables_are_filled_in_after_parsing(tmp_path):
    """A variable gives a value, plain or quoted, and can never change the file's structure."""
    text = """\
server:
  port: 8${X}
apps:
  - {api_key: "${KEY}", secrets: ["$${A}b", "${S}"]}
data_dir: ${DIR:-x}/y${NOTHING:-}
"""
    loaded = load(tmp_path, text, X="000", KEY="12", S='"}], evil: {')
    assert loaded.server.port == 8000
    assert loaded.apps[0].api_key == "12"
    assert loaded.apps[0].secrets == ("${A}b", '"}], evil: {')
    assert loaded.data_dir == tmp_path / "x/y"


@pytest.mark.parametrize(
    ("value", "environ", "said"),
    [
        ("${A}", {}, "environment variable A is not set: set it, or give a default with ${A:-def"),
        ("${A}", {"A": ""}, "the variable is empty"),
        ("${A}", {"A": "yes"}, "different readers"),
        ("'${A'", {"A": "x"}, "expected ${NAME} or ${NAME:-default}"),
        ("'${A-b}'", {"A": "x"}, "expected ${NAME} or ${NAME:-default}"),
    ],
)
def test_a_variable_that_cannot_be_filled_in(tmp_path, value, environ, said):
    """It is a mistake at its place, never the literal text."""
    line, column, found = only_mistake(tmp_path, f"{APPS}data_dir: {value}", **environ)
    assert (line, column) == (2, 11)
    assert said in found


def test_an_empty_section_is_the_default(tmp_path):
    """All keys of a section may be commented out."""
    loaded = load(tmp_path, APPS + "server:\njournal:\nsubscribers:\n")
    assert (loaded.server, loaded.journal) == (options.ServerOptions(), options.JournalOptions())
    assert loaded.subscribers == ()


def test_secrets_from_files(tmp_path):
    """One trailing newline is taken off; an empty or unreadable file is a mistake."""
    (tmp_path / "one").write_text("s1\n")
    (tmp_path / "two").write_text(" s2 \n\n")
    (tmp_path / "none").write_text("\n")
    listed = "apps: [{api_key: k, secrets: [%s]}]"
    loaded = load(tmp_path, listed % f"{{file: one}}, {{file: {tmp_path}/two}}")
    assert loaded.apps[0].secrets == ("s1", " s2 \n")
    assert "empty" in only_mistake(tmp_path, listed % "{file: none}")[2]
    assert "no such file" in only_mistake(tmp_path, listed % "{file: .}")[2]


def test_certificate_and_key_must_belong_together(tmp_path, certificates):
    """A pair that TLS could not be started with is found here, without asking for a password."""
    other = trustme.CA().issue_cert("localhost").private_key_pem
    other.write_to_path(certificates / "other.pem")
    tls = "server: {tls: {cert: tls/cert.pem, key: tls/%s.pem}}"
    assert load(tmp_path, APPS + tls % "key").server.tls.key == certificates / "key.pem"
    assert only_mistake(tmp_path, APPS + tls % "other")[:2] == (2, 15)
    client = HTTP + "client_cert: tls/cert.pem, client_key: tls/other.pem}"
    assert "cannot be used together" in only_mistake(tmp_path, client)[2]


FULL = """\
server:
  {host: "::1", port: 0, tls: {cert: tls/cert.pem, key: tls/key.pem}, max_connections: 7,
   header_timeout: 1s, body_timeout: 2s, keepalive_timeout: 3m, drain: 4s, workers: 3}
admin: {host: 0.0.0.0, port: 9, allow_remote: true}
data_dir: /var/lib/gateway
apps:
  - {api_key: k1, secrets: [new, old]}
  - {api_key: k2, secrets: [x]}
redis: {url: "rediss+sentinel://u:p@h:1,h2/calls/2", max_memory: 2GiB, timeout: 1.5s, lease: 3s,
  allow_volatile: true, sentinel_username: s, sentinel_password: hidden, ca: tls/ca.pem,
  client_cert: tls/cert.pem, client_key: tls/key.pem}
ingest: {path: /in, ack: {replicated: 2}, dedupe_window: 2h, max_body: 64KiB}
journal: {max_size: 1GiB, segment_size: 1MiB, keep: 1h, sync_interval: 250ms}
retention: {history: 1d, max_size: 1TiB, dead_letters: 1d, dead_letters_max_size: 512B}
subscribers:
  - name: everything
    kind: http
    enabled: false
    start: earliest
    match: {types: ["call.*"], apps: [k2], where: "event.type == 'x'"}
    order: call
    concurrency: 2
    timeout: 8s
    retry:
      {total: 20s, status_attempts: 4, network_attempts: 5, timeout_attempts: 6,
       waits: [0s, 100ms], slow_first: 1m, slow_max: 2m, slow_horizon: 2d}
    backlog: {max_age: 1h, max_size: 1MiB}
    url: https://h/x
    headers: {Authorization: Bearer x}
    ca: tls/ca.pem
    client_cert: tls/cert.pem
    client_key: tls/key.pem
    on_410: pause
    max_response: 1KiB
    allow_networks: [10.0.0.0/8]
log: {level: debug, format: json}
feed:
  enabled: false
  access: any
  guests: false
  demo: true
  origins: ["https://App.example.com:8443", "*"]
  max_connections: 9
  max_connections_per_user: 8
  max_watched_calls: 7
  outbox: 6KiB
  max_message: 5KiB
  handshake_timeout: 4s
  ping_interval: 3s
  max_replay_events: 2
  calls_retention: 1h
  max_calls: 11
  max_calls_size: 3MiB
upstream:
  url: https://stream.example.com
  timeout: 1s
  custom_events: local
  ca: tls/ca.pem
  max_response: 1MiB
"""


def test_certificates_need_a_redis_that_speaks_tls(tmp_path, certificates):
    """Files for TLS beside a URL without it would be a false sense of safety: an error."""
    with pytest.raises(ConfigError, match=r":2:9: redis.ca: only rediss:// speaks TLS"):
        load(tmp_path, APPS + "redis: {ca: tls/ca.pem}")


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h/", "redis://u:p%2Fq@h:1/3", "redis://h?db=3", "unix:///a/b?db=1"],
)
def test_where_one_redis_is(tmp_path, url):
    """What a URL of one server may hold: a user, a port, a database."""
    assert load(tmp_path, APPS + f"redis: {{url: '{url}'}}").redis.url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h:1,h:2", "several hosts: begin with redis+sentinel:// or redis+cluster://"),
        ("redis+sentinel://h:1,h:2", "the URL names no master"),
        ("redis+sentinel://h:1/calls/x", "the URL names no master"),
        ("redis+sentinel://h:1/calls?x=1", "leave out what follows the ?"),
        ("redis+cluster://h:1,h:2/1", "a Cluster has no other databases than 0"),
        ("redis+cluster://h:1,:2", "the URL names no host"),
        ("redis+cluster://h:port", "a port in the URL is none"),
        ("redis://h:0", "a port in the URL is none"),
        ("redis://h/calls", "nothing but the number of a database may follow"),
        ("redis://h/0?protocol=3", "nothing but the number of a database may follow"),
        ("rediss://h/0?ssl_cert_reqs=none", "nothing but the number of a database may follow"),
        ("redis://:a/b@h/0", "in a password write / as %2F"),
        ("redis://:a?b@h/0", "in a password write / as %2F"),
        ("redis+cluster://:a#b@h", "in a password write / as %2F"),
        ("unix://", "the URL names no socket"),
        ("unix://relative/path", "the URL names no socket"),
        ("unix:///path?x=1", "nothing but the number of a database may follow"),
    ],
)
def test_where_redis_is_must_be_whole(tmp_path, url, said):
    """Each form of redis.url says what it lacks, at its place."""
    line, column, found = only_mistake(tmp_path, APPS + f"redis: {{url: '{url}'}}")
    assert (line, column) == (2, 14)
    assert said in found


def test_credentials_for_sentinels_need_sentinels(tmp_path):
    """A password that nobody would be told is an error, not left aside."""
    with pytest.raises(ConfigError, match=r":2:29: redis.sentinel_password: url names no Sent"):
        load(tmp_path, APPS + "redis: {url: 'redis://h:1', sentinel_password: x}")


def test_the_upstream_is_named_without_its_paths(tmp_path):
    """The SDKs' own base URL, put here, would double /video in every request: an error."""
    for url in ("https://h/video", "https://h/api/v2/video/"):
        with pytest.raises(ConfigError, match=r":2:17: upstream.url: .* leave /video away"):
            load(tmp_path, APPS + f"upstream: {{url: '{url}'}}")
    with pytest.raises(ConfigError, match="without a query"):
        load(tmp_path, APPS + "upstream: {url: 'https://h/?a=1'}")
    assert load(tmp_path, APPS + "upstream: {url: 'https://h/proxy'}").upstream.url


def test_every_option_can_be_set(tmp_path, certificates):
    """Each setting has a key in YAML that reaches it, in its unit."""
    loaded = load(tmp_path, FULL)
    (everything,) = loaded.subscribers
    tls = tmp_path / "tls"
    assert loaded.server == options.ServerOptions(
        host="::1", port=0, workers=3, max_connections=7, header_timeout_s=1, body_timeout_s=2,
        keepalive_timeout_s=180, drain_s=4,
        tls=options.TlsOptions(cert=tls / "cert.pem", key=tls / "key.pem"),
    )  # fmt: skip
    assert loaded.journal == options.JournalOptions(
        max_bytes=1 << 30, segment_bytes=1 << 20, keep_s=3600, sync_interval_s=0.25
    )
    assert everything.retry == options.RetryOptions(
        timeout_s=8, total_s=20, status_attempts=4, network_attempts=5, timeout_attempts=6,
        waits_s=(0, 0.1), slow_first_s=60, slow_max_s=120, slow_horizon_s=172800,
    )  # fmt: skip
    assert everything.http == options.HttpOptions(
        url="https://h/x", headers=(("Authorization", "Bearer x"),), ca=tls / "ca.pem",
        client_cert=tls / "cert.pem", client_key=tls / "key.pem", on_410="pause",
        max_response_bytes=1024, allow_networks=("10.0.0.0/8",),
    )  # fmt: skip
    assert loaded.ingest == options.IngestOptions(
        path="/in", ack="replicated", replicas=2, dedupe_window_s=7200, max_body_bytes=64 << 10
    )
    assert loaded.apps[0] == options.App(api_key="k1", secrets=("new", "old"))
    assert loaded.feed == options.FeedOptions(
        enabled=False, access="any", guests=False, demo=True, origins=("https://app.example.com:8443", "*"),
        max_connections=9, max_connections_per_user=8, max_watched_calls=7,
        outbox_bytes=6 << 10, max_message_bytes=5 << 10, handshake_timeout_s=4,
        ping_interval_s=3, max_replay_events=2, calls_retention_s=3600, max_calls=11,
        max_calls_bytes=3 << 20,
    )  # fmt: skip
    assert loaded.upstream == options.UpstreamOptions(
        url="https://stream.example.com", timeout_s=1, custom_events="local",
        ca=tls / "ca.pem", max_response_bytes=1 << 20,
    )  # fmt: skip
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
        queue_url="http://h/1/q", region="r-1", endpoint="https://h", receivers=3, wait_s=5,
        visibility_timeout_s=60,
    )  # fmt: skip
    assert topic.sns == options.SnsSourceOptions(
        path="/sns", topic_arns=("arn:aws:sns:r-1:123456789012:t",),
        raw_credentials="user:hush-hush-1-hush-hush-1", endpoint="https://h",
    )  # fmt: skip
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


def test_a_queue_without_the_packages_for_it(tmp_path, monkeypatch):
    """What has to be installed is told, and only to those who use it."""
    monkeypatch.setattr(credentials, "find_spec", lambda _: None)
    assert load(tmp_path, HTTP + "}").subscribers
    line, column, told = only_mistake(tmp_path, SQS + QUEUE + "}")
    assert (line, column) == (3, 21)
    assert "pip install 'stream-video-gateway[sqs]'" in told


def unset(value, path=""):
    """Return the fields that still have their default, so that none is forgotten above."""
    found = []
    for field in dataclasses.fields(value):
        inner, name = getattr(value, field.name), f"{path}.{field.name}"
        for part in inner if isinstance(inner, tuple) else (inner,):
            if dataclasses.is_dataclass(part):
                found += unset(part, name)
        if field.default is not dataclasses.MISSING and inner == field.default:
            found.append(name)
    return found


def test_shipped_file_loads():
    """The file that comes with the gateway runs as it is: demo app, embedded, one log."""
    loaded = config.load(SHIPPED, {})
    assert loaded == options.Config(
        apps=(options.App(api_key="demo-key", secrets=("demo-secret",)),),
        subscribers=(options.SubscriberOptions(name="console", kind="log"),),
        data_dir=SHIPPED.parent / "data",
        feed=options.FeedOptions(access="any", demo=True),
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
    without = {"url": "embedded", "ca": None, "client_cert": None, "client_key": None,
               "sentinel_username": None, "sentinel_password": None}  # fmt: skip
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


SECRETS = ("hush-hush-1", "hush-hush-2")
LEAKY = [
    "apps: [{api_key: k, secrets: hush-hush-1}]",
    "apps: [{api_key: k, secrets: {hush-hush-1}}]",
    "apps: [{api_key: k, secrets: [{hush-hush-1}]}]",
    "apps: [{api_key: k, secrets: [{hush-hush-1: hush-hush-2}]}]",
    "apps: [{api_key: k, secrets: [{file: hush-hush-1}]}]",
    "apps: [{api_key: k, secrets: ['${hush-hush-1}']}]",
    "apps: [{api_key: k, secrets: ['${hush-hush-1']}]",
    "apps: [{api_key: k, secrets: [[hush-hush-1]]}]",
    "apps: [{api_key: k, secrets: [hush-hush-1, hush-hush-2, hush-hush-1]}]",
    "apps: [{api_key: k, secrets: [hush-hush-1, hush-hush-1], x: y}]",
    "apps: [{api_key: k, secrets: [&hush-hush-1 x, *hush-hush-1]}]",
    "apps: [{api_key: k, secrets: [!hush-hush-1 x]}]",
    HTTP + "headers: {hush-hush-1 x}}",
    HTTP + "headers: hush-hush-1}",
    HTTP + 'headers: {A: "hush-hush-1\\0"}}',
    HTTP + "headers: {A: [hush-hush-1]}}",
    HTTP + "headers: {A: {hush-hush-1: hush-hush-2}}}",
    HTTP + "headers: {A: {hush-hush-1: 1, hush-hush-1: 2}}}",
    SOURCE + "kind: sns, path: /x, raw_credentials: hush-hush-1," + TOPIC + "}]",
    SOURCE + "kind: sns, path: /x, raw_credentials: {file: hush-hush-1}," + TOPIC + "}]",
    SOURCE + "kind: sns, path: /x, raw_credentials: {hush-hush-1: 'a:hush-hush-2'}," + TOPIC + "}]",
    APPS + "redis: {url: 'http://:hush-hush-1@h'}",
    APPS + "redis: {url: 'redis://:hush-hush-1@h:port'}",
    APPS + "redis: {url: 'redis://:hush-hush-1@'}",
    APPS + "redis: {'redis://:hush-hush-1@h'}",
    APPS + "redis: 'redis://:hush-hush-1@h'",
    APPS + "subscribers: [{name: a, kind: http, url: 'http://u:hush-hush-1@h/'}]",
]


@pytest.mark.parametrize("text", LEAKY)
def test_no_secret_in_the_text_of_a_mistake(tmp_path, text):
    """A mistake at or around a secret is told without the secret."""
    told = str(mistakes(tmp_path, text))
    assert not any(secret in told for secret in SECRETS)


def test_description_and_repr_show_no_secret(tmp_path, certificates):
    """`describe` tells what a person wants to check, and leaves out what nobody should see."""
    text = FULL.replace("u:p@h", "u:hush-hush-1@h").replace("Bearer x", "hush-hush-1")
    text = text.replace("[new, old]", "[hush-hush-1, hush-hush-2]")
    loaded = load(tmp_path, text.replace("https://h/x", "https://h/hush-hush-1?t=hush-hush-2"))
    told = config.describe(loaded)
    for expected in ("https://[::1]:0/in", "rediss+sentinel://h:1,h2", "k1: 2 secrets", "k2: 1 secret",
                     "ack: replicated: 2", "everything: http", "types call.*", "order call", "disabled"):  # fmt: skip
        assert expected in told
    assert "hush-hush" not in told
    assert "hush-hush" not in repr(loaded.apps) + repr(loaded.redis)


def test_a_file_that_cannot_be_read(tmp_path):
    """It is one mistake like any other."""
    for path in (tmp_path / "gone.yaml", tmp_path):
        with pytest.raises(ConfigError, match=r":1:1: cannot be read"):
            config.load(path, {})


def test_schema_names_every_key():
    """Editors get the same keys as the reader has."""
    schema = config.json_schema()
    assert set(schema["properties"]) == set(findings.keys_at(()))
    assert "timeout" in schema["$defs"]["Subscriber"]["properties"]


# Text that comes near enough to a configuration to reach every check.
WORDS = """
server admin port host tls cert key apps api_key secrets file redis url embedded ingest path ack
subscribers name kind http log match types where retry waits headers timeout a b 1s 1MiB 80 3030
gateway strict call ${X} ${X:-1} ${ yes ~ null 012 *x &x !t << [ ] { } , : - ? | > ' " # % @ \\
--- ... \x07 \x85 \ufeff \u00e9
"""
words = st.sampled_from(WORDS.replace("\n", " ").split(" "))
texts = st.lists(st.tuples(words, st.sampled_from(["", " ", ": ", "\n", "\n  ", "\n- "])))
trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), words),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


def never_fails(folder, text):
    """Load `text`, which must work or raise ConfigError with a place in every line."""
    file = folder / "any.yaml"
    file.write_bytes(text)
    try:
        config.load(file, {"X": "x"})
    except ConfigError as error:
        for line in str(error).split("\n"):
            assert re.match(re.escape(str(file)) + r":[1-9]\d*:[1-9]\d*: \S", line), line


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(st.binary(), st.text().map(str.encode), texts.map(
    lambda parts: "".join(word + space for word, space in parts).encode())))  # fmt: skip
@example(b"[" * 5000)
@example(b"a: " * 5000)
@example(b"{" * 900 + b"}" * 900)
@example(b"&a [*a]")
@example(b"!!python/object:os.system [x]")
@example(b"? ? ? a\n: b")
@example(b'"\\ud800": "\\ud800"')
@example(b"\xef\xbb\xbfapps: 1")
@example(b"apps: 1\n...\nx: [")
def test_any_text_is_loaded_or_told_wrong(tmp_path, text):
    """No text, however odd, raises anything but ConfigError."""
    never_fails(tmp_path, text)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_value_in_any_place_is_loaded_or_told_wrong(tmp_path, data):
    """With any one value of a full file replaced by any other, nothing but ConfigError is raised."""
    whole = {"": yaml.safe_load(FULL)}
    holder, at = whole, ""
    while isinstance(holder[at], dict | list) and holder[at] and data.draw(st.booleans()):
        holder = holder[at]
        at = data.draw(
            st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
        )
    holder[at] = data.draw(trees)
    never_fails(tmp_path, json.dumps(whole[""], ensure_ascii=False).encode("utf-8", "replace"))
