"""What both paths do with a webhook that is wholly read: judge and count.

An exception of ours in here is never silence and never the sender's fault: it is logged and
answered 503.
"""

import logging
from http import HTTPStatus

from gateway.clock import now_ms
from gateway.event import Event
from gateway.ingest.acceptance import Acceptance, refusal
from gateway.ingest.answers import INTERNAL, Answer
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.options import IngestOptions

logger = logging.getLogger(__name__)

_LABELS = {int(status): (str(int(status)),) for status in HTTPStatus}


class Webhooks:
    """Judges webhooks for both paths, and counts every answer."""

    def __init__(self, acceptance: Acceptance, options: IngestOptions, metrics: Metrics) -> None:
        self.options = options
        self._acceptance = acceptance
        self._metrics = metrics
        self._refusals = Seldom()

    def judge(
        self,
        *,
        body: bytes,
        api_key: bytes | None,
        signature: bytes | None,
        webhook_id: bytes | None,
        content_encoding: bytes | None,
    ) -> Event | Answer:
        """Return the event to submit, or the refusal. Header values as received. Never raises."""
        try:
            verdict = self._acceptance.judge(
                body=body,
                api_key=api_key,
                signature=signature,
                webhook_id=webhook_id,
                content_encoding=content_encoding,
                now_ms=now_ms(),
            )
        except Exception:
            logger.exception("judging a webhook failed")
            return INTERNAL
        if type(verdict) is Answer and verdict.status == HTTPStatus.UNAUTHORIZED:
            self._count_unauthorized(api_key)
        return verdict

    def refuse_forged(self, api_key: bytes | None, content_encoding: bytes | None) -> Answer:
        """Return the refusal of a webhook whose signature is known to be nobody's."""
        answer = refusal(content_encoding)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._count_unauthorized(api_key)
        return answer

    def count(self, answer: Answer) -> None:
        values = self._metrics.webhooks.values
        label = _LABELS[answer.status]
        values[label] = values.get(label, 0) + 1

    def _count_unauthorized(self, api_key: bytes | None) -> None:
        app = self._acceptance.verifier.name(api_key)  # never what the outside calls itself
        self._metrics.unauthorized.add(app)
        self._refusals.log(app, logger, "webhook refused: its signature does not verify", app=app)
