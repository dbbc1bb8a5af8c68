"""A stand-in for Stream's video API: a real HTTP server on a real socket, with calls of its own.

    async with running_stream(apps={"demo-key": "demo-secret"}) as stream:
        ... stream.url, stream.requests, stream.calls

It judges credentials by itself (PyJWT), knows who may see a call, hands out media credentials on
join, and sends every custom event back as a signed webhook. Like Stream it knows nothing of our
sockets: a `connection_id` is code 46, a `watch` without one code 4; both would show that the
gateway let them through. It writes RFC 3339 times below /video, nanoseconds below /api/v2/video.
"""

import asyncio
import contextlib
import gzip
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from support import jwts

SERVER_SIDE = ""


@dataclass(frozen=True)
class Asked:
    """One request as it arrived. Header names in lower case."""

    method: str
    target: str  # path and query, as received
    headers: dict[str, str]
    body: bytes


@dataclass
class Call:
    type: str
    id: str
    created_by: str
    members: list[str]
    custom: dict[str, Any]
    created_ns: int = field(default_factory=time.time_ns)

    @property
    def cid(self) -> str:
        return f"{self.type}:{self.id}"


class Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def refused(error: Refused) -> web.Response:
    return web.json_response(
        {
            "code": error.code,
            "StatusCode": error.status,
            "message": str(error),
            "duration": "0.10ms",
            "more_info": "https://getstream.io/",
            "details": [],
        },
        status=error.status,
    )


class Stream:
    """A running stand-in."""

    def __init__(self, apps: dict[str, str]) -> None:
        self.apps = apps  # API key -> secret
        self.webhook_url: str | None = None  # where custom events go
        self.requests: list[Asked] = []
        self.webhooks: list[int] = []  # the status that each webhook was answered with
        self.calls: dict[tuple[str, str], Call] = {}
        self.url = ""
        self._sending: set[asyncio.Task[None]] = set()
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._session: aiohttp.ClientSession | None = None
        self.app = web.Application(middlewares=[self._answered])
        for root in ("/video", "/api/v2/video"):
            self._routes(root)

    def _routes(self, root: str) -> None:
        call = root + "/call/{type}/{id}"
        self.app.add_routes(
            [
                web.get(call, self._get, allow_head=True),
                web.post(call, self._get_or_create),
                web.patch(call, self._update),
                web.post(call + "/join", self._join),
                web.post(call + "/event", self._event),
                web.post(root + "/calls", self._query),
                web.post(root + "/guest", self._guest),
                web.get(root + "/edges", self._edges),
            ]
        )

    @web.middleware
    async def _answered(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): text for name, text in request.headers.items()}
        self.requests.append(Asked(request.method, request.raw_path, headers, body))
        await self._goes_on.wait()
        try:
            if "connection_id" in request.query:
                raise Refused(400, 46, "connection_id: no such connection")
            if "watch" in request.query:
                raise Refused(400, 4, "unknown parameter watch")
            response: web.StreamResponse = await handler(request)
        except Refused as error:
            response = refused(error)
        except web.HTTPException as error:
            response = refused(Refused(error.status, 16, "there is no such endpoint"))
        response.headers["X-RateLimit-Remaining"] = "59"
        response.headers["Set-Cookie"] = "AWSALB=stream; Path=/"
        response.headers["Access-Control-Allow-Origin"] = "https://of-stream.example.com"
        return response

    @contextlib.asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        """Take requests and answer none."""
        self._goes_on.clear()
        try:
            yield
        finally:
            self._goes_on.set()

    def _caller(self, request: web.Request) -> tuple[str, str]:
        """The app and the user id (or SERVER_SIDE) that the credentials stand for."""
        app = request.query.get("api_key", "")
        if app not in self.apps:
            raise Refused(401, 2, "api_key not found")
        if request.headers.get("stream-auth-type") != "jwt":
            raise Refused(401, 5, "stream-auth-type is missing")
        try:
            claims = jwts.decode(
                request.headers.get("Authorization", ""),
                self.apps[app],
                algorithms=["HS256"],
                options={"verify_iat": False},
            )
        except jwt.ExpiredSignatureError:
            raise Refused(401, 40, "token expired") from None
        except jwt.InvalidTokenError:
            raise Refused(401, 43, "signature is not valid") from None
        return app, claims.get("user_id", SERVER_SIDE)

    # Calls

    def create(self, app: str, cid: str, members: list[str]) -> Call:
        kind, _, name = cid.partition(":")
        call = Call(kind, name, members[0] if members else "", members, {})
        self.calls[app, cid] = call
        return call

    def _call(self, request: web.Request, app: str, user: str) -> Call:
        cid = f"{request.match_info['type']}:{request.match_info['id']}"
        call = self.calls.get((app, cid))
        if call is None:
            raise Refused(404, 16, f"Can't find call with id {cid}")
        if user != SERVER_SIDE and user not in call.members:
            raise Refused(403, 17, f"User '{user}' is not allowed to read call {cid}")
        return call

    def _made(
        self, request: web.Request, app: str, user: str, content: dict[str, Any]
    ) -> tuple[Call, bool]:
        cid = f"{request.match_info['type']}:{request.match_info['id']}"
        if (app, cid) in self.calls:
            return self._call(request, app, user), False
        data = content.get("data") or {}
        by = user or data.get("created_by_id", "")
        if not by:
            raise Refused(400, 4, "created_by_id is required with server side auth")
        members = [by, *(one["user_id"] for one in data.get("members", ()))]
        call = self.create(app, cid, members)
        call.custom = data.get("custom", {})
        return call, True

    def _time(self, request: web.Request, ns: int) -> Any:
        if request.path.startswith("/api/v2/"):
            return ns
        return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09d}Z"

    def _user(self, request: web.Request, user: str) -> dict[str, Any]:
        at = self._time(request, 10**18)
        return {
            "id": user,
            "name": user,
            "role": "user",
            "language": "",
            "teams": [],
            "custom": {},
            "blocked_user_ids": [],
            "created_at": at,
            "updated_at": at,
        }

    def _state(self, request: web.Request, call: Call) -> dict[str, Any]:
        at = self._time(request, call.created_ns)
        return {
            "call": {
                "type": call.type,
                "id": call.id,
                "cid": call.cid,
                "created_at": at,
                "updated_at": at,
                "current_session_id": "",
                "team": "",
                "backstage": False,
                "recording": False,
                "transcribing": False,
                "captioning": False,
                "blocked_user_ids": [],
                "created_by": self._user(request, call.created_by),
                "custom": call.custom,
                "egress": {"broadcasting": False, "rtmps": []},
                "ingress": {"rtmp": {"address": "rtmps://ingress.example.com"}},
                "settings": {
                    "screensharing": {"enabled": True},
                    "audio": {"mic_default_on": False},
                    "video": {
                        "camera_default_on": False,
                        "target_resolution": {"width": 1280, "height": 720, "bitrate": 3_000_000},
                    },
                },
            },
            "members": [
                {
                    "user_id": member,
                    "user": self._user(request, member),
                    "role": "user",
                    "custom": {},
                    "created_at": at,
                    "updated_at": at,
                }
                for member in call.members
            ],
            "own_capabilities": ["join-call", "read-call"],
        }

    # Endpoints

    async def _get(self, request: web.Request) -> web.Response:
        call = self._call(request, *self._caller(request))
        return _answer(request, {**self._state(request, call), "duration": "1.00ms"})

    async def _get_or_create(self, request: web.Request) -> web.Response:
        app, user = self._caller(request)
        call, created = self._made(request, app, user, await _content(request))
        state = self._state(request, call)
        return _answer(request, {**state, "created": created, "duration": "1.00ms"}, 201)

    async def _update(self, request: web.Request) -> web.Response:
        call = self._call(request, *self._caller(request))
        call.custom = (await _content(request)).get("custom", call.custom)
        return _answer(request, {**self._state(request, call), "duration": "1.00ms"})

    async def _join(self, request: web.Request) -> web.Response:
        app, user = self._caller(request)
        content = await _content(request)
        if content.get("create"):
            call, created = self._made(request, app, user, content)
        else:
            call, created = self._call(request, app, user), False
        media = {
            "credentials": {
                "server": {
                    "edge_name": "sfu-1",
                    "url": "https://sfu.example.com/twirp",
                    "ws_endpoint": "wss://sfu.example.com/ws",
                },
                "token": "media-token",
                "ice_servers": [],
            },
            "stats_options": {"enable_rtc_stats": False, "reporting_interval_ms": 10_000},
        }
        state = self._state(request, call)
        return _answer(request, {**state, **media, "created": created, "duration": "1.0ms"}, 201)

    async def _query(self, request: web.Request) -> web.Response:
        app, user = self._caller(request)
        content = await _content(request)
        if "watch" in content:
            raise Refused(400, 4, "watch needs a connection_id")
        wanted = content.get("filter_conditions", {}).get("cid", {}).get("$in")
        found = [
            self._state(request, call)
            for (of, cid), call in self.calls.items()
            if of == app
            and (wanted is None or cid in wanted)
            and (user == SERVER_SIDE or user in call.members)
        ]
        return _answer(request, {"calls": found, "duration": "1.00ms"}, 201)

    async def _guest(self, request: web.Request) -> web.Response:
        app = request.query.get("api_key", "")
        if app not in self.apps:
            raise Refused(401, 2, "api_key not found")
        asked = (await _content(request))["user"]
        user = {**self._user(request, f"guest-{uuid.uuid4()}-{asked['id']}"), "role": "guest"}
        token = jwts.encode({"user_id": user["id"]}, self.apps[app], algorithm="HS256")
        content = {"user": user, "access_token": token, "duration": "1.00ms"}
        return _answer(request, content, 201)

    async def _edges(self, request: web.Request) -> web.Response:
        self._caller(request)
        return _answer(request, {"edges": [], "duration": "1.00ms"})

    async def _event(self, request: web.Request) -> web.Response:
        app, user = self._caller(request)
        call = self._call(request, app, user)
        content = await _content(request)
        sender = user or content.get("user_id") or content["user"]["id"]
        event = {
            "type": "custom",
            "created_at": self._time(request, time.time_ns()),
            "call_cid": call.cid,
            "custom": content.get("custom", {}),
            "user": self._user(request, sender),
        }
        if self.webhook_url is not None:
            task = asyncio.create_task(self._send(app, event))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return _answer(request, {"duration": "1.00ms"}, 201)

    async def _send(self, app: str, event: dict[str, Any]) -> None:
        body = json.dumps(event, separators=(",", ":")).encode()
        signature = hmac.new(self.apps[app].encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-WEBHOOK-ID": str(uuid.uuid4()),
            "X-WEBHOOK-ATTEMPT": "1",
            "X-API-KEY": app,
            "X-SIGNATURE": signature,
        }
        assert self._session is not None
        assert self.webhook_url is not None
        async with self._session.post(self.webhook_url, data=body, headers=headers) as response:
            self.webhooks.append(response.status)

    async def quiet(self) -> None:
        """Return once every webhook that is on its way has been answered."""
        await asyncio.gather(*self._sending)

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(
            self.app, access_log=None, auto_decompress=False, shutdown_timeout=1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()


async def _content(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    try:
        content: dict[str, Any] = json.loads(body) if body else {}
    except ValueError:
        raise Refused(400, 4, "the body is not JSON") from None
    return content


def _answer(request: web.Request, content: dict[str, Any], status: int = 200) -> web.Response:
    """Compressed where the caller takes it, as Stream does."""
    body = json.dumps(content, separators=(",", ":")).encode()
    headers = {"Content-Type": "application/json"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        body = gzip.compress(body, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, status=status, headers=headers)


@contextlib.asynccontextmanager
async def running_stream(apps: dict[str, str]) -> AsyncIterator[Stream]:
    """Run a stand-in on loopback. Set its `webhook_url` once the gateway listens."""
    stream = Stream(apps)
    await stream._start()
    try:
        yield stream
    finally:
        await stream._stop()
