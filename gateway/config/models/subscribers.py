"""Where events go: subscribers, what they get, and how it is tried again."""

from functools import partial
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway import options
from gateway.config import names, values
from gateway.config.models.section import Section, key, required, taken


class Retry(Section):
    becomes = options.RetryOptions
    total_s: values.Duration = key(
        "the fast lane, Stream's own table: all attempts together", called="total", example="10s"
    )
    status_attempts: values.Count = key(
        "in the fast lane after 408, 429 and 5xx", unit="attempts", example=5
    )
    network_attempts: values.Count = key(
        "in the fast lane after a network error", unit="attempts", example=3
    )
    timeout_attempts: values.Count = key(
        "in the fast lane after a time-out", unit="attempts", example=2
    )
    waits_s: Annotated[list[values.Wait], Field(min_length=1)] = key(
        "between the attempts of the fast lane", called="waits", example="[1s, 5s]"
    )
    slow_first_s: values.Duration = key(
        "the slow lane: the bound of the first wait, which doubles each time",
        called="slow_first",
        example="1m",
    )
    slow_max_s: values.Duration = key("up to this", called="slow_max", example="30m")
    slow_horizon_s: values.Duration = key(
        "after this long the event goes to the dead letters", called="slow_horizon", example="3d"
    )


class Match(Section):
    becomes = options.MatchOptions
    types: list[values.Glob] = key(
        "patterns of types, of which one must fit; none: every type", example='["call.recording_*"]'
    )
    apps: list[str] = key(
        "API keys, of which one must be the event's; none: every app", example="[your-api-key]"
    )
    where: values.Expression = key(
        "an expression in [CEL](https://cel.dev) over `event` that must hold",
        example="'has(event.call) && event.call.type == \"livestream\"'",
    )


class Backlog(Section):
    becomes = options.BacklogOptions
    max_age_s: values.Duration = key(
        "what waits longer is buried as `backlog_full`", called="max_age", example="12h"
    )
    max_bytes: values.Size = key(
        "beyond it the oldest are buried as `backlog_full`", called="max_size", example="1GiB"
    )


class Subscriber(Section):  # flat in YAML; `build` sorts out what belongs to its kind
    becomes = options.SubscriberOptions
    shared_with = (options.RetryOptions, options.HttpOptions, options.SqsOptions)
    name: values.SubscriberName = required(
        "1 to 64 letters, digits, `.`, `_`, `-`; its backlog belongs to it", example="recordings"
    )
    kind: Literal["http", "log", "sqs"] = required(
        "an HTTP service, a line on standard output for each event, or a queue; `sqs` "
        "needs `pip install 'stream-video-gateway[sqs]'`",
        example="http",
    )
    enabled: bool = key("`false`: its events wait, within its backlog's bounds", example=False)
    start: Literal["now", "earliest"] = key(
        "of a new subscriber: `now`, or `earliest` with what history still holds",
        example="earliest",
    )
    match: Match = key("what it gets: all that is given must hold")
    order: Annotated[
        options.Order, BeforeValidator(partial(names.not_yet, word="strict", use="none or call"))
    ] = key(
        "`call`: one after another within a call; `none` promises nothing. A FIFO "
        "queue needs `call`",
        example="call",
    )
    concurrency: values.Count = key(
        "attempts at once; the slow lane takes half of them at most", unit="attempts", example=100
    )
    retry: Retry = key("the two lanes")
    backlog: Backlog = key("what may wait for it")
    timeout_s: values.Duration = key("for one attempt", called="timeout", example="2s")
    url: values.HttpUrl = key("where events are posted to", example="http://127.0.0.1:9000/stream")
    headers: dict[values.HeaderName, values.HeaderValue] = key(
        "of your own, beside Stream's, which cannot be overridden",
        example='{Authorization: "${RECORDINGS_TOKEN}"}',
    )
    ca: values.Authority = key(
        "the authorities to trust in place of the system's, as a PEM file", example="tls/ca.pem"
    )
    client_cert: values.ReadableFile = key(
        "our certificate, if the subscriber asks for one", example="tls/cert.pem"
    )
    client_key: values.ReadableFile = key("its key", example="tls/key.pem")
    on_410: Literal["bury", "pause"] = key(
        "what a 410 does: the event is buried, or kept and the subscriber paused", example="pause"
    )
    max_response_bytes: values.Size = key(
        "read of an answer's body", called="max_response", example="1KiB"
    )
    allow_networks: list[values.Network] = key(
        "call only addresses in these networks; none: any but link-local and metadata",
        example="[10.0.0.0/8]",
    )
    queue_url: values.QueueUrl = key(
        "of the queue", example="https://sqs.eu-west-1.amazonaws.com/123456789012/calls.fifo"
    )
    region: values.Region = key("only where the URL does not tell it", example="eu-west-1")
    endpoint: values.Endpoint = key(
        "an origin to ask instead of the URL's", example="https://sqs.eu-west-1.amazonaws.com"
    )
    format: Literal["base64", "gzip", "raw"] = key(
        "how the body is written into a message; `raw` is for consumers that read "
        "JSON, and Stream's SDK for Node does not parse it",
        example="gzip",
    )

    def build(self) -> options.SubscriberOptions:
        given = self.given()
        if "timeout_s" in given:
            retry = self.retry.given() if "retry" in given else {}
            given["retry"] = options.RetryOptions(timeout_s=given.pop("timeout_s"), **retry)
        http, sqs = taken(given, options.HttpOptions), taken(given, options.SqsOptions)
        return options.SubscriberOptions(
            **given,
            http=options.HttpOptions(**http) if self.kind == "http" else None,
            sqs=options.SqsOptions(**sqs) if self.kind == "sqs" else None,
        )


# Keys of a subscriber that mean nothing unless it is of this kind.
ONLY_FOR = {
    "http": (
        "url",
        "headers",
        "ca",
        "client_cert",
        "client_key",
        "on_410",
        "max_response",
        "allow_networks",
    ),
    "sqs": ("queue_url", "region", "endpoint", "format"),
}
