"""From a batch of entries of the stream to the next states of their calls. Pure.

An event is taken in once: each state says up to which entry it goes, so a batch that is read
again after a crash changes nothing.

Anybody may make a call here, under any name, and such a state has taken in nothing. With the first
event of Stream's it is forgotten: whom its maker named must not see Stream's call.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import orjson

from gateway.calls import state, times
from gateway.calls.state import DELETED, Progress
from gateway.event import Meta, read_meta
from gateway.event_body import read_event
from gateway.store.entries import Entry, parse_id
from gateway.store.states.call_documents import NOTHING, CallDocument, Draft, Id, Named

Call = tuple[str, str]  # app and call_cid


class ToldEvent(NamedTuple):
    """An event that may change a call's state."""

    id: Id
    meta: Meta
    body: bytes


def sort_out(entries: Iterable[Entry]) -> dict[Call, list[ToldEvent]]:
    """Return what a batch says of which call, in order; what says nothing is left out."""
    found: dict[Call, list[ToldEvent]] = {}
    for entry in entries:
        try:
            meta = read_meta(entry.meta)
        except msgspec.MsgspecError:  # something else writes to our streams
            continue
        if meta.call_cid is None or ":" not in meta.call_cid or not state.says_something(meta.type):
            continue
        told = ToldEvent(parse_id(entry.id), meta, entry.body)
        found.setdefault((meta.app, meta.call_cid), []).append(told)
    return found


class Outcome(NamedTuple):
    """What to do with a call: forget what is known of it, then write a draft, if there is one.

    `deleted`: by which event it was deleted, the last time.
    """

    forget: bool
    draft: Draft | None
    deleted: Id | None = None


UNCHANGED = Outcome(False, None)


def outcome(app: str, cid: str, read: CallDocument | None, events: Iterable[ToldEvent]) -> Outcome:
    """Say what the state of a call is after `events`, of which it may know the first ones."""
    applied = read.applied if read else NOTHING
    now = None if read is None else Progress(cid, orjson.loads(read.call), seen_ns=read.seen_ns)
    last, forget, deleted = applied, False, None
    is_made_here = read is not None and read.applied == NOTHING and not read.seen_ns
    for one in events:
        if one.id <= applied:
            continue
        last = one.id
        if one.meta.type == DELETED:
            now, forget, deleted = None, True, one.id
            continue
        if is_made_here and not forget:
            now, forget = None, True
        now = _after(cid, now, one, times.with_texts(read_event(one.body)))
    if last == applied:
        return UNCHANGED
    next_one = None if now is None else draft(app, None if forget else read, now, last)
    return Outcome(forget, next_one, deleted)


def draft(app: str, read: CallDocument | None, now: Progress, applied: Id = NOTHING) -> Draft:
    """Return what is to be written so that `now` is the call's state."""
    return Draft(
        app,
        now.cid,
        read,
        orjson.dumps(now.call),
        now.created_ns // 1_000_000,
        more=None if now.more is None else orjson.dumps(now.more),
        users=list(_merged(now.users)),
        applied=applied,
        seen_ns=now.seen_ns,
    )


def _after(cid: str, now: Progress | None, one: ToldEvent, event: dict[str, Any]) -> Progress:
    at_ns = times.to_ns(event.get("created_at"))
    if at_ns is None:
        at_ns = one.meta.accepted_ms * 1_000_000
    now = now or state.begin(cid, times.to_text(at_ns))
    state.advance(now, one.meta.type, event, at_ns)
    return now


def _merged(users: Iterable[Named]) -> Iterable[Named]:
    """Return one change for each user, in which later ones prevail."""
    merged: dict[str, Named] = {}
    for user in users:
        before = merged.get(user.user_id)
        if before is not None:
            user = Named(  # noqa: PLW2901
                user.user_id,
                "".join(sorted({*before.set, *user.set} - {*user.clear})),
                "".join(sorted({*before.clear, *user.clear} - {*user.set})),
                user.member or before.member,
            )
        merged[user.user_id] = user
    return merged.values()
