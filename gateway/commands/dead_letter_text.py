"""A dead letter, told: a row of the list, all of it as text, all of it as JSON. Pure."""

import base64
from typing import Any

import msgspec

from gateway.commands.text import moment, printable
from gateway.event import describe, read_meta
from gateway.store.taking.dead_letters import DeadLetter

HEAD = ("ID", "BURIED", "REASON", "STATUS", "ATTEMPTS", "TYPE", "CALL")


def row(letter: DeadLetter) -> tuple[object, ...]:
    """Return what the list shows, in the order of `HEAD`."""
    parcel, about = letter.parcel, _about(letter.parcel.meta)
    return (
        letter.place.id,
        moment(parcel.buried_ms),
        parcel.reason,
        "-" if parcel.status is None else str(parcel.status),
        parcel.attempts,
        about.get("type") or "-",
        about.get("call_cid") or "-",
    )


def _about(meta: bytes) -> dict[str, Any]:
    """Return the fields of a meta; none of one that somebody else wrote."""
    try:
        read = read_meta(meta)
    except msgspec.MsgspecError:
        return {}
    return {**describe(read), "accepted_ms": read.accepted_ms, "source": read.source}


def as_json(letter: DeadLetter, *, with_body: bool) -> dict[str, Any]:
    """Return everything; a body that is no UTF-8 text is given in base64."""
    parcel = letter.parcel
    return {
        "id": letter.place.id,
        "buried_ms": parcel.buried_ms,
        "reason": parcel.reason,
        "status": parcel.status,
        "detail": parcel.detail,
        "snippet": parcel.snippet,
        "attempts": parcel.attempts,
        "first_attempt_ms": parcel.first_attempt_ms,
        **_about(parcel.meta),
        "body_bytes": len(parcel.body),
        **(_body(parcel.body) if with_body else {}),
    }


def _body(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def as_text(letter: DeadLetter) -> str:
    """Return everything, a line a field, and the body last."""
    fields = as_json(letter, with_body=False)
    for name in ("buried", "first_attempt", "accepted"):
        fields[name] = moment(fields.pop(f"{name}_ms", 0))
    lines = [
        f"{name:<14} {printable(str(value))}"
        for name, value in fields.items()
        if value not in {None, ""}
    ]
    body = letter.parcel.body.decode(errors="backslashreplace")
    return "\n".join((*lines, "", printable(body, keep="\n\t")))
