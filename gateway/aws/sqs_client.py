"""One queue, spoken to in SQS' JSON protocol over one pool of connections.

An operation either answers, is refused (`SqsRefused`, with AWS' own code), or does not come
through (`SqsUnreachable`). Nothing is tried again here but a request whose credentials had
expired. No text made here quotes a URL, a key or a message.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-api-examples.html
"""

import asyncio
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from gateway.aws.credentials import CredentialSource
from gateway.aws.queues import Queue
from gateway.aws.signing import Signer
from gateway.errors import GatewayError
from gateway.lookup.connector import connector

_MAX_ANSWER_BYTES = 32 << 20  # ten messages of 1 MiB in JSON
_LARGE_BYTES = 1 << 20
_KEEP_ALIVE_S = 15.0
# Refusals that other credentials may heal.
_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "InvalidSecurity",
        "MissingAuthenticationToken",
        "AuthFailure",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
    }
)
_THROTTLED = (
    "Throttl",
    "RequestThrottled",
    "KmsThrottled",
    "KMS.Throttl",
    "OverLimit",
    "TooManyRequests",
    "RequestLimitExceeded",
    "SlowDown",
)


class SqsUnreachable(GatewayError):
    """No answer that is SQS'. `late`: none within the time given."""

    def __init__(self, detail: str, *, late: bool = False) -> None:
        super().__init__(detail)
        self.late = late


class SqsRefused(GatewayError):
    """SQS answered with an error; `code` is its own name for it."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"SQS answered {status} {code}")
        self.code, self.status = code, status


def is_passing(code: str, status: int) -> bool:
    """Whether a refusal is SQS' own trouble, or ours for asking too much."""
    return status >= 500 or status == 429 or code.startswith(_THROTTLED)


class SqsClient:
    """Asks for one queue. Make it inside the running loop."""

    def __init__(self, queue: Queue, *, connections: int) -> None:
        self.queue = queue
        self._host = urlsplit(queue.endpoint).netloc
        self._signer = Signer(region=queue.region, service="sqs")
        self._credentials = CredentialSource(queue.region)
        self._session = aiohttp.ClientSession(
            connector=connector(limit=connections, keepalive_timeout=_KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # each request has one
            trust_env=False,
        )

    async def ask(self, operation: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """Return the answer to `operation` on this queue within `timeout_s`.

        Raises `SqsRefused`, `SqsUnreachable` and `NoCredentials`.
        """
        body = orjson.dumps({"QueueUrl": self.queue.url, **fields})
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(operation, body)
        except TimeoutError:
            raise SqsUnreachable(f"no answer within {timeout_s:g} s", late=True) from None
        except aiohttp.ClientConnectorDNSError:
            raise SqsUnreachable("the host name cannot be resolved") from None
        except (aiohttp.ClientError, OSError) as error:
            cause = getattr(error, "strerror", None) or type(error).__name__
            raise SqsUnreachable(f"no connection: {cause}") from None

    async def close(self) -> None:
        """Drop the connections; what is still under way fails."""
        await self._session.close()

    async def _ask(self, operation: str, body: bytes) -> dict[str, Any]:
        credentials = await self._credentials.current()
        try:
            return await self._post(operation, body)
        except SqsRefused as refused:
            if refused.code not in _CREDENTIALS:
                raise
            self._credentials.distrust(credentials)
            if await self._credentials.current() == credentials:
                raise
            return await self._post(operation, body)

    async def _post(self, operation: str, body: bytes) -> dict[str, Any]:
        headers = self._signer.sign(
            await self._credentials.current(),
            headers={
                "Host": self._host,
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Target": f"AmazonSQS.{operation}",
            },
            body=body,
            now=datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        )
        # aiohttp warns about large bytes, not about a file of them.
        data = body if len(body) <= _LARGE_BYTES else BytesIO(body)
        async with self._session.post(
            f"{self.queue.endpoint}/", data=data, headers=headers, allow_redirects=False
        ) as response:
            if (response.content_length or 0) > _MAX_ANSWER_BYTES:
                raise SqsUnreachable("the answer is too large")
            return _read(response.status, await response.read())


def _read(status: int, content: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(content) if content else {}
    except orjson.JSONDecodeError:
        answer = None
    if status == 200 and isinstance(answer, dict):
        return answer
    named = answer.get("__type") if isinstance(answer, dict) else None
    if status == 200 or not isinstance(named, str):
        raise SqsUnreachable(f"an answer that is not SQS' ({status})")
    raise SqsRefused(named.rpartition("#")[2][:80], status)
