"""What is asked of SNS itself: its certificates, and to begin sending.

Both are asked at SNS' own address in the topic's region, or at the one that is configured for
private partitions; never at an address that a message brings.
"""

import asyncio
import time

import aiohttp
from yarl import URL

from gateway.lookup.connector import connector
from gateway.sources.certificates import Certificates
from gateway.sources.sns_signature import Posted, is_certificate_of, origin_of

CONFIRM_S = 8.0  # SNS waits 15 s for our answer


class SnsService:
    """SNS as a service. Make it inside the running loop."""

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint
        self._session = aiohttp.ClientSession(
            connector=connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # each request has one
            trust_env=False,
        )
        self._certificates = Certificates(self._session, time.time)

    async def close(self) -> None:
        await self._session.close()

    async def has_signed(self, posted: Posted) -> bool:
        """Whether SNS has signed a message of a topic that we know.

        Raises `CertificateUnavailable` when that cannot be told now.
        """
        if not is_certificate_of(self._origin(posted), posted.certificate_url):
            return False
        certificate = await self._certificates.get(posted.certificate_url)
        return certificate.signed(posted)

    async def confirm(self, posted: Posted) -> int:
        """Confirm the subscription that a signed message asks for.

        Returns the status of SNS' answer, 0 if there was none.
        """
        query = {
            "Action": "ConfirmSubscription",
            "TopicArn": posted.topic_arn,
            "Token": posted.token,
        }
        url = URL(f"{self._origin(posted)}/").with_query(query)
        try:
            async with (
                asyncio.timeout(CONFIRM_S),
                self._session.get(url, allow_redirects=False) as response,
            ):
                return response.status
        except (TimeoutError, aiohttp.ClientError, OSError):
            return 0

    def _origin(self, posted: Posted) -> str:
        return self._endpoint or origin_of(posted.topic_arn)
