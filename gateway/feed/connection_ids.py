"""Names of connections: each tells which process holds it, and cannot be guessed."""

from secrets import token_hex

_PROCESS_CHARS, _OWN_BYTES = 16, 16


class ConnectionIds:
    """`process`: the name of this process, new at every start: what is held dies with it."""

    def __init__(self) -> None:
        self.process = token_hex(_PROCESS_CHARS // 2)

    def new(self) -> str:
        return f"{self.process}-{token_hex(_OWN_BYTES)}"


def holder_of(connection_id: str) -> str | None:
    """Return the process that a connection's name tells; None for what is no such name."""
    process, mark, own = connection_id.partition("-")
    if not mark or len(process) != _PROCESS_CHARS or len(own) != 2 * _OWN_BYTES:
        return None
    return process if set(process) <= set("0123456789abcdef") else None
