"""What events make of a call's state."""

from gateway.calls import state
from gateway.calls.times import to_ns

CID, AT = "default:room", "2026-11-20T10:00:00.000000000Z"


def after(*events):
    progress = state.begin(CID, AT)
    for n, event in enumerate(events):
        state.advance(progress, event["type"], event, event.get("at", to_ns(AT) + n + 1))
    return progress


def joined(session, user, role="host", kind="joined"):
    return {
        "type": f"call.session_participant_{kind}",
        "session_id": session,
        "participant": {"user_session_id": user, "role": role, "user": {"id": user}},
    }


def test_the_latest_call_counts_by_its_own_time():
    """Webhooks overtake each other: an older `call` changes nothing."""
    new = {"type": "call.updated", "call": {"custom": {"n": 2}}, "at": to_ns(AT) + 10}
    old = {"type": "call.updated", "call": {"custom": {"n": 1}}, "at": to_ns(AT) + 5}
    assert after(new, old).call["custom"] == {"n": 2}
    assert after(new, {**old, "at": to_ns(AT) + 11}).call["custom"] == {"n": 1}


def test_a_call_cannot_rename_itself():
    """Type, id and cid are those that the event is of."""
    told = {"type": "call.created", "call": {"cid": "x:y", "type": "x", "id": "y"}}
    call = after(told).call
    assert (call["cid"], call["type"], call["id"]) == (CID, "default", "room")


def test_who_is_in_the_session():
    """Everybody counts once, whoever comes twice or leaves twice; its end empties it."""
    progress = after(joined("s", "a"), joined("s", "a"), joined("s", "b", "user"))
    session = progress.call["session"]
    assert [one["user_session_id"] for one in session["participants"]] == ["a", "b"]
    assert session["participants_count_by_role"] == {"host": 1, "user": 1}
    left = joined("s", "a", kind="left")
    session = after(joined("s", "a"), joined("s", "b", "user"), left, left).call["session"]
    assert session["participants_count_by_role"] == {"host": 0, "user": 1}
    ended = {"type": "call.session_ended", "session_id": "s"}
    call = after(joined("s", "a"), ended).call
    assert (call["session"]["participants"], call["current_session_id"]) == ([], "")
    stale = {"type": "call.session_ended", "session_id": "before"}
    assert after(joined("s", "a"), stale).call["current_session_id"] == "s"


def test_members_come_and_go():
    """Whoever an event names as a member is one, until an event says otherwise."""
    added = {"type": "call.member_added", "members": [{"user_id": "ben"}, {"user_id": 7}, "x"]}
    gone = {"type": "call.member_removed", "members": ["ben"]}
    assert [(one.user_id, one.set) for one in after(added).users] == [("ben", "m")]
    assert [(one.user_id, one.clear) for one in after(added, gone).users[1:]] == [("ben", "m")]


def test_who_is_blocked():
    """By an event of its own, and by the lists in `call`."""
    blocked = {"type": "call.blocked_user", "user": {"id": "kim"}}
    free = {"type": "call.unblocked_user", "user": {"id": "kim"}}
    assert after(blocked).call["blocked_user_ids"] == ["kim"]
    assert after(blocked, free).call["blocked_user_ids"] == []
    listed = after({"type": "call.updated", "call": {"blocked_user_ids": ["kim", "lee"]}})
    assert [(one.user_id, one.set) for one in listed.users] == [("kim", "b"), ("lee", "b")]


def test_no_device_is_opened_by_a_state():
    """Whatever the call's settings say, camera and microphone stay off in what we show."""
    settings = {"audio": {"mic_default_on": True}, "video": {"camera_default_on": True}, "x": 1}
    more = after({"type": "call.created", "call": {"settings": settings}}).more
    assert more["settings"]["audio"]["mic_default_on"] is False
    assert more["settings"]["video"]["camera_default_on"] is False
    assert more["settings"]["x"] == 1
    assert more["settings"]["screensharing"] == {}


def test_nonsense_changes_nothing():
    """Events whose fields are of the wrong kind are taken in without harm."""
    progress = after(
        {"type": "call.created", "call": []},
        {"type": "call.session_started", "session_id": 5},
        {"type": "call.session_participant_joined", "session_id": "s", "participant": "x"},
        {"type": "call.member_added", "members": {"a": 1}},
        {"type": "call.blocked_user", "user": None},
        {"type": "call.session_participant_count_updated", "session_id": "s"},
    )
    assert progress.call["cid"] == CID
    assert progress.users == []
