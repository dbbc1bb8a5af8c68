"""SNS as its subscribers see it: signs what it posts, serves its certificate, takes confirmations."""

import base64
import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from support.receiver import Behaviour, Received, Receiver, running_receiver, status

TOPIC = "arn:aws:sns:eu-west-1:123456789012:stream-events"
DIGESTS = {"1": hashes.SHA1, "2": hashes.SHA256}


def certificate(key: rsa.RSAPrivateKey, *, days: int = 1) -> bytes:
    """A self-signed certificate in PEM that ends in `days`."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=10))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


class Sns:
    """One SNS; `receiver` is its own host, whose answers a test may change."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.origin = f"http://127.0.0.1:{receiver.port}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.pem = certificate(self.key)
        self.confirms = status(200)
        self.certificate_url = f"{self.origin}/SimpleNotificationService-0123abcd.pem"
        receiver.script = self._behaviour

    def _behaviour(self, request: Received) -> Behaviour:
        if request.path.endswith(".pem"):
            return status(200, body=self.pem)
        return self.confirms

    @property
    def confirmed(self) -> list[dict[str, str]]:
        """The queries of the confirmations that were asked for."""
        paths = [urlsplit(request.path) for request in self.receiver.requests]
        return [{k: v[0] for k, v in parse_qs(url.query).items()} for url in paths if url.query]

    @property
    def certificates_served(self) -> int:
        return sum(request.path.endswith(".pem") for request in self.receiver.requests)

    def signed(self, fields: dict[str, str], version: str) -> bytes:
        names = (
            ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
            if fields["Type"] == "Notification"
            else ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
        )
        text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), DIGESTS[version]())
        return json.dumps(
            {
                **fields,
                "SignatureVersion": version,
                "SigningCertURL": self.certificate_url,
                "Signature": base64.b64encode(signature).decode(),
            }
        ).encode()

    def notification(self, text: str, *, version: str = "2", **more: str) -> bytes:
        fields = {
            "Type": "Notification",
            "MessageId": "m-1",
            "TopicArn": TOPIC,
            "Message": text,
            "Timestamp": "2026-11-20T10:00:00.000Z",
            **more,
        }
        return self.signed(fields, version)

    def subscription(self, kind: str = "SubscriptionConfirmation", **more: str) -> bytes:
        fields = {
            "Type": kind,
            "MessageId": "m-1",
            "Token": "hush-hush",
            "TopicArn": TOPIC,
            "Message": "You have chosen ...",
            "Timestamp": "2026-11-20T10:00:00.000Z",
            "SubscribeURL": "http://127.0.0.1:1/elsewhere",
            **more,
        }
        return self.signed(fields, "2")


@asynccontextmanager
async def running_sns() -> AsyncIterator[Sns]:
    async with running_receiver() as receiver:
        yield Sns(receiver)
