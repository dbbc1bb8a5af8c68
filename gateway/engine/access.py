"""What it takes to be let in, beside the URL: files for TLS, and what Sentinels ask for."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from gateway.options import RedisOptions

_File = tuple[Path, int] | None  # and when it was written, ns


@dataclass(frozen=True, slots=True)
class EngineAccess:
    """`ca`: whom to trust, in place of the system's authorities. `client_cert`: our own.

    `sentinel`: username and password for Sentinels.
    """

    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    sentinel: Mapping[str, str] = field(default_factory=dict, repr=False)

    def context(self) -> ssl.SSLContext:
        """Return what TLS is spoken with, made anew where a file is another. Raises `OSError`."""
        try:
            return _context(*map(_written, (self.ca, self.client_cert, self.client_key)))
        except OSError as error:
            raise ConnectionError(f"the files for TLS cannot be used: {error}") from error


def access_of(options: RedisOptions) -> EngineAccess:
    """Return what the configuration gives."""
    sentinel = {"username": options.sentinel_username, "password": options.sentinel_password}
    return EngineAccess(
        options.ca,
        options.client_cert,
        options.client_key,
        {name: text for name, text in sentinel.items() if text is not None},
    )


def _written(path: Path | None) -> _File:
    return None if path is None else (path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)  # one takes up to a megabyte and 20 ms, and connections come in crowds
def _context(ca: _File, client_cert: _File, client_key: _File) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca[0] if ca else None)
    if client_cert is not None:
        context.load_cert_chain(client_cert[0], client_key[0] if client_key else None)
    return context
