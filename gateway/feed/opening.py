"""How a request becomes a WebSocket of the feed: within bounds, in its turn, taken from aiohttp.

What has to be refused here is refused as an ordinary answer, before the upgrade: a client takes
it for a failure to connect and tries again, where a refusal on the socket would be final.
"""

import asyncio
from typing import NamedTuple, Protocol, cast

from aiohttp import web

from gateway.calls.errors import bad_input
from gateway.feed.admission import Admission, too_many
from gateway.feed.connections import Connections
from gateway.feed.websocket import handshake
from gateway.feed.websocket.connection import Goodbyes, SocketConnection
from gateway.feed.websocket.handshake import NoUpgrade
from gateway.options import FeedOptions


class GivesAway(Protocol):
    """The listener's handler of a connection, as far as it is needed here."""

    def give_away(self) -> tuple[asyncio.Transport, bytes, web.StreamResponse]:
        """Return the transport, what came behind the request, and what to return for an answer."""

    def set_aside(self) -> None:
        """Count the connection no longer: its answer has no end."""

    def has_file_to_keep(self) -> bool:
        """Tell whether the connection may stay for long, as open files go."""


def handler_of(request: web.Request) -> GivesAway:
    return cast("GivesAway", request.protocol)


class Opened(NamedTuple):
    """`connection.begin` with `answer` and `early`; then return `response`."""

    connection: SocketConnection
    answer: bytes
    early: bytes
    response: web.StreamResponse


class Opening:
    def __init__(self, options: FeedOptions, connections: Connections) -> None:
        self.admission, self.goodbyes = Admission(), Goodbyes()
        self._options, self._connections = options, connections

    async def enter(self, request: web.Request) -> None:
        """Return when one more connection may be opened. Raises `StreamError` 9, status 503.

        Either way the listener counts it no longer: a crowd that waits, or is turned away, must
        not keep webhooks out. An answer that refuses closes the connection.
        """
        handler = handler_of(request)
        handler.set_aside()
        self._check_room(handler)
        await self.admission.turn()
        self._check_room(handler)

    def _check_room(self, handler: GivesAway) -> None:
        if self._connections.is_full or not handler.has_file_to_keep():
            raise too_many()

    async def open(self, request: web.Request, protocol: str | None = None) -> Opened:
        """Take a WebSocket over. `protocol`: the subprotocol chosen of those offered.

        Raises `StreamError` 4 for what is no upgrade, 9 (503) when there is no room now.
        """
        try:
            answer = handshake.accept(request.method, request.headers, protocol)
        except NoUpgrade as error:
            raise bad_input(str(error)) from error
        await self.enter(request)
        transport, early, response = handler_of(request).give_away()
        connection = SocketConnection(
            transport,
            max_message_bytes=self._options.max_message_bytes,
            outbox_bytes=self._options.outbox_bytes,
            goodbyes=self.goodbyes,
        )
        return Opened(connection, answer, early, response)
