"""From the URL of one server to what a connection needs to know. Pure.

What a URL may be is judged before (`places`); here it is only taken apart. What stands in it in
%-signs is meant as what they stand for.
"""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from gateway.engine.url import DEFAULT_PORT, at


@dataclass(frozen=True, slots=True)
class Address:
    """`path`: of a socket, in place of host and port. `credentials`: the arguments of AUTH.

    Its text is where the server is, without a word of how to be let in.
    """

    host: str
    port: int
    path: str = ""
    is_tls: bool = False
    credentials: tuple[str, ...] = field(default=(), repr=False)
    database: int = 0

    def __str__(self) -> str:
        return self.path or at(self.host, self.port)


def address_of(url: str) -> Address:
    """Return the address of the server at `url`: redis://, rediss:// or unix://."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    database = parts.query.removeprefix("db=")
    if parts.scheme == "unix":
        return Address("", 0, path, credentials=_credentials(parts), database=int(database or 0))
    return Address(
        host=unquote(parts.hostname or ""),
        port=parts.port or DEFAULT_PORT["one"],
        is_tls=parts.scheme == "rediss",
        credentials=_credentials(parts),
        database=int(database or path.strip("/") or 0),
    )


def _credentials(parts: SplitResult) -> tuple[str, ...]:
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user:
        return user, password
    return (password,) if password else ()
