"""All sources that are configured: built, run, drained and closed together."""

import asyncio

from aiohttp import web

from gateway.aws.queues import queue
from gateway.aws.sqs_client import SqsClient
from gateway.ingest.intake import Intake
from gateway.ingest.signature import Verifier
from gateway.metrics import Metrics
from gateway.options import Config, SourceOptions
from gateway.sources.origin import Origin
from gateway.sources.sns import SnsSource
from gateway.sources.sqs import SqsSource
from gateway.sources.sqs_queue import SourceQueue


class Sources:
    """Make it inside the running loop, before the listener whose `routes` it adds to starts."""

    def __init__(
        self, config: Config, *, intake: Intake, metrics: Metrics, routes: web.Application
    ) -> None:
        self._config, self._intake, self._metrics = config, intake, metrics
        self._verifier = Verifier(config.apps)
        self._apps = {app.api_key: app for app in config.apps}
        self._queues = [self._queue(one) for one in config.sources if one.enabled and one.sqs]
        self._topics: list[SnsSource] = []
        for one in config.sources:
            if one.enabled and one.sns:
                topics = SnsSource(one.sns, self._origin(one), intake, metrics)
                routes.router.add_post(one.sns.path, topics.handle)
                self._topics.append(topics)

    def _queue(self, options: SourceOptions) -> SqsSource:
        sqs = options.sqs
        assert sqs is not None, "only sources of kind sqs come here"
        # Each receiver polls, deletes and extends at the same time, at most.
        client = SqsClient(
            queue(sqs.queue_url, sqs.region, sqs.endpoint), connections=3 * sqs.receivers
        )
        asked = SourceQueue(options.name, sqs, client, self._metrics)
        return SqsSource(sqs, self._origin(options), asked, self._intake, self._metrics)

    def _origin(self, options: SourceOptions) -> Origin:
        max_bytes = self._config.ingest.max_body_bytes
        return Origin(options.name, self._apps[options.app], self._verifier, max_bytes)

    async def run(self) -> None:
        """Take what comes until cancelled, also when there is nothing to take from."""
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            for one in self._queues:
                group.create_task(one.run())

    async def drain(self, timeout_s: float) -> None:
        """Take nothing more from queues; let what was taken become safe and be deleted."""
        await asyncio.gather(*(one.drain(timeout_s) for one in self._queues))

    async def close(self) -> None:
        """Drop the connections."""
        await asyncio.gather(*(one.close() for one in self._queues))
        await asyncio.gather(*(one.close() for one in self._topics))
