"""Kind `http`: one POST of the body as it was signed, and what the answer means.

The status line decides. Once it is here the body can change nothing: it is read for a moment, so
that the connection can be used again and a dead letter has a snippet, and else the connection is
dropped. So a receiver that says 200 and then sends for ever has got the event, and holds a slot
for one second. Redirects are not followed, cookies not kept, the environment's proxies ignored.

No text made here quotes the URL, which may hold a token.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from io import BytesIO

import aiohttp
from yarl import URL

from gateway.errors import ConfigError
from gateway.options import MIB, HttpOptions
from gateway.subscribers.delivery import Attempt
from gateway.subscribers.egress import Egress, EgressRefused
from gateway.subscribers.headers import RequestHeaders, read_retry_after
from gateway.subscribers.outcome import Delivered, Failed, Outcome, Reason

ANSWER_BODY_S = 1.0  # how long an answer's body may take once its status is known
SNIPPET_BYTES = 512
# Below the 5 s after which Node's servers close an idle connection: we close first, and no event
# is sent into a socket that is just being closed.
KEEP_ALIVE_S = 4.0


def reason_of(status: int) -> Reason | None:
    """Return why a status is a failure; None for the 2xx that deliver."""
    if 200 <= status < 300:
        return None
    if status in {408, 429} or status >= 500:
        return Reason.STATUS
    if status in {401, 403, 404}:
        return Reason.UNAUTHORIZED
    return Reason.GONE if status == 410 else Reason.REJECTED


def tls_context(options: HttpOptions) -> ssl.SSLContext:
    """Return the TLS settings of a subscriber. Raises ConfigError for unusable files."""
    try:
        context = ssl.create_default_context(cafile=options.ca)
        if options.client_cert is not None:
            context.load_cert_chain(options.client_cert, options.client_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"TLS files of a subscriber cannot be used: {error}") from error
    return context


class HttpSubscriber:
    """One receiver and its pool of connections. Make it inside the running loop."""

    def __init__(
        self,
        options: HttpOptions,
        headers: RequestHeaders,
        *,
        concurrency: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._options, self._headers, self._now_ms = options, headers, now_ms
        self._egress = Egress(options.allow_networks)
        self._host = URL(options.url).host or ""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=concurrency,
                keepalive_timeout=KEEP_ALIVE_S,
                ssl=tls_context(options),
                socket_factory=self._egress.open_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the attempt has its own
            auto_decompress=False,
            trust_env=False,
        )

    async def attempt(self, attempt: Attempt) -> Outcome:
        """POST the event once; every failure of the outside is a Failed."""
        if not self._egress.allows_name(self._host):
            return Failed(Reason.EGRESS, detail="the host name is not allowed for subscribers")
        deadline = asyncio.get_running_loop().time() + attempt.timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._post(attempt)
        except TimeoutError:
            return Failed(Reason.TIMEOUT, detail=f"no answer within {attempt.timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _failure(error)
        return self._judge(response, await self._read(response, deadline))

    async def close(self) -> None:
        """Drop the connections; attempts still in flight fail."""
        await self._session.close()

    async def _post(self, attempt: Attempt) -> aiohttp.ClientResponse:
        # aiohttp warns about large bytes, not about a file of them.
        body = attempt.body if len(attempt.body) <= MIB else BytesIO(attempt.body)
        return await self._session.post(
            self._options.url,
            data=body,
            headers=self._headers.of(attempt),
            allow_redirects=False,
        )

    async def _read(self, response: aiohttp.ClientResponse, deadline: float) -> bytes:
        """Return the start of the body; read all of it, and keep the connection, if it is quick."""
        start, size = b"", 0
        until = min(deadline, asyncio.get_running_loop().time() + ANSWER_BODY_S)
        try:
            async with asyncio.timeout_at(until):
                while size < self._options.max_response_bytes:
                    chunk = await response.content.readany()
                    if not chunk:
                        break
                    start, size = (start + chunk)[:SNIPPET_BYTES], size + len(chunk)
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass  # the status is known, and it is the answer
        finally:
            response.close()  # drops the connection, unless the body has ended
        return start

    def _judge(self, response: aiohttp.ClientResponse, start: bytes) -> Outcome:
        reason = reason_of(response.status)
        if reason is None:
            return Delivered(response.status)
        return Failed(
            reason,
            status=response.status,
            detail=f"answered {response.status}",
            snippet=start.decode(errors="replace"),
            retry_after_s=read_retry_after(response.headers, self._now_ms()),
        )


def _failure(error: Exception) -> Failed:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, EgressRefused):
        return Failed(Reason.EGRESS, detail=str(cause.strerror))
    return Failed(Reason.NETWORK, detail=_describe(error, cause))


def _describe(error: Exception, cause: Exception) -> str:
    """Say what happened in a few words. aiohttp's own texts quote the URL."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the host name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"TLS: {getattr(error.certificate_error, 'verify_message', 'bad certificate')}"
        case aiohttp.ClientSSLError():
            return f"TLS: {getattr(cause, 'reason', None) or 'the handshake failed'}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "the answer is not HTTP"
    code = getattr(cause, "errno", None)
    return os.strerror(code) if code else type(error).__name__
