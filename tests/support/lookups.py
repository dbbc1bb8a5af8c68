"""A name server's part in tests of the resolver: real threads ask it, and it answers when told to."""

import socket
import threading
from collections import Counter
from typing import Any

NOT_NOW = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def info(address: str, port: int = 0) -> tuple[Any, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


class Names:
    """Call it as `look`. A name in `says` is answered with its addresses or error, others hang.

    `release` ends those that hang, with what `says` has by then, or as a time-out.
    """

    def __init__(self, **says: list[str] | Exception) -> None:
        self.says = says
        self.asked: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.hanging: Counter[str] = Counter()
        self._change = threading.Condition()
        self._releases = 0

    def __call__(self, asked: Any) -> Any:
        with self._change:
            self.asked[asked.host] += 1
            if asked.host not in self.says:
                self._hang(asked.host)
            found = self.says.get(asked.host, NOT_NOW)
        if isinstance(found, Exception):
            raise found
        return [info(address) for address in found]

    def _hang(self, host: str) -> None:
        self.hanging[host] += 1
        for key, number in ((host, self.hanging[host]), ("", sum(self.hanging.values()))):
            self.most_at_once[key] = max(self.most_at_once[key], number)
        before = self._releases
        self._change.wait_for(lambda: self._releases > before)
        self.hanging[host] -= 1

    def release(self) -> None:
        with self._change:
            self._releases += 1
            self._change.notify_all()
