"""Configurations for tests: pieces, one with every option, and how they are loaded."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config.yaml"


APPS = "apps: [{api_key: k, secrets: [s]}]\n"


HTTP = APPS + "subscribers:\n  - {name: a, kind: http, url: http://h/,\n"


SQS = APPS + "subscribers:\n  - {name: a, kind: sqs,\n"


SOURCE = APPS + "sources: [\n   {name: s, app: k,\n"


TOPIC = "topic_arns: ['arn:aws:sns:r-1:123456789012:t'],\n"


QUEUE = "queue_url: https://sqs.eu-west-1.amazonaws.com/1/q,\n"


FULL = """\
server:
  {host: "::1", port: 0, tls: {cert: tls/cert.pem, key: tls/key.pem}, max_connections: 7,
   max_unfinished: 3MiB, header_timeout: 1s, body_timeout: 2s, keepalive_timeout: 3m, drain: 4s, workers: 3}
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
  guests: true
  demo: true
  origins: ["https://App.example.com:8443", "https://*.Example.com", "capacitor://localhost", "*"]
  max_connections: 9
  max_connections_per_user: 8
  max_watched_calls: 7
  outbox: 6KiB
  max_message: 5KiB
  handshake_timeout: 4s
  ping_interval: 3s
  max_replay_events: 2
  user_events_per_s: 12
  user_events_burst: 13
  call_events_per_s: 14
  call_events_burst: 15
  new_calls_per_s: 16
  new_calls_burst: 17
  guests_per_s: 18
  guests_burst: 19
  user_requests_per_s: 20
  user_requests_burst: 21
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


def write(folder: Path, text: str | bytes) -> Path:
    file = folder / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def load(folder: Path, text: str | bytes, **environ: str) -> Any:
    return config.load(write(folder, text), environ)


def mistakes(folder: Path, text: str | bytes, **environ: str) -> list[tuple[int, int, str]]:
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


def only_mistake(folder: Path, text: str | bytes, **environ: str) -> tuple[int, int, str]:
    found = mistakes(folder, text, **environ)
    assert len(found) == 1, found
    return found[0]


def unset(value: Any, path: str = "") -> list[str]:
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
