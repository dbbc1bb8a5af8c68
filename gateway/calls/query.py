"""QueryCalls: which calls fit a filter, in order, a page at a time.

Only calls that the caller may see are found. What has to be looked at is narrowed first: to the
calls that the filter names, that name the caller, or that name a member asked for; else all calls
of the app are looked at, `MAX_LOOKED_AT` at most, and who wants more is told so.

Whoever has a token may ask, on the loop that takes webhooks. So all questions
together take half of the loop's time at most, each `MAX_BUSY_S` in all, and those that look at
calls which they do not name take turns.
"""

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, NamedTuple

import msgspec
import orjson

from gateway.calls.access import Access
from gateway.calls.errors import bad_input
from gateway.calls.filters import MEMBERS, Filter, read_filter
from gateway.calls.query_turns import LoopShare, QueryTurns
from gateway.calls.sorting import (
    Place,
    Sort,
    comes_before,
    place_of,
    read_next,
    read_sorts,
    write_next,
)
from gateway.calls.tokens import Identity
from gateway.store import keys
from gateway.store.states.call_documents import User
from gateway.store.states.call_store import CallStore

DEFAULT_LIMIT, MAX_LIMIT = 25, 100
MAX_LOOKED_AT = 10_000
MAX_BUSY_S = 2.0
_AT_ONCE = 100  # calls that are read at a time


class CallQueryBody(msgspec.Struct, gc=False):
    """The body of QueryCalls."""

    filter_conditions: Any = None
    sort: Any = None
    limit: int | None = None
    next: str | None = None
    prev: str | None = None
    watch: bool = False


class CallPage(NamedTuple):
    """`next`: where the next page begins; None: there is none.

    `made_here`: those that their reader may see only because they were made here.
    """

    cids: list[str]
    next: str | None
    made_here: set[str]


_decode = msgspec.json.Decoder(CallQueryBody).decode


def read_asked(body: bytes) -> CallQueryBody:
    """Return what `body` asks for. Raises `StreamError` 4."""
    try:
        return _decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_input(f"the body cannot be read: {str(error)[:200]}") from None


class CallQuestion(NamedTuple):
    """A request, read. `after`: the place behind which the page begins."""

    filter: Filter
    sorts: tuple[Sort, ...]
    after: Place | None
    limit: int


def read_question(asked: CallQueryBody) -> CallQuestion:
    """Return what is to be found. Raises `StreamError` 4."""
    if asked.prev:
        raise bad_input("pages go forward only: ask with `next`")
    if asked.limit is not None and not 0 <= asked.limit <= MAX_LIMIT:
        raise bad_input(f"limit is 1 to {MAX_LIMIT}")
    sorts = read_sorts(asked.sort)
    wanted = Filter() if asked.filter_conditions is None else read_filter(asked.filter_conditions)
    # An SDK that is back names all calls that it watched, and looks for no second page.
    limit = asked.limit or max(DEFAULT_LIMIT, len(wanted.only_cids or ()))
    return CallQuestion(wanted, sorts, read_next(asked.next, sorts), limit)


class _Seen(NamedTuple):
    """A call as JSON, and which of the members asked for it has."""

    content: bytes
    members: list[str]


class CallQuery:
    """Everything raises `StreamError` or `EngineUnavailable`."""

    def __init__(self, store: CallStore, access: Access) -> None:
        self._store, self._access = store, access
        self._turns, self._share = QueryTurns(), LoopShare()

    async def find(self, caller: Identity, asked: CallQuestion) -> CallPage:
        """Return the calls that `caller` may see and that fit."""
        named = asked.filter.only_cids is not None
        made_here = set[str]()
        async with nullcontext() if named else self._turns.turn(caller):
            cids = await self._candidates(caller, asked.filter)
            found = await self._found(caller, asked, cids, made_here)
        page = found[: asked.limit]
        more = len(found) > len(page)
        shown = [place[-1] for place in page]
        return CallPage(
            shown, write_next(page[-1]) if more else None, made_here.intersection(shown)
        )

    async def _found(
        self, caller: Identity, asked: CallQuestion, cids: list[str], made_here: set[str]
    ) -> list[Place]:
        """Return the first places, in order: one more than the page can hold.

        Adds to `made_here` as Page has them.
        """
        before, spent_s = comes_before(asked.sorts), 0.0
        found: list[Place] = []
        bound = None if asked.after is None else before(asked.after)

        def look(one: _Seen) -> None:
            call = {**orjson.loads(one.content), **({MEMBERS: one.members} if one.members else {})}
            if not asked.filter.fits(call):
                return
            place = place_of(call, asked.sorts)
            if bound is None or before(place) > bound:
                found.append(place)

        def cut(places: list[Place]) -> None:
            places.sort(key=before)
            del places[asked.limit + 1 :]

        for at in range(0, len(cids), _AT_ONCE):
            some = cids[at : at + _AT_ONCE]
            calls = await self._seen(caller, asked.filter, some, made_here)
            spent_s += await self._share.each(calls, look)
            spent_s += await self._share.each((found,), cut)
            if spent_s > MAX_BUSY_S:
                raise bad_input("this takes too long to find: narrow the filter")
        return found

    async def _candidates(self, caller: Identity, wanted: Filter) -> list[str]:
        """Return the calls that have to be looked at."""
        given = wanted.only_cids
        if given is None and self._access.needs_membership(caller):
            given = await self._naming(caller.app, [caller.user_id]) | caller.call_cids
        if given is None and wanted.only_members is not None:
            given = await self._naming(caller.app, wanted.only_members)
        cids = await self._all(caller.app) if given is None else sorted(given)
        if len(cids) > MAX_LOOKED_AT:
            raise bad_input(
                f"there are more than {MAX_LOOKED_AT} calls to look at: narrow the filter by cid"
                " or members"
            )
        return cids

    async def _naming(self, app: str, users: Iterable[str | None]) -> set[str]:
        found: set[str] = set()
        for user_id in users:
            if user_id is not None:
                found |= await self._store.naming(app, user_id)
        return found

    async def _all(self, app: str) -> list[str]:
        parts = await asyncio.gather(
            *(
                self._store.newest(app, shard, start=0, count=MAX_LOOKED_AT + 1)
                for shard in range(keys.SHARDS)
            )
        )
        return [cid for part in parts for cid, _ in part]

    async def _seen(
        self, caller: Identity, wanted: Filter, cids: list[str], made_here: set[str]
    ) -> list[_Seen]:
        """Return those of `cids` that there are and that `caller` may see."""
        app = caller.app
        read = await self._store.documents(app, cids)
        own: list[User | None] = [None] * len(cids)
        if caller.user_id is not None:
            own = await self._store.users_of(app, cids, caller.user_id)
        may = [
            self._access.lets_in(caller, cid, named) for cid, named in zip(cids, own, strict=True)
        ]
        for cid, named in zip(cids, own, strict=True):
            if self._access.is_made_here(caller, cid, named):
                made_here.add(cid)
        members: list[list[str]] = [[] for _ in cids]
        for user_id in sorted(wanted.members):
            asked_for = await self._store.users_of(app, cids, user_id)
            for found, one in zip(members, asked_for, strict=True):
                if one is not None and "m" in one.flags:
                    found.append(user_id)
        return [
            _Seen(document.call, found)
            for document, seen, found in zip(read, may, members, strict=True)
            if document is not None and seen
        ]
