"""Watching calls, and Stream's API behind it."""

from typing import Literal

from gateway import options
from gateway.config import values
from gateway.config.models.section import Section, key


class Feed(Section):
    becomes = options.FeedOptions
    enabled: bool = key(
        "`false`: `/feed`, `/video` and `/api/v2/video` are not served", example=False
    )
    access: Literal["members", "any"] = key(
        "who may watch a call and send to it: those whom its state or their token "
        "names, or every user (beside the demo: of `demo-key`)",
        example="any",
    )
    guests: bool = key("`true`: whoever has no token gets one, as a user of its own", example=True)
    demo: bool = key(
        "the page `/demo`, for `demo-key` alone, without a token; every user of that "
        "key may then watch every call",
        example=True,
    )
    origins: list[values.Origin] = key(
        "pages that may open `/feed`: `https://app.example.com`, "
        "`https://*.example.com` (every name below it), an app's own scheme "
        '(`capacitor://localhost`, `moz-extension://*`), or `"*"`',
        example='["https://app.example.com"]',
    )
    max_connections: values.Count = key(
        "watchers at once, for each worker", unit="connections", example=100000
    )
    max_connections_per_user: values.Count = key(
        "those that nobody reads any more give way", unit="connections", example=5
    )
    max_watched_calls: values.Count = key("by one connection", unit="calls", example=100)
    outbox_bytes: values.Size = key(
        "what a watcher has not taken yet; beyond it the watcher is let go",
        called="outbox",
        example="1MiB",
    )
    max_message_bytes: values.Size = key(
        "of one message from a watcher", called="max_message", example="16KiB"
    )
    handshake_timeout_s: values.Duration = key(
        "until its token has come", called="handshake_timeout", example="2s"
    )
    ping_interval_s: values.Duration = key(
        "how often a silent connection is pinged", called="ping_interval", example="10s"
    )
    max_replay_events: values.Count = key(
        "of one resume; beyond it the answer says `recovered: false`", unit="events", example=50000
    )
    user_events_per_s: values.Count = key(
        "what one user makes, over all processes on one Redis; beyond it 429",
        unit="events/s",
        example=20,
    )
    user_events_burst: values.Count = key(
        "what may come at once after a silence", unit="events", example=60
    )
    call_events_per_s: values.Count = key(
        "of one call, by all users and servers together, over all processes",
        unit="events/s",
        example=50,
    )
    call_events_burst: values.Count = key(
        "what may come at once after a silence", unit="events", example=150
    )
    new_calls_per_s: values.Count = key(
        "calls made here of one app, by all users together", unit="calls/s", example=50
    )
    new_calls_burst: values.Count = key(
        "what may come at once after a silence", unit="calls", example=150
    )
    guests_per_s: values.Count = key(
        "guests made here of one app, the demo page's included", unit="guests/s", example=50
    )
    guests_burst: values.Count = key(
        "what may come at once after a silence", unit="guests", example=150
    )
    user_requests_per_s: values.Count = key(
        "what one user asks, in each process: requests, and calls to watch",
        unit="requests/s",
        example=100,
    )
    user_requests_burst: values.Count = key(
        "what may come at once after a silence", unit="requests", example=400
    )
    calls_retention_s: values.Duration = key(
        "of a call's state, after its last event", called="calls_retention", example="7d"
    )
    max_calls: values.Count = key(
        "whose state is kept, of all apps; beyond it the longest untouched are forgotten",
        unit="calls",
        example=50000,
    )
    max_calls_bytes: values.Size = key(
        "of their states together; likewise", called="max_calls_size", example="1GiB"
    )


class Upstream(Section):
    becomes = options.UpstreamOptions
    url: values.HttpUrl = key(
        "without it the gateway answers alone: calls can be watched, but nobody gets "
        "media from JoinCall",
        example="https://video.stream-io-api.com",
    )
    timeout_s: values.Duration = key("for one of Stream's answers", called="timeout", example="10s")
    custom_events: Literal["local", "upstream"] = key(
        "who makes the event of a SendCallEvent: Stream, whose webhook then brings it, or we",
        example="local",
    )
    ca: values.Authority = key(
        "the authorities to trust in place of the system's, as a PEM file", example="tls/ca.pem"
    )
    max_response_bytes: values.Size = key(
        "of one of Stream's answers", called="max_response", example="1MiB"
    )
