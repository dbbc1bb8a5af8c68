"""What comes in: apps, their webhooks, queues and topics."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway import options
from gateway.config import values
from gateway.config.models.section import Section, key, required, taken


class App(Section):
    becomes = options.App
    api_key: values.ApiKey = required(
        "the app's API key, from Stream's dashboard", example="your-api-key"
    )
    secrets: list[values.Secret] = required(
        "its secret, or two while it is being rotated, the newest first",
        example='["${STREAM_SECRET}"]',
    )


class Ingest(Section):
    becomes = options.IngestOptions
    path: values.WebhookPath = key("where webhooks are posted to", example="/hooks")
    ack: values.Ack = key(
        "when the 200 is given: `journal` once the journal has the event, `redis` "
        "once Redis has it too, `{replicated: N}` once N replicas of Redis have it, "
        "which the embedded Valkey refuses: see [ack "
        "modes](acks-and-engines.md#ack-modes)",
        example="{replicated: 1}",
    )
    dedupe_window_s: values.Duration = key(
        "the same body of the same app is taken once within it",
        called="dedupe_window",
        example="10m",
    )
    max_body_bytes: values.Size = key(
        "of a body, inflated; beyond it 413", called="max_body", example="2MiB"
    )

    def given(self) -> dict[str, Any]:
        found = super().given()
        if "ack" in found:
            found["ack"], found["replicas"] = found["ack"]
        return found


class Source(Section):  # flat in YAML; `build` sorts out what belongs to its kind
    becomes = options.SourceOptions
    shared_with = (options.SqsSourceOptions, options.SnsSourceOptions)
    name: values.SubscriberName = required(
        "1 to 64 letters, digits, `.`, `_`, `-`", example="stream-queue"
    )
    kind: Literal["sqs", "sns"] = required(
        "a queue that we read, or topics that post to us", example="sqs"
    )
    app: str = required(
        "the API key of the app whose events these are: messages do not tell",
        example="your-api-key",
    )
    enabled: bool = key("`false`: nothing is taken", example=False)
    queue_url: values.QueueUrl = key(
        "of the queue", example="https://sqs.eu-west-1.amazonaws.com/123456789012/stream-events"
    )
    region: values.Region = key("only where the URL does not tell it", example="eu-west-1")
    endpoint: values.Endpoint = key(
        "`sqs`: an origin to ask instead of the URL's; `sns`: for private partitions "
        "and tests, where certificates come from and subscriptions are confirmed",
        example="https://sqs.eu-west-1.amazonaws.com",
    )
    receivers: Annotated[values.Count, Field(le=64)] = key(
        "each has up to ten messages at once; 64 at most, for each worker",
        unit="receivers",
        example=4,
    )
    wait_s: values.PollWait = key(
        "of one long poll, whole seconds up to 20s", called="wait", example="10s"
    )
    visibility_timeout_s: values.VisibilityTimeout = key(
        "whole seconds from 5s to 12h; extended for as long as an event cannot be stored",
        called="visibility_timeout",
        example="1m",
    )
    path: values.WebhookPath = key("where the topics post to", example="/webhooks/sns")
    topic_arns: Annotated[list[values.TopicArn], Field(min_length=1)] = key(
        "the topics that are believed, and whose subscriptions are confirmed",
        example='["arn:aws:sns:eu-west-1:123456789012:stream-events"]',
    )
    raw_credentials: values.RawCredentials = key(
        "`user:password` in the subscription's URL, the password of 16 characters or "
        "more: for raw message delivery, which bears no signature; without it raw messages are "
        "refused",
        example='"user:${SNS_PASSWORD}"',
    )

    def build(self) -> options.SourceOptions:
        given = self.given()
        kinds = {"sqs": options.SqsSourceOptions, "sns": options.SnsSourceOptions}
        own = kinds[self.kind](**taken(given, kinds[self.kind]))
        return options.SourceOptions(**given, **{self.kind: own})


# Keys of a source that mean nothing unless it is of this kind.
SOURCE_ONLY_FOR = {
    "sqs": ("queue_url", "region", "receivers", "wait", "visibility_timeout"),
    "sns": ("path", "topic_arns", "raw_credentials"),
}
