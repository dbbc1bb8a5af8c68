"""Registration of watches: a request names the connection that is to watch, wherever it is held.

The name tells the holder. Here, the connection is looked up and joined; elsewhere, the holder is
asked and has `_PATIENCE_S` to confirm. Either way nothing that is published after the answer is
missed, for the answer comes when the holder's tail stands and the hub knows the watcher.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

import msgspec

from gateway.calls.errors import StreamError, bad_input, no_such_connection, not_allowed
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.feed.connection_ids import holder_of
from gateway.feed.sdk.watcher import SdkParts, SdkWatcher
from gateway.store.watching.mailbox import Mailbox

_logger = logging.getLogger(__name__)
_PATIENCE_S = 2.5  # less than an SDK waits for an answer of ours: 5 s, or 3 s where it is older
_MOST_ASKED = 1000  # questions of others at work at once; beyond it they get no answer


class _Question(msgspec.Struct, array_like=True, tag="ask", gc=False):
    asker: str
    number: int
    connection_id: str
    app: str
    user_id: str
    calls: list[str]
    made_here: list[str] = []  # new fields go to the end
    asked_before_s: float | None = None


class _Answer(msgspec.Struct, array_like=True, tag="answer", gc=False):
    """`code` 0: it watches."""

    number: int
    code: int = 0
    status: int = 200
    message: str = ""


_decode = msgspec.json.Decoder(_Question | _Answer).decode
_encode = msgspec.json.encode


class _Wish(NamedTuple):
    """What `watch` is told."""

    connection_id: str
    app: str
    user_id: str
    calls: Sequence[str]
    asked_s: float | None
    made_here: Collection[str]


class Caller(Protocol):
    """Whom a request's token stands for."""

    @property
    def app(self) -> str: ...
    @property
    def user_id(self) -> str | None: ...


class Registration:
    """`run` it, so that other processes are heard."""

    def __init__(self, parts: SdkParts, mailbox: Mailbox) -> None:
        self._options, self._process = parts.options, parts.names.process
        self._connections, self._hub, self._tail = parts.connections, parts.hub, parts.tail
        self._leaving, self._mailbox = parts.leaving, mailbox
        self._number = 0
        self._asked: dict[int, asyncio.Future[_Answer]] = {}  # by us; each gives up by itself
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Hear other processes until cancelled."""
        await self._mailbox.run(self._take)

    async def watch(
        self,
        connection_id: str,
        identity: Caller,
        calls: Sequence[str],
        asked_s: float | None = None,
        made_here: Collection[str] = (),
    ) -> None:
        """Have a connection of `identity` watch `calls`, which it may.

        `asked_s`: before it was asked whether it may, monotonic. `made_here`: those of them that it
        may until Stream tells of a call of that name.
        Those that an event has shut the user out of meanwhile are left out. Raises `StreamError`
        46 unless that connection exists, is the same user's and its holder has confirmed in
        time; 4 when it would watch too many; 17 when none is left; or `EngineUnavailable`.
        """
        holder = holder_of(connection_id)
        if holder is None or identity.user_id is None:
            raise no_such_connection()
        wish = _Wish(connection_id, identity.app, identity.user_id, calls, asked_s, made_here)
        if holder == self._process:
            await self._watch_here(wish)
        else:
            await self._ask(holder, wish)

    async def _watch_here(self, wish: _Wish) -> None:
        connection_id, app, user_id, calls, asked_s, made_here = wish
        await self._tail.standing(_PATIENCE_S)
        one = self._connections.find(connection_id)  # after the wait: it may have gone meanwhile
        if not isinstance(one, SdkWatcher) or (one.app, one.user_id) != (app, user_id):
            raise no_such_connection()
        limit = self._options.max_watched_calls
        if len(one.calls.union(calls)) > limit:
            raise bad_input(f"one connection can watch {limit} calls")
        may = [
            cid
            for cid in calls
            if not self._leaving.is_out(
                app, cid, user_id, granted=cid in one.granted, asked_s=asked_s
            )
        ]
        if calls and not may:
            raise not_allowed("this user was shut out of the call")
        one.made_here.difference_update(may)
        one.made_here.update(cid for cid in may if cid in made_here)
        self._hub.relay(one, may)

    # ---- between processes

    async def _ask(self, holder: str, wish: _Wish) -> None:
        self._number += 1
        number = self._number
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        question = _Question(
            self._process,
            number,
            wish.connection_id,
            wish.app,
            wish.user_id,
            list(wish.calls),
            list(wish.made_here),
            None if wish.asked_s is None else time.monotonic() - wish.asked_s,
        )
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._mailbox.is_open.wait()  # or the answer would be missed
                await self._mailbox.send(holder, _encode(question))
                said = await answer
        except TimeoutError:
            raise no_such_connection() from None
        finally:
            del self._asked[number]
        if said.code:
            raise StreamError(said.code, said.status, said.message)

    def _take(self, message: bytes) -> None:
        try:
            said = _decode(message)
        except msgspec.MsgspecError:
            _logger.warning("a message of another process is not understood")
            return
        if isinstance(said, _Answer):
            waiting = self._asked.get(said.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(said)
        elif len(self._answering) < _MOST_ASKED:
            task = asyncio.create_task(self._answer(said), name="registration")
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, asked: _Question) -> None:
        said = _Answer(asked.number)
        try:
            await self._watch_here(_wish_of(asked))
        except StreamError as error:
            said = _Answer(asked.number, error.code, error.status, error.message)
        except EngineUnavailable:
            return  # the asker gives up by itself
        try:
            await self._mailbox.send(asked.asker, _encode(said))
        except (EngineUnavailable, EngineRefused) as error:
            _logger.warning("a watch was not confirmed: %s", error)


def _wish_of(asked: _Question) -> _Wish:
    """Return what another process was told: it has been on its way as long as it is waited for."""
    before_s, asked_s = asked.asked_before_s, None
    if before_s is not None:
        asked_s = time.monotonic() - before_s - _PATIENCE_S
    return _Wish(
        asked.connection_id, asked.app, asked.user_id, asked.calls, asked_s, asked.made_here
    )
