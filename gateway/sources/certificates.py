"""SNS' certificates, fetched once each and kept while they are valid.

Whoever can post decides which are asked for, within SNS' own names for them: what is kept, how
many are fetched at once and how many wait for that are all bounded, and one that could not be
had is not asked for again for a while.
"""

import asyncio
import time
from collections.abc import Callable

import aiohttp

from gateway.errors import GatewayError
from gateway.sources.sns_signature import Certificate

FETCH_S = 4.0  # SNS waits 15 s for our answer
MAX_BYTES = 64 << 10
MAX_KEPT = 16
MAX_REFUSED = 256
MAX_WAITING = 16
REFUSED_S = 30.0
_AT_ONCE = 2


class CertificateUnavailable(GatewayError):
    """It cannot be had now."""


class Certificates:
    """Fetches over `session`, which it does not own. `now_s` is Unix time."""

    def __init__(self, session: aiohttp.ClientSession, now_s: Callable[[], float]) -> None:
        self._session, self._now_s = session, now_s
        self._kept: dict[str, Certificate] = {}
        self._refused: dict[str, float] = {}  # until when, by time.monotonic()
        self._fetching = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def get(self, url: str) -> Certificate:
        """Return the certificate at `url`, which is known to be SNS' own.

        Raises `CertificateUnavailable`.
        """
        if kept := self._valid(url):
            return kept
        if self._refused.get(url, 0.0) > time.monotonic() or self._waiting >= MAX_WAITING:
            raise CertificateUnavailable("not asked for again so soon")
        self._waiting += 1
        try:
            async with self._fetching:
                return self._valid(url) or await self._fetch(url)
        finally:
            self._waiting -= 1

    def _valid(self, url: str) -> Certificate | None:
        kept = self._kept.get(url)
        return kept if kept and kept.begins_s <= self._now_s() <= kept.ends_s else None

    async def _fetch(self, url: str) -> Certificate:
        try:
            async with asyncio.timeout(FETCH_S):
                self._kept[url] = Certificate(await self._read(url))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            self._refuse(url)
            raise CertificateUnavailable(str(error) or type(error).__name__) from None
        while len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        if found := self._valid(url):
            return found
        self._refuse(url)
        raise CertificateUnavailable("it is not valid now")

    async def _read(self, url: str) -> bytes:
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"answered {response.status}")
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise ValueError("too large for a certificate")
            return bytes(content)

    def _refuse(self, url: str) -> None:
        self._refused[url] = time.monotonic() + REFUSED_S
        while len(self._refused) > MAX_REFUSED:
            del self._refused[next(iter(self._refused))]
