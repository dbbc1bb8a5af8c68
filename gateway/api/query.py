"""QueryCalls, answered from the states that we keep; what was found can be watched at once."""

import asyncio
import time
from typing import Any

from aiohttp import web

from gateway.api.answering import Said
from gateway.api.asking import connection_of, identify, read_body
from gateway.api.calls import CallParts
from gateway.api.shown import MAX_MEMBERS, shown
from gateway.calls.query import CallQuery, read_asked, read_question

_MOST_MEMBERS = 10_000  # of all calls in one answer


class Query:
    def __init__(self, parts: CallParts) -> None:
        self._parts = parts
        self._query = CallQuery(parts.store, parts.access)

    async def find(self, request: web.Request) -> Said:
        caller = identify(self._parts.tokens, self._parts.allowance, request)
        asked = read_asked(await read_body(request, self._parts.body_timeout_s))
        connection_id = connection_of(request) if asked.watch else None
        asked_s = time.monotonic()
        page = await self._query.find(caller, read_question(asked))
        if connection_id is not None:
            await self._parts.watch(connection_id, caller, page.cids, asked_s, page.made_here)
        limit = min(MAX_MEMBERS, _MOST_MEMBERS // max(1, len(page.cids)))

        async def show(cid: str) -> dict[str, Any] | None:
            whole = await self._parts.store.read(caller.app, cid)
            return None if whole is None else shown(whole, caller, limit)

        read = await asyncio.gather(*map(show, page.cids))
        calls = [one for one in read if one is not None]
        return Said(201, {"calls": calls, **({} if page.next is None else {"next": page.next})})
