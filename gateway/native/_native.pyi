from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.event import Event, Stored

HASHES_FAST: int

class KeyedHash:
    def __init__(self, key: bytes, /) -> None: ...
    def sign(self, message: bytes, /) -> str: ...

class Keyring:
    def add(
        self,
        api_key: bytes,
        app: str,
        app_json: bytes,
        identity: bytes,
        secrets: tuple[bytes, ...],
        /,
    ) -> None: ...
    def take(
        self,
        data: bytes,
        start: int,
        request_line: bytes,
        max_head: int,
        max_body: int,
        now_ms: int,
        /,
    ) -> tuple[int, Event] | None: ...

class Sockets:
    def read(self) -> int: ...
    def leave(self, connection: object, /) -> None: ...
    def fileno(self) -> int: ...
    def rest(self) -> None: ...
    def watch(self) -> None: ...
    def close(self) -> None: ...

class Stretch:
    start: int
    end: int
    first_number: int
    last_number: int
    first_ms: int
    last_ms: int
    def append(self, event: Event, /) -> None: ...
    def take(self) -> Stretch: ...
    def events(self) -> list[Event]: ...
    def part(self, begin: int, end: int, /) -> Stretch: ...
    def extend(self, more: Stretch, /) -> None: ...
    def move(self, delta: int, /) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Stored: ...

class Receiver:
    stored: bytes | None
    sockets: Any
    def __init__(
        self,
        ring: Keyring,
        request_line: bytes,
        max_head: int,
        max_body: int,
        events: Stretch,
        replies: list[Any],
        read_ats: list[float],
        begin: Callable[[], None],
        counts: dict[tuple[str, ...], float],
        label: tuple[str, ...],
        /,
    ) -> None: ...

def answer(replies: list[Any], stored: object, /) -> None: ...
def receive_by(connections: type, open_state: object, /) -> None: ...
def encode(
    events: Sequence[Event] | Stretch, number: int, start: int, /
) -> tuple[bytes, Stretch]: ...
def decode(buffer: bytes, offset: int, position: int, /) -> Stretch: ...
def observe(
    bounds: tuple[float, ...], counts: list[int], moments: list[float], now: float, /
) -> float: ...
def publish(
    stored: Stretch,
    shards: list[tuple[int, int, bytes, bytes]],
    journal: bytes,
    upto: int,
    lead: bytes,
    joined: bool,
    /,
) -> tuple[list[int], list[bytes]] | None: ...
def send(fd: int, data: bytes, /) -> int: ...
def relay(outlets: Mapping[Any, object], data: bytes, /) -> None: ...
def relay_by(outlets: type, /) -> None: ...
