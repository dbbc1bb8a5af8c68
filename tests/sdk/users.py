"""Users and servers of the SDKs, connected to a gateway."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from drivers import Client, Driver
from support.running_gateway import RunningGateway

API_KEY, SECRET = "demo-key", "demo-secret"
OTHER_KEY, OTHER_SECRET = "other-key", "second-secret"


def user_token(
    user_id: str | None, *, secret: str = SECRET, lifetime_s: float = 3600, **claims: Any
) -> str:
    """A token as an application's server makes it (HS256, RFC 7519)."""
    now = int(time.time())
    payload = {"user_id": user_id, "iat": now - 5, "exp": int(time.time() + lifetime_s), **claims}
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(payload)}"
    digest = hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{_base64(digest)}"


def _part(claims: dict[str, Any]) -> str:
    return _base64(json.dumps(claims, separators=(",", ":")).encode())


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def root_url(gateway: RunningGateway) -> str:
    return f"http://127.0.0.1:{gateway.port}"


async def connected(
    driver: Driver,
    gateway: RunningGateway,
    user_id: str,
    *,
    tokens: list[str] | None = None,
    app: tuple[str, str] = (API_KEY, SECRET),
    guest: dict[str, Any] | None = None,
) -> Client:
    """A user of video-client with a token, or a provider that gives `tokens` and then the last.

    Raises `Refused`.
    """
    api_key, secret = app
    client = driver.client(f"{user_id} of {api_key}")
    await client.ask(
        "connect",
        api_key=api_key,
        base_url=f"{root_url(gateway)}/video",
        user=guest or {"id": user_id, "name": user_id.title()},
        tokens=[] if guest else tokens or [user_token(user_id, secret=secret)],
    )
    return client


async def server(driver: Driver, gateway: RunningGateway, **more: Any) -> Client:
    """An application's server, by node-sdk or getstream."""
    client = driver.client("server")
    secret = {} if "token" in more else {"secret": SECRET}
    await client.ask("connect", api_key=API_KEY, root_url=root_url(gateway), **secret, **more)
    return client
