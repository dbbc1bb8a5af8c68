"""What browsers load: feed.js, and the demo page where it is on.

The demo hands a guest's token to whoever opens it, of the demo app and no other. It is off unless
the configuration turns it on.
"""

from pathlib import Path
from secrets import choice, token_hex

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.calls.allowance import Allowance
from gateway.calls.errors import StreamError
from gateway.calls.tokens import GUEST_PREFIX, Tokens
from gateway.clock import now_ms
from gateway.feed.origins import is_same

# The call that most bodies of `gateway send` are about.
DEMO_CALL = "default:consult-5ecdcf1a"
_TOKEN_S = 3600.0
_NAMES = ("Ada", "Bela", "Chidi", "Dara", "Emre", "Fatou", "Grace", "Hana", "Ines", "Jun")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_STATIC = Path(__file__).with_name("static")
_SCRIPT, _STYLE, _PAGE = "text/javascript", "text/css", "text/html"


def add_client(app: web.Application) -> None:
    """Serve feed.js, to pages of any origin: it is no secret, and brings no rights."""
    app.router.add_get("/feed.js", _file("feed.js", _SCRIPT, {"Access-Control-Allow-Origin": "*"}))


def add_demo(app: web.Application, api_key: str, tokens: Tokens, allowance: Allowance) -> None:
    """Serve the demo page, and tokens of guests of `api_key`, which has guests."""

    async def token(request: web.Request) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is not None and not is_same(origin, request.headers.get("Host")):
            raise web.HTTPForbidden
        try:
            await allowance.guest(api_key)
        except StreamError as error:
            again = {"Retry-After": str(error.retry_after_s)}
            return web.Response(status=error.status, text=error.message, headers=again)
        name = choice(_NAMES)
        user_id = f"{GUEST_PREFIX}{token_hex(8)}-{name.lower()}"
        issued = tokens.issue_guest(api_key, user_id, now_s=now_ms() / 1000, lifetime_s=_TOKEN_S)
        body = {
            "token": issued,
            "api_key": api_key,
            "user": {"id": user_id, "name": name},
            "calls": [DEMO_CALL],
        }
        return web.json_response(body, status=201, headers={"Cache-Control": "no-store"})

    app.router.add_get("/demo", _file("demo.html", _PAGE))
    app.router.add_get("/demo/demo.js", _file("demo.js", _SCRIPT))
    app.router.add_get("/demo/demo.css", _file("demo.css", _STYLE))
    app.router.add_post("/demo/token", token)


def _file(name: str, content_type: str, headers: dict[str, str] | None = None) -> Handler:
    body = (_STATIC / name).read_bytes()  # at the start: later there may be no file left to open

    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(
            body=body,
            content_type=content_type,
            charset="utf-8",
            headers={**_SAFE, **(headers or {})},
        )

    return serve
