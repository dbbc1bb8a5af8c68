"""`GET /video/connect`: where Stream's own SDKs connect, unmodified."""

import orjson
from aiohttp import web

from gateway.calls.errors import StreamError, error_body
from gateway.feed.opening import Opening
from gateway.feed.sdk.watcher import SdkParts, SdkWatcher


class SdkSockets:
    """Holds the connections of Stream's SDKs."""

    def __init__(self, parts: SdkParts, opening: Opening) -> None:
        self._parts, self._opening = parts, opening
        self.open: set[SdkWatcher] = set()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/video/connect", self._connect, allow_head=False)

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        try:
            opened = await self._opening.open(request)
        except StreamError as error:
            return self._refused(error)
        watcher = SdkWatcher(
            self._parts, opened.connection, request.query.get("api_key"), self.open
        )
        opened.connection.begin(watcher, opened.answer, opened.early)
        return opened.response

    def _refused(self, error: StreamError) -> web.StreamResponse:
        self._parts.metrics.feed_refused.add(str(error.code))
        headers = {}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(error.retry_after_s)
        response = web.Response(
            status=error.status,
            body=orjson.dumps(error_body(error.code, error.status, error.message)),
            content_type="application/json",
            headers=headers,
        )
        if error.status == 503:  # the listener counts it no longer
            response.force_close()
        return response
