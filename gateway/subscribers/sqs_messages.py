"""An event as a message of SQS, and SQS' refusals as outcomes.

The body is the signed one, in base64 unless asked otherwise: that is how Stream sends it to SQS
itself, and what all of its SDKs parse. Attributes repeat what HTTP has in headers. In a FIFO
queue a call is a group and an event is sent once: what is sent again within SQS' five minutes is
dropped there.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

import gzip
import hashlib
import re
from base64 import b64encode
from typing import Any, Literal

from gateway.aws.sqs_client import is_passing
from gateway.event import Meta
from gateway.subscribers.contract import Attempt
from gateway.subscribers.headers import webhook_id
from gateway.subscribers.outcome import Failed, Reason

Format = Literal["base64", "gzip", "raw"]
MAX_MESSAGE_BYTES = 1 << 20
# What a message may hold; AWS would put U+FFFD in place of everything else.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_GROUP = re.compile(r"[!-~]{1,128}")
_GZIP_LEVEL = 6
# Refusals of this very message. Any other one is about the queue, a policy or a key, and heals
# when somebody sees to it.
_OF_THE_MESSAGE = frozenset(
    {
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "InvalidMessageContents",
        "InvalidAttributeValue",
        "BatchRequestTooLong",
        "MessageTooLong",
        "AWS.SimpleQueueService.BatchRequestTooLong",
    }
)


class Unsendable(Exception):
    """The event cannot be a message of SQS; the text says why."""


def message_body(body: bytes, body_format: Format) -> str:
    """Return `body` as the text of a message. Raises `Unsendable` where raw text cannot hold it."""
    match body_format:
        case "base64":
            return b64encode(body).decode()
        case "gzip":
            return b64encode(gzip.compress(body, _GZIP_LEVEL, mtime=0)).decode()
    text = body.decode()
    if _FORBIDDEN.search(text):
        raise Unsendable("the body has characters that SQS does not take: use format base64")
    return text


def attributes(attempt: Attempt) -> dict[str, dict[str, str]]:
    """Return the message attributes; one whose text SQS could not hold is left out."""
    meta = attempt.meta
    texts = {
        "type": meta.type,
        "call_cid": meta.call_cid or "",
        "api_key": meta.app,
        "webhook_id": webhook_id(meta),
        "late": "1" if attempt.late else "",
    }
    found = {
        name: {"DataType": "String", "StringValue": text}
        for name, text in texts.items()
        if text and not _FORBIDDEN.search(text)
    }
    found["attempt"] = {"DataType": "Number", "StringValue": str(attempt.number)}
    return found


def group_of(meta: Meta) -> str:
    """Return the message group: the call of an app, or the event itself when it has none."""
    if meta.call_cid is None:
        return meta.key
    name = f"{meta.app}/{meta.call_cid}"
    if _GROUP.fullmatch(name):
        return name
    return hashlib.sha256(f"{meta.app}\0{meta.call_cid}".encode()).hexdigest()


def entry(attempt: Attempt, body_format: Format, *, fifo: bool) -> tuple[dict[str, Any], int]:
    """Return the entry of a batch without its Id, and its size as SQS counts it.

    Raises `Unsendable`.
    """
    body, named = message_body(attempt.body, body_format), attributes(attempt)
    size = len(body) if body.isascii() else len(body.encode())
    for name, value in named.items():
        size += len(name) + len(value["DataType"]) + len(value["StringValue"].encode())
    if size > MAX_MESSAGE_BYTES:
        raise Unsendable("too large for SQS, which takes messages of up to 1 MiB")
    made: dict[str, Any] = {"MessageBody": body, "MessageAttributes": named}
    if fifo:
        made["MessageGroupId"] = group_of(attempt.meta)
        made["MessageDeduplicationId"] = attempt.meta.key
    return made, size


def failure(code: str, status: int, *, sender_fault: bool) -> Failed:
    """Return the outcome of a refusal, of a whole request or of one entry in it."""
    detail = f"SQS answered {status} {code}" if status != 200 else f"SQS refused it: {code}"
    if is_passing(code, status) or not sender_fault:
        return Failed(Reason.STATUS, status=status, detail=detail)
    rejected = code in _OF_THE_MESSAGE
    return Failed(
        Reason.REJECTED if rejected else Reason.UNAUTHORIZED, status=status, detail=detail
    )
