"""Stream's own API, asked on a caller's behalf with the caller's own credentials.

One exchange has one deadline, from the connection to the last byte, and its answer has a bound:
a Stream that hangs or never ends costs its caller a clear error, and nobody else anything. Bodies
pass as they are, compressed or not. No redirect is followed, no cookie kept, no proxy of the
environment used, and what could do something twice is never repeated.

No text made here quotes a URL, a header or a body: they may hold the caller's token.
"""

import asyncio
import logging
import os
import ssl
from typing import NamedTuple
from urllib.parse import quote

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from gateway.api.upstream_messages import (
    ROOTS,
    answer_headers,
    passes,
    request_headers,
    without_ours,
)
from gateway.calls.errors import StreamError
from gateway.errors import ConfigError
from gateway.logs import Seldom
from gateway.lookup.connector import connector
from gateway.metrics import Metrics
from gateway.options import UpstreamOptions

_logger = logging.getLogger(__name__)
MAX_CONNECTIONS = 256  # exchanges at a time; more wait, within their own time
MAX_UNDER_WAY = 1024  # with those that wait; beyond it 503
_KEEP_ALIVE_S = 15.0  # shorter than any load balancer's: we close first
_RETRY_AFTER_S = 1
_NO_DEFAULTS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_FAILURES = (aiohttp.ClientError, OSError, ValueError)


class UpstreamAnswer(NamedTuple):
    """What Stream said, whole, with those headers that may go on to the caller."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300


class UpstreamFailed(StreamError):
    """There is no answer of Stream's to hand on: `code` is Stream's word for why, `status` HTTP's.

    4 (400) for a target that may not pass, 23 (504) for an answer that took too long, -1 where
    Stream cannot be reached (503: nothing was sent) or did not answer properly (502); these two
    belong beside a Retry-After.
    """

    def __init__(self, code: int, status: int, message: str) -> None:
        again_s = _RETRY_AFTER_S if status in {502, 503} else None
        super().__init__(code, status, message, retry_after_s=again_s)


class _TooLarge(Exception):
    pass


class Upstream:
    """Stream, and our pool of connections to it. Make it inside the running loop."""

    def __init__(self, options: UpstreamOptions, metrics: Metrics) -> None:
        """`options.url` is set. Raises ConfigError where `options.ca` cannot be used."""
        if options.url is None:
            raise ValueError("no upstream is configured")
        self._options, self._metrics, self._seldom = options, metrics, Seldom()
        self._under_way = 0
        base = URL(options.url)
        self._origin, self._prefix = str(base.origin()), base.raw_path.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=connector(
                limit=MAX_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_S, ssl=_tls_context(options)
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # an exchange has its own
            skip_auto_headers=_NO_DEFAULTS,
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Drop the connections; exchanges still under way fail."""
        await self._session.close()

    async def ask(
        self, request: web.Request, body: bytes, *, readable: bool = False
    ) -> UpstreamAnswer:
        """Ask Stream what `request` asks, with `body` for its body; return any answer it gives.

        `readable`: the answer is to come whole and without a content coding. Raises
        `UpstreamFailed`.
        """
        headers = request_headers(request.headers, readable=readable)
        return await self._asked(request.method, self._url(request), headers, body)

    async def shows(self, app: str, cid: str, token: str) -> bool:
        """Tell whether Stream shows a call to the bearer of `token`. Raises `UpstreamFailed`."""
        kind, _, name = cid.partition(":")
        path = f"{ROOTS[0]}call/{quote(kind, safe='')}/{quote(name, safe='')}"
        query = f"api_key={quote(app, safe='')}&members_limit=1"
        if not passes(path, query):
            return False
        url = URL(f"{self._origin}{self._prefix}{path}?{query}", encoded=True)
        headers = CIMultiDict({"Authorization": token, "stream-auth-type": "jwt"})
        return (await self._asked("GET", url, headers, b"")).succeeded

    async def _asked(
        self, method: str, url: URL, headers: CIMultiDict[str], body: bytes
    ) -> UpstreamAnswer:
        started = asyncio.get_running_loop().time()
        self._under_way += 1
        try:
            outcome = await self._try(method, url, headers, body)
        finally:
            self._under_way -= 1
        self._metrics.upstream_seconds.observe(asyncio.get_running_loop().time() - started)
        if isinstance(outcome, UpstreamAnswer):
            self._metrics.upstream_requests.add(f"{outcome.status // 100}xx")
            return outcome
        result, error = outcome
        self._metrics.upstream_requests.add(result)
        raise error

    def _url(self, request: web.Request) -> URL:
        path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        if not passes(path, query):
            raise UpstreamFailed(4, 400, "the path or the query cannot be passed on")
        rest = without_ours(query)
        target = f"{self._origin}{self._prefix}{path}" + (f"?{rest}" if rest else "")
        return URL(target, encoded=True)

    async def _try(
        self, method: str, url: URL, headers: CIMultiDict[str], body: bytes
    ) -> UpstreamAnswer | tuple[str, UpstreamFailed]:
        """Return the answer, or what happened instead in one word and as an error."""
        if self._under_way > MAX_UNDER_WAY:
            return "too_many", UpstreamFailed(-1, 503, "too many requests wait for Stream")
        limit_s = self._options.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._exchange(method, url, headers, body)
        except TimeoutError:
            self._complain("Stream has not answered in time", f"nothing within {limit_s:g} s")
            return "timeout", UpstreamFailed(23, 504, "Stream has not answered in time")
        except _TooLarge:
            self._complain("an answer of Stream's is too large", "more than upstream.max_response")
            return "too_large", UpstreamFailed(-1, 502, "Stream's answer is too large")
        except aiohttp.ClientConnectorError as error:
            self._complain("Stream cannot be reached", _describe(error))
            return "unreachable", UpstreamFailed(-1, 503, "Stream cannot be reached")
        except _FAILURES as error:
            self._complain("Stream has not answered properly", _describe(error))
            return "broken", UpstreamFailed(-1, 502, "Stream has not answered properly")

    async def _exchange(
        self, method: str, url: URL, headers: CIMultiDict[str], body: bytes
    ) -> UpstreamAnswer:
        async with self._session.request(
            method, url, data=body or None, headers=headers, allow_redirects=False
        ) as response:
            if response.status < 200:
                raise aiohttp.ClientPayloadError("an interim answer was the last")
            content = await self._read(response)
            return UpstreamAnswer(response.status, answer_headers(response.headers), content)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > self._options.max_response_bytes:
                response.close()
                raise _TooLarge
        return bytes(content)

    def _complain(self, what: str, reason: str) -> None:
        self._seldom.log(what, _logger, what, reason=reason)


def _tls_context(options: UpstreamOptions) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=options.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"upstream.ca cannot be used: {error}") from error


def _describe(error: Exception) -> str:
    """Say what happened in a few words. aiohttp's own texts quote the URL."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "TLS: its certificate or the handshake failed"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before an answer"
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return "the answer is not HTTP, or broke off"
    code = getattr(error, "errno", None)
    return os.strerror(code) if code else type(error).__name__
