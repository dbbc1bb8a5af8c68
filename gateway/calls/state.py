"""The state of a call, as webhooks tell it event by event. Pure.

Most call events bring the whole `call`; the latest one counts, by the time at which Stream made
it. What others tell is put into it: who is in the session, who is a member, what has started. A
call of which we have heard nothing else is as much as its name.

The state is a document of ours, in which SDKs find what they cannot do without. It serves no
media: nothing in it makes an SDK open a camera or a microphone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.calls import times
from gateway.store.states.call_documents import Named

Json = dict[str, Any]
# What seldom changes, is large, and is of no use to a query.
MORE = ("settings", "ingress", "egress", "thumbnails")
MAX_PARTICIPANTS = 250  # of a session, by name; all are counted
DELETED = "call.deleted"

# Happen all the time and say nothing about a state.
SAYS_NOTHING = frozenset(
    {
        "call.reaction_new",
        "call.closed_caption",
        "call.stats_report_ready",
        "call.dtmf",
        "call.user_feedback_submitted",
        "call.moderation_blur",
        "call.moderation_warning",
        "call.permission_request",
        "call.user_muted",
        "call.kicked_user",
    }
)
# Happens most of all, and counts only until the next `call` comes: let go in a flood.
CROWD_MOVES = frozenset(
    {
        "call.session_participant_joined",
        "call.session_participant_left",
        "call.session_participant_count_updated",
    }
)
_SWITCHES = {
    "call.recording_started": ("recording", True),
    "call.recording_stopped": ("recording", False),
    "call.recording_failed": ("recording", False),
    "call.transcription_started": ("transcribing", True),
    "call.transcription_stopped": ("transcribing", False),
    "call.transcription_failed": ("transcribing", False),
    "call.closed_captions_started": ("captioning", True),
    "call.closed_captions_stopped": ("captioning", False),
    "call.closed_captions_failed": ("captioning", False),
}


@dataclass(slots=True)
class Progress:
    """A call's state on its way. `call` is without what lies in `more`; `more` None: as it was."""

    cid: str
    call: Json
    more: Json | None = None
    users: list[Named] = field(default_factory=list)
    seen_ns: int = 0  # when the latest `call` was made

    @property
    def created_ns(self) -> int:
        return times.to_ns(self.call.get("created_at")) or 0


def says_something(kind: str) -> bool:
    """Tell whether events of this type may change a call's state."""
    return kind.startswith("call.") and kind not in SAYS_NOTHING


def begin(cid: str, at: str) -> Progress:
    """Return the state of a call of which only the name is known, since `at`."""
    kind, _, name = cid.partition(":")
    call = {
        "type": kind,
        "id": name,
        "cid": cid,
        "created_at": at,
        "updated_at": at,
        "current_session_id": "",
        "backstage": False,
        "recording": False,
        "transcribing": False,
        "captioning": False,
        "blocked_user_ids": [],
        "custom": {},
    }
    return Progress(cid, call, complete({}))


def complete(more: Json) -> Json:
    """Return the larger part of a call with what SDKs cannot do without."""
    settings = _object(more.get("settings"))
    defaults: Json = {"audio": {}, "video": {}, "screensharing": {}}
    settings = {**defaults, **settings}
    settings["audio"] = {**_object(settings["audio"]), "mic_default_on": False}
    settings["video"] = {**_object(settings["video"]), "camera_default_on": False}
    settings["screensharing"] = _object(settings["screensharing"])
    egress = {"broadcasting": False, "rtmps": [], **_object(more.get("egress"))}
    return {**more, "settings": settings, "egress": egress}


def advance(progress: Progress, kind: str, event: Json, at_ns: int) -> None:
    """Take in one event, which Stream made at `at_ns`. Its times are as we keep them."""
    if isinstance(event.get("call"), dict) and at_ns >= progress.seen_ns:
        _take_call(progress, event["call"])
        progress.seen_ns = at_ns
    _take_members(progress, kind, event.get("members"))
    if kind in _SWITCHES:
        name, is_on = _SWITCHES[kind]
        progress.call[name] = is_on
    elif kind == "call.ended":
        progress.call.setdefault("ended_at", times.to_text(at_ns))
    elif kind in {"call.blocked_user", "call.unblocked_user"}:
        _take_block(progress, kind, _object(event.get("user")).get("id"))
    elif kind.startswith("call.session_"):
        _take_session(progress, kind, event, at_ns)


def _take_call(progress: Progress, told: Json) -> None:
    known = progress.call
    call = {name: value for name, value in told.items() if name not in MORE}
    if "session" not in call and call.get("current_session_id") and "session" in known:
        call["session"] = known["session"]
    if "session" in call:
        call["session"] = _session(call["session"])
    call |= {"cid": progress.cid, "type": known["type"], "id": known["id"]}
    call.setdefault("created_at", known["created_at"])
    call.setdefault("custom", {})
    progress.call = call
    if any(name in told for name in MORE):
        progress.more = complete({name: told[name] for name in MORE if name in told})
    creator = _object(call.get("created_by")).get("id")
    if isinstance(creator, str) and creator:
        progress.users.append(Named(creator, set="c"))
    before, after = (set(_texts(one.get("blocked_user_ids"))) for one in (known, call))
    progress.users += [Named(user, set="b") for user in sorted(after - before)]
    progress.users += [Named(user, clear="b") for user in sorted(before - after)]


def _take_members(progress: Progress, kind: str, told: object) -> None:
    if not isinstance(told, list):
        return
    if kind == "call.member_removed":
        progress.users += [Named(user, clear="m") for user in _texts(told)]
        return
    for member in told:
        user_id = _object(member).get("user_id")
        if isinstance(user_id, str) and user_id:
            progress.users.append(Named(user_id, set="m", member=orjson.dumps(member)))


def _take_block(progress: Progress, kind: str, user_id: object) -> None:
    if not isinstance(user_id, str) or not user_id:
        return
    blocked = set(_texts(progress.call.get("blocked_user_ids")))
    if kind == "call.blocked_user":
        blocked.add(user_id)
        progress.users.append(Named(user_id, set="b"))
    else:
        blocked.discard(user_id)
        progress.users.append(Named(user_id, clear="b"))
    progress.call["blocked_user_ids"] = sorted(blocked)


def _take_session(progress: Progress, kind: str, event: Json, at_ns: int) -> None:
    session_id, call = event.get("session_id"), progress.call
    if not isinstance(session_id, str) or not session_id:
        return
    session = _session(call.get("session"))
    if session.get("id") != session_id:
        if kind == "call.session_ended":
            return  # of one before the one that we know
        session = _session({"id": session_id, "started_at": times.to_text(at_ns)})
        call["current_session_id"] = session_id
    call["session"] = session
    match kind:
        case "call.session_ended":
            session.setdefault("ended_at", times.to_text(at_ns))
            session["participants"] = []
            call["current_session_id"] = ""
        case "call.session_participant_count_updated":
            for name in ("participants_count_by_role", "anonymous_participant_count"):
                if name in event:
                    session[name] = event[name]
        case "call.session_participant_joined" | "call.session_participant_left":
            _move(session, kind, _object(event.get("participant")))


def _move(session: Json, kind: str, participant: Json) -> None:
    """Have a participant come or go; one that is there already, or is not, counts once."""
    present = session["participants"]
    mark = participant.get("user_session_id")
    others = [one for one in present if _object(one).get("user_session_id") != mark]
    was_there = len(others) < len(present)
    is_there = kind == "call.session_participant_joined" and len(others) < MAX_PARTICIPANTS
    session["participants"] = [*others, participant] if is_there else others
    role, counts = participant.get("role"), session["participants_count_by_role"]
    if isinstance(role, str) and is_there != was_there:
        count = counts.get(role, 0) if isinstance(counts.get(role), int) else 0
        counts[role] = max(0, count + (1 if is_there else -1))


def _session(told: object) -> Json:
    """Return a session with what SDKs cannot do without."""
    session = dict(_object(told))
    participants = session.get("participants")
    session["participants"] = (participants if isinstance(participants, list) else [])[
        :MAX_PARTICIPANTS
    ]
    session["participants_count_by_role"] = dict(_object(session.get("participants_count_by_role")))
    return session


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> Iterable[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
