"""What the plain feed refuses, with Stream's code and an HTTP status for it. Pure.

Codes 4, 5, 9, 16, 17 are Stream's own; -1 is what it says when the fault is on its side; 4003 is
ours, and the code with which such a socket is closed.
"""

from collections.abc import Sequence

from gateway.calls.errors import StreamError
from gateway.errors import EngineFull, EngineRefused, EngineUnavailable

FOREIGN_PAGE = 4003


class Refusal(Exception):  # named for what happened
    """`calls`: which calls were refused, if it was for them."""

    def __init__(self, code: int, status: int, message: str, calls: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code, self.status, self.message, self.calls = code, status, message, calls


class BadRequest(Refusal):
    """The client's mistake, in a sentence for it."""

    def __init__(self, message: str) -> None:
        super().__init__(4, 400, message)


def unauthorized(message: str) -> Refusal:
    return Refusal(5, 401, message)


def expired() -> Refusal:
    return Refusal(40, 401, "the token has expired: come again with a new one")


def too_many(message: str) -> Refusal:
    return Refusal(9, 429, message)


def shut_out(calls: Sequence[str]) -> Refusal:
    return Refusal(17, 403, "you may not watch this call any more", calls)


def deleted(calls: Sequence[str]) -> Refusal:
    return Refusal(16, 404, "this call was deleted: watch it again for a new one", calls)


def no_place(calls: Sequence[str]) -> Refusal:
    """Say that these calls do not name the user, and that too many wait for theirs already."""
    return Refusal(9, 429, "too many calls are waited for: ask for these again later", calls)


def foreign_page(origin: str) -> Refusal:
    return Refusal(
        FOREIGN_PAGE,
        403,
        f"this page may not open the feed: its origin {origin[:200]!r} is not in feed.origins",
    )


def of(error: Exception, calls: Sequence[str] = ()) -> Refusal | None:
    """Return the refusal that `error` amounts to; None for a defect of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, StreamError):
        return Refusal(error.code, error.status, error.message, calls)
    if isinstance(error, EngineFull):
        return Refusal(-1, 503, "memory is full here, nothing was done: try again later")
    if isinstance(error, EngineUnavailable | EngineRefused):
        return Refusal(-1, 503, "the streams cannot be read now, try again")
    if isinstance(error, TimeoutError):
        return Refusal(5, 401, "no first message came in time")
    return None
