"""The kinds of single values in the configuration: how each is checked, and what a schema says.

What YAML had goes through the functions of `measures`, `names`, `addresses` and `files`.
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway.config import addresses, files, measures, names

_AS_TEXT = {"type": "string"}
Wait = Annotated[float, BeforeValidator(measures.duration), WithJsonSchema(_AS_TEXT)]
Duration = Annotated[Wait, AfterValidator(measures.positive)]
Lease = Annotated[float, BeforeValidator(measures.lease), WithJsonSchema(_AS_TEXT)]
Size = Annotated[
    int, BeforeValidator(measures.size), AfterValidator(measures.positive), WithJsonSchema(_AS_TEXT)
]
Ack = Annotated[
    tuple[str, int],
    BeforeValidator(names.ack),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["journal", "redis"]},
                {
                    "type": "object",
                    "properties": {"replicated": {"type": "integer", "minimum": 1}},
                    "required": ["replicated"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Count = Annotated[int, Field(ge=1)]
Workers = Annotated[
    int,
    BeforeValidator(measures.workers),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "auto"},
                {"type": "integer", "minimum": 1, "maximum": measures.MAX_WORKERS},
            ]
        }
    ),
]
Port = Annotated[int, Field(ge=0, le=65535)]
PublicPort = Annotated[Port, AfterValidator(addresses.public_port)]
Host = Annotated[str, AfterValidator(addresses.host)]
WebhookPath = Annotated[str, AfterValidator(addresses.webhook_path)]
SubscriberName = Annotated[str, AfterValidator(names.subscriber_name)]
ApiKey = Annotated[str, AfterValidator(names.api_key)]
HttpUrl = Annotated[str, AfterValidator(addresses.http_url)]
Origin = Annotated[str, AfterValidator(addresses.origin)]
QueueUrl = Annotated[str, AfterValidator(addresses.queue_url)]
Endpoint = Annotated[str, AfterValidator(addresses.endpoint)]
Region = Annotated[str, AfterValidator(addresses.region)]
PollWait = Annotated[int, BeforeValidator(measures.poll_wait), WithJsonSchema(_AS_TEXT)]
VisibilityTimeout = Annotated[
    int, BeforeValidator(measures.visibility_timeout), WithJsonSchema(_AS_TEXT)
]
TopicArn = Annotated[str, AfterValidator(addresses.topic_arn)]
Text = Annotated[str, AfterValidator(names.text)]
RedisUrl = Annotated[str, AfterValidator(addresses.redis_url)]
Glob = Annotated[str, AfterValidator(names.glob)]
Expression = Annotated[str, AfterValidator(names.expression)]
Network = Annotated[str, AfterValidator(addresses.network)]
HeaderName = Annotated[str, AfterValidator(names.header_name)]
HeaderValue = Annotated[str, AfterValidator(names.header_value)]
AnyPath = Annotated[Path, BeforeValidator(files.path), WithJsonSchema(_AS_TEXT)]
ReadableFile = Annotated[Path, BeforeValidator(files.readable_file), WithJsonSchema(_AS_TEXT)]
Authority = Annotated[Path, BeforeValidator(files.authority), WithJsonSchema(_AS_TEXT)]
Secret = Annotated[str, BeforeValidator(files.secret)]
RawCredentials = Annotated[Secret, AfterValidator(files.raw_credentials)]
