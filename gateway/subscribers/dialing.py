"""Connecting to a receiver: its name is looked up, the egress rule is asked at the socket, TLS.

A lookup is kept for a short while, because a receiver that closes after every answer would
otherwise cost one per event. Addresses take turns, and each is judged anew when it is used.
Proxies of the environment play no part.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from aiohappyeyeballs import AddrInfoType, start_connection
from yarl import URL

from gateway.errors import ConfigError
from gateway.lookup.resolver import resolver
from gateway.options import HttpOptions
from gateway.subscribers.egress import Egress, EgressRefused
from gateway.subscribers.outcome import Failed, Reason

_LOOKUP_KEPT_S = 10.0
_NEXT_FAMILY_AFTER_S = 0.25  # RFC 8305
_TLS_SHUTDOWN_S = 1.0
P = TypeVar("P", bound=asyncio.Protocol)


def tls_context(options: HttpOptions) -> ssl.SSLContext:
    """Return the TLS settings of a subscriber. Raises ConfigError for unusable files."""
    try:
        context = ssl.create_default_context(cafile=options.ca)
        if options.client_cert is not None:
            context.load_cert_chain(options.client_cert, options.client_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"TLS files of a subscriber cannot be used: {error}") from error
    return context


class Dialer:
    """Opens connections to the receiver of one subscriber."""

    def __init__(self, options: HttpOptions, egress: Egress) -> None:
        url = URL(options.url)
        self._host, self._port = url.raw_host or "", url.port or 0
        self._egress = egress
        self._tls = tls_context(options) if url.scheme == "https" else None
        self._turn = 0

    async def connect(self, protocol: Callable[[], P]) -> P:
        """Return a connected protocol. Raises OSError and ssl.SSLError; see `failure_of`."""
        loop = asyncio.get_running_loop()
        addresses = await self._resolve()
        opened = await start_connection(
            addresses,
            loop=loop,
            happy_eyeballs_delay=_NEXT_FAMILY_AFTER_S,
            interleave=1,
            socket_factory=self._egress.open_socket,
        )
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                _, made = await loop.create_connection(protocol, sock=opened)
            else:
                _, made = await loop.create_connection(
                    protocol,
                    sock=opened,
                    ssl=self._tls,
                    server_hostname=self._host.rstrip("."),
                    ssl_shutdown_timeout=_TLS_SHUTDOWN_S,
                )
        except BaseException:
            opened.close()
            raise
        return made

    async def _resolve(self) -> list[AddrInfoType]:
        found = await resolver().addresses(
            self._host, self._port, flags=socket.AI_ADDRCONFIG, max_age_s=_LOOKUP_KEPT_S
        )
        first = self._turn % len(found)
        self._turn += 1
        return [*found[first:], *found[:first]]


def failure_of(error: Exception) -> Failed:
    """Say in a few words what broke. No word of the URL, which may hold a token."""
    if isinstance(error, EgressRefused):
        return Failed(Reason.EGRESS, detail=str(error.strerror))
    return Failed(Reason.NETWORK, detail=_describe(error))


def _describe(error: Exception) -> str:
    match error:
        case socket.gaierror() | UnicodeError():
            return "the host name cannot be resolved"
        case ssl.SSLCertVerificationError():
            return f"TLS: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {error.reason or 'the handshake failed'}"
        case OSError(errno=int(code)):
            return os.strerror(code)
    return type(error).__name__
