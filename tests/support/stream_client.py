"""What an SDK does, by hand: a socket at /video/connect, and requests with a token."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from support import jwts
from yarl import URL

KEY, SECRET = "demo-key", "demo-secret"


def token(user: str | None, secret: str = SECRET, **claims: Any) -> str:
    """A user token; a server-side one for None."""
    named = {} if user is None else {"user_id": user}
    return jwts.encode({**named, **claims}, secret, algorithm="HS256")


class Reply:
    """An answer, read whole and kept as it came."""

    def __init__(self, status: int, headers: CIMultiDictProxy[str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> int:
        """The error's code. It has all six fields, as the SDKs need."""
        content = self.json
        assert content.keys() >= {
            "code",
            "StatusCode",
            "message",
            "duration",
            "more_info",
            "details",
        }
        assert content["StatusCode"] == self.status
        return int(content["code"])


class StreamClient:
    """One user, or a server (`user` None), of a gateway at `base`."""

    def __init__(self, session: aiohttp.ClientSession, base: str, user: str | None) -> None:
        self.session, self.base, self.user = session, base, user
        self.token = token(user)
        self.connection_id = ""
        self.socket: aiohttp.ClientWebSocketResponse

    async def connect(self) -> "StreamClient":
        url = f"{self.base}/video/connect?api_key={KEY}&stream-auth-type=jwt"
        self.socket = await self.session.ws_connect(url)
        first = {"token": self.token, "products": ["video"], "user_details": {"id": self.user}}
        await self.socket.send_json(first)
        said = await self.socket.receive_json(timeout=30)
        assert said["type"] == "connection.ok", said
        self.connection_id = said["connection_id"]
        return self

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        watching: bool = False,
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> Reply:
        """`body`: bytes as they are, anything else as JSON. `watching`: with our connection."""
        names = {"api_key": KEY, **query}
        if watching:
            names["connection_id"] = self.connection_id
        credentials = {
            "Authorization": self.token,
            "stream-auth-type": "jwt",
            "Accept-Encoding": "identity",
        }
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            credentials["Content-Type"] = "application/json"
        separator = "&" if "?" in path else "?"
        pairs = "&".join(f"{name}={text}" for name, text in names.items())
        async with self.session.request(
            method,
            URL(f"{self.base}{path}{separator}{pairs}", encoded=True),
            data=BytesIO(body) if body else None,
            headers={**credentials, **(headers or {})},
            allow_redirects=False,
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def event(self, within_s: float = 30.0) -> Any:
        """The next event that is no health check."""
        async with asyncio.timeout(within_s):
            while True:
                said = await self.socket.receive_json()
                if said["type"] != "health.check":
                    return said


@contextlib.asynccontextmanager
async def stream_client(base: str, user: str | None) -> AsyncIterator[StreamClient]:
    """Answers are not decompressed: their bytes are looked at."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield StreamClient(session, base, user)
