"""Topics as a source, through the real process: what is authentic is stored, nothing else is."""

import base64
import gzip
import io
import json

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from support.receiver import redirect, running_receiver, status
from support.running_gateway import running_gateway
from support.sns import TOPIC, certificate, running_sns
from support.webhooks import distinct_event, sample_bodies, signed_request

CREDENTIALS = "user:hidden-token-hidden-token"


@pytest.fixture
async def sns():
    async with running_sns() as sns:
        yield sns


@pytest.fixture
async def receiver():
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture
async def gateway(tmp_path, sns, receiver):
    source = {
        "name": "topic",
        "kind": "sns",
        "app": "demo-key",
        "path": "/sns",
        "topic_arns": [TOPIC],
        "endpoint": sns.origin,
    }
    more = {
        **source,
        "name": "raw",
        "path": "/raw",
        "raw_credentials": CREDENTIALS,
        "topic_arns": [TOPIC],
    }
    subscriber = {"name": "app", "kind": "http", "url": receiver.url}
    settings = {"sources": [source, more], "subscribers": [subscriber]}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        yield gateway


async def post(gateway, body, path="/sns", **headers):
    """Post as SNS does; return the status."""
    headers = {"Content-Type": "text/plain; charset=UTF-8", **headers}
    url = f"http://127.0.0.1:{gateway.port}{path}"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=body, headers=headers) as response:
            await response.read()
            return response.status


async def raw(gateway, text, path="/raw", *, topic=TOPIC, credentials=CREDENTIALS):
    headers = {"x-amz-sns-rawdelivery": "true", "x-amz-sns-topic-arn": topic}
    if credentials:
        headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    return await post(gateway, text, path, **headers)


def zipped(body):
    return base64.b64encode(gzip.compress(body)).decode()


@pytest.mark.parametrize("version", ["1", "2"])
async def test_signed_messages_become_events(gateway, sns, receiver, version):
    """Under either version, in every format, with a subject or without: stored and delivered."""
    bodies = list(sample_bodies().values())
    for n, body in enumerate(bodies):
        text = (body.decode(), base64.b64encode(body).decode(), zipped(body))[n % 3]
        subject = {"Subject": "ein Thema ü"} if n % 2 else {}
        assert await post(gateway, sns.notification(text, version=version, **subject)) == 200
    ledger = await gateway.settled()
    assert sorted(receiver.bodies) == sorted(bodies)
    assert ledger["overall"]["published"] == len(bodies)
    assert sns.certificates_served == 1


async def test_one_event_by_webhook_and_topic_is_one(gateway, sns, receiver):
    """The same body is the same event, whichever way it came first."""
    body = distinct_event(1)
    assert await post(gateway, sns.notification(zipped(body))) == 200
    assert await post(gateway, body, "/webhooks/stream", **signed_request(body)) == 200
    ledger = await gateway.settled()
    assert receiver.bodies == [body]
    assert ledger["overall"]["duplicates"] == 1


async def test_a_signed_message_that_is_no_event_is_buried(gateway, sns, receiver):
    """What is authentic is never refused."""
    assert await post(gateway, sns.notification("hello")) == 200
    ledger = await gateway.settled()
    assert ledger["overall"]["not_events"] == 1
    assert not receiver.bodies


def forged(sns, **changed):
    """A signed message of which something was changed afterwards."""
    return json.dumps({**json.loads(sns.notification("{}")), **changed}).encode()


async def test_what_is_not_authentic_is_refused(gateway, sns):
    """Whatever of a message is changed, missing or odd, it is refused, and nothing is stored."""
    other = "arn:aws:sns:eu-west-1:123456789012:other"
    elsewhere = "http://127.0.0.1:1/SimpleNotificationService-a.pem"
    for body in (
        forged(sns, Message="{ }"),
        forged(sns, MessageId="m-2"),
        forged(sns, Subject="s"),
        forged(sns, Timestamp="2027"),
        forged(sns, Type="UnsubscribeConfirmation"),
        forged(sns, SignatureVersion="1"),
        forged(sns, SignatureVersion="3"),
        forged(sns, Signature=""),
        forged(sns, Signature="*"),
        forged(sns, TopicArn=other),
        sns.notification("{}", TopicArn=other),
        forged(sns, SigningCertURL=elsewhere),
        forged(sns, SigningCertURL=f"{sns.origin}.example.com/SimpleNotificationService-a.pem"),
        forged(sns, SigningCertURL=f"{sns.origin}/other.pem"),
        forged(sns, SigningCertURL=f"{sns.certificate_url}?x"),
        forged(sns, SigningCertURL=sns.certificate_url.replace("http://", "http://u@")),
    ):
        assert await post(gateway, body) == 401, body
    for body in (b"", b"{}", b"[" * 5000, b"\xff", json.dumps("x").encode()):
        assert await post(gateway, body) == 400
    assert await post(gateway, io.BytesIO(b"x" * (3 << 20))) == 413
    assert (await gateway.ledger())["overall"]["accepted"] == 0
    assert sns.certificates_served == 1


async def test_a_certificate_that_cannot_be_had_is_no_fault_of_the_sender(gateway, sns):
    """Until it can be had the answer is 503, which SNS tries again; it is not asked for at will."""
    good = sns.pem
    body = sns.notification(base64.b64encode(distinct_event(1)).decode())
    for number, pem in enumerate(
        (
            b"no certificate",
            b"x" * 100_000,
            certificate(sns.key, days=-1),
            certificate(ec.generate_private_key(ec.SECP256R1())),
        )
    ):
        sns.pem = pem
        sns.certificate_url = f"{sns.origin}/SimpleNotificationService-{number}.pem"
        body = sns.notification("{}")
        assert [await post(gateway, body) for _ in range(3)] == [503] * 3
    assert sns.certificates_served == 4
    sns.pem = good
    sns.certificate_url = f"{sns.origin}/SimpleNotificationService-good.pem"
    assert await post(gateway, sns.notification("{}")) == 200
    sns.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert await post(gateway, sns.notification("{}")) == 401


async def test_a_subscription_is_confirmed(gateway, sns):
    """With the token that was signed, at SNS' own address, whatever address the message names."""
    assert await post(gateway, sns.subscription()) == 200
    asked = {"Action": "ConfirmSubscription", "TopicArn": TOPIC, "Token": "hush-hush"}
    assert sns.confirmed == [asked]
    assert "a subscription is confirmed" in gateway.log_text
    assert "hush-hush" not in gateway.log_text
    for body in (
        sns.subscription(TopicArn="arn:aws:sns:eu-west-1:123456789012:other"),
        sns.subscription().replace(b'"Token": "hush-hush"', b'"Token": "other"'),
    ):
        assert await post(gateway, body) == 401
    assert sns.confirmed == [asked]


@pytest.mark.parametrize("behaviour", [status(500), redirect("http://127.0.0.1:1/")])
async def test_a_confirmation_that_fails_is_asked_for_again(gateway, sns, behaviour):
    """SNS hears 503 and sends the request again, which then works."""
    sns.confirms = behaviour
    assert await post(gateway, sns.subscription()) == 503
    sns.confirms = status(200)
    assert await post(gateway, sns.subscription()) == 200


async def test_an_ended_subscription_is_told(gateway, sns):
    """It is not taken up again by itself."""
    assert await post(gateway, sns.subscription("UnsubscribeConfirmation")) == 200
    assert not sns.confirmed
    assert "a subscription has ended" in gateway.log_text


async def test_raw_messages_need_credentials(gateway, receiver):
    """They bear no signature: with the credentials they are taken, and else refused."""
    body = distinct_event(1)
    assert await raw(gateway, zipped(body), credentials=None) == 401
    assert await raw(gateway, zipped(body), credentials="user:wrong") == 401
    assert await raw(gateway, zipped(body), topic="arn:aws:sns:eu-west-1:1:other") == 401
    assert await raw(gateway, zipped(body), path="/sns") == 401  # configured without
    assert await raw(gateway, zipped(body)) == 200
    ledger = await gateway.settled()
    assert receiver.bodies == [body], ledger


async def test_the_address_of_a_topic_is_for_posts_only(gateway):
    """Other methods are refused like anywhere else."""
    url = f"http://127.0.0.1:{gateway.port}/sns"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 405
