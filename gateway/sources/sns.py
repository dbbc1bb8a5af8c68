"""Topics as a source: what SNS posts, verified, and its subscriptions confirmed.

A message must be signed by SNS and of a topic that the configuration names; then it is treated as
a webhook: stored, and answered 200. Our own troubles are answered 503, which SNS tries again; what
is not authentic is answered 401, which it does not. A subscription is confirmed for named topics
only, at an address made from the topic and not at one that was sent.

Raw messages bear no signature. They are taken with the user and password that stand in the
subscription's URL, and refused where none are configured.

https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html
"""

import asyncio
import logging
from base64 import b64encode
from hmac import compare_digest

import msgspec
from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.web_protocol import RequestPayloadError

from gateway.clock import now_ms
from gateway.ingest.aiohttp_connection import AnswerResponse, has_signed
from gateway.ingest.answers import (
    INTERNAL,
    REQUEST_TIMEOUT,
    STORED,
    TOO_LARGE,
    UNAUTHORIZED,
    UNAVAILABLE,
    Answer,
)
from gateway.ingest.intake import AwaitedReply, Intake
from gateway.logs import Seldom, log
from gateway.metrics import Metrics
from gateway.options import MIB, SnsSourceOptions
from gateway.sources.certificates import CertificateUnavailable
from gateway.sources.decode import event_of
from gateway.sources.origin import Origin
from gateway.sources.sns_service import SnsService
from gateway.sources.sns_signature import NOTIFICATION, SUBSCRIPTION, Posted, read_posted

_logger = logging.getLogger(__name__)
MAX_BYTES = 2 * MIB  # SNS sends up to 256 KiB, which JSON in JSON may double, and more
READ_S = 10.0

NOT_SNS = Answer(400, "not_sns", "this is no message of SNS")
# SNS sends credentials only to whom has asked for them.
WANTS_CREDENTIALS = Answer(
    401,
    "unauthorized",
    "raw messages need credentials",
    (("WWW-Authenticate", 'Basic realm="sns"'),),
)


class SnsSource:
    """Topics of one app, at one path. Make it inside the running loop; `handle` is the route."""

    def __init__(
        self, options: SnsSourceOptions, origin: Origin, intake: Intake, metrics: Metrics
    ) -> None:
        self._options, self._origin, self._intake = options, origin, intake
        self._topics = frozenset(options.topic_arns)
        encoded = b64encode(options.raw_credentials.encode())
        self._raw_authorization = b"Basic " + encoded if options.raw_credentials else None
        self._counts, self._errors = metrics.source_messages, metrics.source_errors
        self._sns = SnsService(options.endpoint)
        self._seldom = Seldom()

    async def close(self) -> None:
        await self._sns.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        answer = await self._answer(request)
        if answer is STORED:
            has_signed(request)
        return AnswerResponse(answer)

    async def _answer(self, request: web.Request) -> Answer:
        body = await _read(request)
        if isinstance(body, Answer):
            return body
        self._counts.add(self._origin.name, "received")
        if request.headers.get("x-amz-sns-rawdelivery", "").lower() == "true":
            return await self._take_raw(request, body)
        try:
            posted = read_posted(body)
        except (msgspec.MsgspecError, RecursionError):
            return self._refuse("no message of SNS", "envelope", NOT_SNS)
        refusal = await self._verify(posted)
        return refusal or await self._take(posted)

    async def _verify(self, posted: Posted) -> Answer | None:
        """Return None for a message that SNS signed, of a topic that is named."""
        if posted.topic_arn not in self._topics:
            return self._refuse("of a topic that is not configured", "topic")
        try:
            is_signed = await self._sns.has_signed(posted)
        except CertificateUnavailable as why:
            return self._refuse(f"its certificate: {why}", "certificate", UNAVAILABLE)
        return None if is_signed else self._refuse("its signature does not verify", "signature")

    async def _take(self, posted: Posted) -> Answer:
        if posted.type == NOTIFICATION:
            return await self._store(posted.message)
        if posted.type == SUBSCRIPTION:
            return await self._confirm(posted)
        log(
            _logger,
            logging.WARNING,
            "SNS: a subscription has ended",
            source=self._origin.name,
            topic=posted.topic_arn,
        )
        return STORED

    async def _take_raw(self, request: web.Request, body: bytes) -> Answer:
        if self._raw_authorization is None:
            return self._refuse("raw delivery, and raw_credentials are not configured", "raw")
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not compare_digest(given, self._raw_authorization):
            # The first request of SNS never has them.
            self._errors.add(self._origin.name, "raw")
            return WANTS_CREDENTIALS
        if request.headers.get("x-amz-sns-topic-arn") not in self._topics:
            return self._refuse("of a topic that is not configured", "topic")
        return await self._store(body.decode(errors="replace"))

    async def _store(self, text: str) -> Answer:
        """Hand an event in as a webhook is; what is none is stored too, and buried."""
        origin = self._origin
        try:
            event = event_of(
                text,
                origin.app,
                origin.verifier,
                max_bytes=origin.max_bytes,
                source=f"sns:{origin.name}",
                now_ms=now_ms(),
            )
        except Exception:
            _logger.exception("judging a message failed")
            self._errors.add(origin.name, "judge")
            return INTERNAL
        waiting = AwaitedReply()
        self._intake.submit(event, waiting)
        answer = await waiting.answered
        if answer is not STORED:
            self._errors.add(origin.name, "store")
        elif event.unfit:
            self._counts.add(origin.name, "not_an_event")
        return answer

    async def _confirm(self, posted: Posted) -> Answer:
        """Confirm a subscription; until that has worked SNS sends the request again."""
        status = await self._sns.confirm(posted)
        if status != 200:
            return self._refuse(f"not confirmed: SNS answered {status}", "confirm", UNAVAILABLE)
        self._counts.add(self._origin.name, "confirmed")
        log(
            _logger,
            logging.INFO,
            "SNS: a subscription is confirmed",
            source=self._origin.name,
            topic=posted.topic_arn,
        )
        return STORED

    def _refuse(self, why: str, call: str, answer: Answer = UNAUTHORIZED) -> Answer:
        self._errors.add(self._origin.name, call)
        self._seldom.log(
            call, _logger, "SNS: refused a message", source=self._origin.name, reason=why
        )
        return answer


async def _read(request: web.Request) -> bytes | Answer:
    """Return the whole body, or why it is refused."""
    if (request.content_length or 0) > MAX_BYTES:
        return TOO_LARGE
    body = bytearray()
    try:
        async with asyncio.timeout(READ_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    return TOO_LARGE
    except TimeoutError:
        return REQUEST_TIMEOUT
    except (RequestPayloadError, ClientPayloadError):
        return NOT_SNS
    return bytes(body)
