"""The credentials, from every place where AWS' own SDKs look, in their order.

Environment, shared files (profiles, SSO, `credential_process`), web identity, the metadata of a
container and of an instance: botocore knows them all and renews what expires. It waits for files
and sockets, so it is only ever asked in a thread of our own, which nobody waits for at the end; its
answer is used for a while, and longer while it does not come back with another. What AWS refused
is forgotten, and looked up anew from the beginning: a file may have been replaced.
"""

import asyncio
import time
from functools import partial
from importlib.util import find_spec
from typing import Any

from gateway.aws.signing import Credentials
from gateway.errors import GatewayError
from gateway.lookup.threads import in_thread

_FRESH_S = 30.0  # botocore begins to renew 15 minutes before the end
_LOOK_AGAIN_S = 10.0  # after a refusal
_PATIENCE_S = 1.0  # with a renewal, while those that we have are good


class NoCredentials(GatewayError):
    """There are none, or they cannot be renewed now. The text holds no secret."""


def is_installed() -> bool:
    """Whether the packages of the extra `sqs` are here."""
    return all(find_spec(name) is not None for name in ("botocore", "cryptography"))


class CredentialSource:
    """Finds the credentials of this process. `region` is where tokens are exchanged for them."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._finder = _Finder(region)
        self._credentials: Credentials | None = None
        self._fresh_until = 0.0
        self._looked_at = -_LOOK_AGAIN_S
        self._look: asyncio.Future[Credentials] | None = None

    async def current(self) -> Credentials:
        """Return the credentials to sign with. Raises `NoCredentials`."""
        if self._credentials is not None and time.monotonic() < self._fresh_until:
            return self._credentials
        look = self._look or self._begin()  # one for all who wait; it goes on when they give up
        await asyncio.wait((look,), timeout=None if self._credentials is None else _PATIENCE_S)
        if not look.done() and self._credentials is not None:
            return self._credentials
        return await asyncio.shield(look)

    def _begin(self) -> asyncio.Future[Credentials]:
        finder = self._finder
        if finder.found is None:
            self._looked_at = time.monotonic()
        self._look = in_thread(finder.look, name="aws-credentials")
        self._look.add_done_callback(partial(self._looked, finder))
        return self._look

    def _looked(self, finder: "_Finder", look: asyncio.Future[Credentials]) -> None:
        self._look = None
        if look.exception() is None and finder is self._finder:  # none was refused meanwhile
            self._credentials = look.result()
            self._fresh_until = time.monotonic() + _FRESH_S

    def distrust(self, refused: Credentials) -> None:
        """Look again, because AWS refused these; not oftener than every few seconds."""
        now = time.monotonic()
        if refused == self._credentials and now - self._looked_at >= _LOOK_AGAIN_S:
            self._finder, self._credentials = _Finder(self._region), None


class _Finder:
    """`found`: botocore's object, which renews itself. In one thread at a time."""

    def __init__(self, region: str) -> None:
        self.found: Any = None
        self._region = region

    def look(self) -> Credentials:
        """Ask botocore; blocks."""
        try:
            if self.found is None:
                self.found = _find(self._region)
            frozen = self.found.get_frozen_credentials() if self.found else None
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
