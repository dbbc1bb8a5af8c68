"""Kind sqs against a local SQS, and against one that refuses on script."""

import asyncio
import contextlib
import gzip
import json
from base64 import b64decode

import pytest
from attempts import BODY, DEMO, KEY, attempt
from support.eventually import eventually
from support.receiver import running_receiver, status

from gateway.options import SqsOptions, SubscriberOptions
from gateway.subscribers.kinds import build
from gateway.subscribers.outcome import Delivered, Failed, Reason
from gateway.subscribers.sqs_messages import MAX_MESSAGE_BYTES, group_of


@contextlib.asynccontextmanager
async def subscriber_to(config, *, concurrency=32, **options):
    sqs = SqsOptions(**config, **options)
    subscriber = build(
        SubscriberOptions(name="s", kind="sqs", sqs=sqs, concurrency=concurrency), (DEMO,)
    )
    try:
        yield subscriber
    finally:
        await subscriber.close()


@contextlib.asynccontextmanager
async def scripted(*script, otherwise=None, concurrency=32):
    """A subscriber to an SQS that answers what the test wants; with its requests."""
    async with running_receiver(script, otherwise=otherwise) as receiver:
        url = f"http://127.0.0.1:{receiver.port}/1/q"
        config = {"queue_url": url, "region": "eu-west-1"}
        async with subscriber_to(config, concurrency=concurrency) as subscriber:
            yield subscriber, receiver


def answer(code=200, **content):
    return status(code, body=json.dumps(content).encode())


def refusal(kind, code=400):
    return answer(code, __type=f"com.amazonaws.sqs#{kind}", message="no")


def sent(*numbers):
    return answer(Successful=[{"Id": str(number), "MessageId": "m"} for number in numbers])


def entries(request):
    return json.loads(request.body)["Entries"]


@pytest.mark.parametrize("written", ["base64", "gzip", "raw"])
async def test_the_body_arrives_as_it_was_signed(local_sqs, written):
    """Whatever the format, the bytes that were signed can be had from the message."""
    queue = local_sqs.queue()
    async with subscriber_to(queue.config, format=written) as subscriber:
        assert await subscriber.attempt(attempt()) == Delivered(200)
    (message,) = queue.receive()
    text = message["Body"]
    unpacked = {
        "raw": lambda: text.encode(),
        "base64": lambda: b64decode(text, validate=True),
        "gzip": lambda: gzip.decompress(b64decode(text, validate=True)),
    }
    assert unpacked[written]() == BODY


async def test_attributes_tell_what_headers_would(local_sqs):
    """Type, call, app, id and attempt stand beside the body; what is empty is left out."""
    queue = local_sqs.queue()
    async with subscriber_to(queue.config) as subscriber:
        await subscriber.attempt(attempt(number=3, late=True))
        await subscriber.attempt(attempt(call_cid=None, webhook_id="", type="odd\0type"))
    found = [
        {name: value["StringValue"] for name, value in m["MessageAttributes"].items()}
        for m in queue.receive()
    ]
    assert found == [
        {
            "type": "call.created",
            "call_cid": "default:x",
            "api_key": "demo-key",
            "webhook_id": "hook-1",
            "attempt": "3",
            "late": "1",
        },
        {"api_key": "demo-key", "webhook_id": KEY, "attempt": "1"},
    ]


async def test_attempts_at_the_same_time_travel_together(aws_environment):
    """25 attempts are three requests, none with more than ten entries."""
    async with scripted() as (to, receiver):
        receiver.script = lambda request: sent(*range(len(entries(request))))
        outcomes = await asyncio.gather(*(to.attempt(attempt(number=n)) for n in range(25)))
    assert outcomes == [Delivered(200)] * 25
    assert sorted(len(entries(request)) for request in receiver.requests) == [5, 10, 10]


async def test_a_batch_is_bounded_in_bytes(local_sqs):
    """Several large messages do not travel together; one beyond SQS' own bound is rejected."""
    queue = local_sqs.queue()
    async with subscriber_to(queue.config) as subscriber:
        bodies = [b'{"type":"a","n":"%d%s"}' % (n, b"x" * 100_000) for n in range(8)]
        outcomes = await asyncio.gather(*(subscriber.attempt(attempt(body=b)) for b in bodies))
        assert outcomes == [Delivered(200)] * 8
        huge = await subscriber.attempt(attempt(body=b"x" * (MAX_MESSAGE_BYTES * 3 // 4)))
    assert huge.reason is Reason.REJECTED
    assert "too large for SQS" in huge.detail
    assert {b64decode(message["Body"]) for message in queue.drain()} == set(bodies)


async def test_one_bad_entry_fails_alone(local_sqs):
    """Of a batch in which SQS refuses one message, the others are delivered."""
    queue = local_sqs.queue(MaximumMessageSize=2048)
    async with subscriber_to(queue.config) as subscriber:
        bodies = [b'{"type":"a"}', b"x" * 3000, b'{"type":"b"}']
        outcomes = await asyncio.gather(*(subscriber.attempt(attempt(body=b)) for b in bodies))
    assert outcomes[0] == outcomes[2] == Delivered(200)
    assert isinstance(outcomes[1], Failed)
    assert outcomes[1].reason is Reason.REJECTED
    assert len(queue.drain()) == 2


async def test_each_entry_has_its_own_outcome(aws_environment):
    """An entry that SQS failed by itself is tried again; the sender's fault is final."""
    failed = [
        {"Id": "1", "Code": "InternalError", "SenderFault": False},
        {"Id": "2", "Code": "InvalidMessageContents", "SenderFault": True},
        {"Id": "3", "Code": "AccessDenied", "SenderFault": True},
    ]
    async with scripted(answer(Successful=[{"Id": "0"}], Failed=failed)) as (to, _):
        outcomes = await asyncio.gather(*(to.attempt(attempt(number=n)) for n in range(5)))
    assert outcomes[0] == Delivered(200)
    reasons = [outcome.reason for outcome in outcomes[1:]]
    assert reasons == [Reason.STATUS, Reason.REJECTED, Reason.UNAUTHORIZED, Reason.STATUS]


async def test_a_refused_batch_is_sent_one_by_one(aws_environment):
    """When a request is refused as a whole, only the guilty entry is rejected."""

    def judge(request):
        guilty = any("guilty" in b64decode(e["MessageBody"]).decode() for e in entries(request))
        return refusal("InvalidParameterValue") if guilty else sent(0)

    async with scripted() as (to, receiver):
        receiver.script = judge
        bodies = [b"a", b"guilty", b"b"]
        outcomes = await asyncio.gather(*(to.attempt(attempt(body=body)) for body in bodies))
    assert [outcome == Delivered(200) for outcome in outcomes] == [True, False, True]
    assert outcomes[1].reason is Reason.REJECTED
    assert [len(entries(request)) for request in receiver.requests] == [3, 1, 1, 1]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (refusal("QueueDoesNotExist"), Reason.UNAUTHORIZED),
        (refusal("AccessDeniedException", 403), Reason.UNAUTHORIZED),
        (refusal("KmsDisabled"), Reason.UNAUTHORIZED),
        (refusal("SomethingNew"), Reason.UNAUTHORIZED),
        (refusal("RequestThrottled"), Reason.STATUS),
        (refusal("InternalError", 500), Reason.STATUS),
        (status(404, body=b"<html>"), Reason.NETWORK),
        (status(200, body=b"<html>"), Reason.NETWORK),
        (status(301, ("Location", "http://elsewhere/")), Reason.NETWORK),
        (answer(Successful=[{"Id": "9"}, {}]), Reason.STATUS),
        (answer(), Reason.STATUS),
    ],
)
async def test_what_is_no_fault_of_the_message_is_tried_again(local_sqs, behaviour, reason):
    """Policies, keys, throttling and strange answers never bury an event."""
    async with scripted(otherwise=behaviour) as (to, _):
        outcome = await to.attempt(attempt())
    assert outcome.reason is reason
    assert "127.0.0.1" not in outcome.detail


async def test_without_credentials_events_wait(aws_environment, monkeypatch):
    """No credentials: every attempt says so, and nothing is buried."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    async with scripted() as (to, receiver):
        outcome = await to.attempt(attempt())
    assert outcome.reason is Reason.UNAUTHORIZED
    assert outcome.detail == "no AWS credentials were found"
    assert not receiver.requests


async def test_an_attempt_that_gave_up_is_not_sent(aws_environment):
    """With its only sender stuck, an attempt times out and leaves nothing behind."""
    stuck = asyncio.Event()

    async def wait(request, writer):
        await stuck.wait()
        return await sent(0)(request, writer)

    async with scripted(wait, otherwise=sent(0), concurrency=1) as (to, receiver):
        first = asyncio.create_task(to.attempt(attempt(body=b"first")))
        await eventually(lambda: receiver.requests)
        second = await to.attempt(attempt(body=b"second", timeout_s=0.2))
        assert second.reason is Reason.TIMEOUT
        third = asyncio.create_task(to.attempt(attempt(body=b"third")))
        stuck.set()
        assert await first == await third == Delivered(200)
    bodies = [b64decode(e["MessageBody"]) for r in receiver.requests for e in entries(r)]
    assert bodies == [b"first", b"third"]


async def test_a_fifo_queue_has_a_group_for_each_call(local_sqs):
    """The call is the group and the event the deduplication id: a repeat is dropped by SQS."""
    queue = local_sqs.queue(fifo=True)
    async with subscriber_to(queue.config) as subscriber:
        for key, call_cid in (("a1", "default:x"), ("a1", "default:x"), ("a2", "default:y")):
            outcome = await subscriber.attempt(attempt(key=key, call_cid=call_cid))
            assert outcome == Delivered(200)
    found = {
        (m["Attributes"]["MessageGroupId"], m["Attributes"]["MessageDeduplicationId"])
        for m in queue.drain()
    }
    assert found == {("demo-key/default:x", "a1"), ("demo-key/default:y", "a2")}


def test_groups_are_calls_of_an_app():
    """No two calls share a group, whatever their names; an event of no call is alone."""
    metas = [
        attempt(**fields).meta
        for fields in (
            {"call_cid": "default:x"},
            {"call_cid": "default:x", "app": "other"},
            {"call_cid": "default:" + "x" * 200},
            {"call_cid": "default:" + "x" * 201},
            {"call_cid": "default:ä"},
            {"call_cid": None},
            {"call_cid": None, "key": "cd" * 16},
        )
    ]
    groups = [group_of(meta) for meta in metas]
    assert len(set(groups)) == len(metas)
    assert all(group.isascii() and len(group) <= 128 for group in groups)
    assert groups[0] == "demo-key/default:x"


async def test_raw_text_that_sqs_would_change_is_not_sent(local_sqs):
    """AWS replaces some characters: such a body is rejected as raw, and fine in base64."""
    queue = local_sqs.queue()
    body = '{"type":"custom","text":"\ufffe"}'.encode()
    async with subscriber_to(queue.config, format="raw") as subscriber:
        outcome = await subscriber.attempt(attempt(body=body))
    assert outcome.reason is Reason.REJECTED
    assert "use format base64" in outcome.detail
    assert queue.counts() == (0, 0)


async def test_close_ends_what_is_under_way(aws_environment):
    """Attempts in flight fail when the subscriber closes; nobody waits for ever."""

    async def never(request, writer):
        await asyncio.Event().wait()

    async with scripted(otherwise=never, concurrency=1) as (to, receiver):
        attempts = [asyncio.create_task(to.attempt(attempt())) for _ in range(12)]
        await eventually(lambda: receiver.requests)
        await to.close()
        outcomes = await asyncio.gather(*attempts)
    assert {outcome.reason for outcome in outcomes} == {Reason.NETWORK}
