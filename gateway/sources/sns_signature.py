"""What SNS posts, and how its signature is checked.

The certificate may come from SNS' own host in the topic's region and from nowhere else, so that
whoever posts can only name a certificate that AWS serves. Both versions of the signature are
RSA with PKCS #1 v1.5: 1 over SHA-1, 2 over SHA-256.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import re
from base64 import b64decode
from typing import Any

import msgspec

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,128}\.pem")


class Posted(msgspec.Struct, rename="pascal", gc=False):
    """An envelope of SNS. Nothing in it is true before its signature has been checked."""

    type: str
    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    signature_version: str
    signature: str
    certificate_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = None
    token: str = ""
    subscribe_url: str = msgspec.field(default="", name="SubscribeURL")


read_posted = msgspec.json.Decoder(Posted).decode


def origin_of(topic_arn: str) -> str:
    """Return where the region of a topic has its SNS."""
    _, partition, _, region, *_ = topic_arn.split(":")
    return f"https://sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"


def is_certificate_of(origin: str, url: str) -> bool:
    """Whether `url` is one that SNS at `origin` has its certificates at."""
    return url.startswith(origin) and _CERTIFICATE.fullmatch(url, len(origin)) is not None


def signed_text(posted: Posted) -> bytes:
    """Return what the signature is over: names and values, a line each, in order of the names."""
    lines = [("Message", posted.message), ("MessageId", posted.message_id)]
    if posted.type == NOTIFICATION:
        if posted.subject is not None:
            lines.append(("Subject", posted.subject))
        lines.append(("Timestamp", posted.timestamp))
    else:
        lines += [
            ("SubscribeURL", posted.subscribe_url),
            ("Timestamp", posted.timestamp),
            ("Token", posted.token),
        ]
    lines += [("TopicArn", posted.topic_arn), ("Type", posted.type)]
    return "".join(f"{name}\n{value}\n" for name, value in lines).encode()


class Certificate:
    """A certificate and its key. Raises ValueError for what is none, or has no RSA key."""

    def __init__(self, pem: bytes) -> None:
        # Here and below: imported only where SNS is configured.
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
        from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

        certificate = load_pem_x509_certificate(pem)
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise ValueError("not a certificate of an RSA key")  # noqa: TRY004  # like any other
        self._key: Any = key
        self.begins_s = certificate.not_valid_before_utc.timestamp()
        self.ends_s = certificate.not_valid_after_utc.timestamp()

    def signed(self, posted: Posted) -> bool:
        """Whether the key of this certificate has signed `posted`."""
        from cryptography import exceptions  # noqa: PLC0415
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415

        digests = {"1": hashes.SHA1, "2": hashes.SHA256}
        digest = digests.get(posted.signature_version)
        if digest is None:
            return False
        try:
            signature = b64decode(posted.signature, validate=True)
            self._key.verify(signature, signed_text(posted), PKCS1v15(), digest())
        except (ValueError, exceptions.InvalidSignature, exceptions.UnsupportedAlgorithm):
            return False
        return True
