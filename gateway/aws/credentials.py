"""The credentials, from every place where AWS' own SDKs look, in their order.

Environment, shared files (profiles, SSO, `credential_process`), web identity, the metadata of a
container and of an instance: botocore knows them all and renews what expires. It waits for files
and sockets, so it is only ever asked in a thread, and its answer is used for a while. What AWS
refused is forgotten, and looked up anew from the beginning: a file may have been replaced.
"""

import asyncio
import time
from importlib.util import find_spec
from typing import Any

from gateway.aws.signing import Credentials
from gateway.errors import GatewayError

_FRESH_S = 30.0  # botocore begins to renew 15 minutes before the end
_LOOK_AGAIN_S = 10.0  # after a refusal


class NoCredentials(GatewayError):
    """There are none, or they cannot be renewed now. The text holds no secret."""


def is_installed() -> bool:
    """Whether the packages of the extra `sqs` are here."""
    return all(find_spec(name) is not None for name in ("botocore", "cryptography"))


class CredentialSource:
    """Finds the credentials of this process. `region` is where tokens are exchanged for them."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._found: Any = None  # botocore's object, which renews itself
        self._credentials: Credentials | None = None
        self._fresh_until = 0.0
        self._looked_at = -_LOOK_AGAIN_S
        self._lock = asyncio.Lock()

    async def current(self) -> Credentials:
        """Return the credentials to sign with. Raises `NoCredentials`."""
        if self._credentials is not None and time.monotonic() < self._fresh_until:
            return self._credentials
        async with self._lock:
            if self._credentials is None or time.monotonic() >= self._fresh_until:
                self._credentials = await asyncio.to_thread(self._look)
                self._fresh_until = time.monotonic() + _FRESH_S
            return self._credentials

    def distrust(self, refused: Credentials) -> None:
        """Look again, because AWS refused these; not oftener than every few seconds."""
        now = time.monotonic()
        if refused == self._credentials and now - self._looked_at >= _LOOK_AGAIN_S:
            self._found = self._credentials = None

    def _look(self) -> Credentials:
        """Ask botocore; blocks."""
        try:
            if self._found is None:
                self._looked_at = time.monotonic()
                self._found = _find(self._region)
            frozen = self._found.get_frozen_credentials() if self._found else None
        except Exception as error:  # whatever provider it was; its text may quote a file
            raise NoCredentials(f"AWS credentials cannot be had: {type(error).__name__}") from None
        if frozen is None or not frozen.access_key:
            raise NoCredentials("no AWS credentials were found")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")


def _find(region: str) -> Any:
    import botocore.session  # noqa: PLC0415  # only where AWS is configured: it takes half a second

    session = botocore.session.get_session()
    session.set_config_variable("region", region)
    return session.get_credentials()
