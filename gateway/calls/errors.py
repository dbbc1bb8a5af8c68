"""What Stream's API refuses, in Stream's own codes. Pure.

The SDKs decide by the code: 40 makes them fetch a new token and try again, 46 to connect anew.
Texts never say more than the caller knows already: no secret, no token, no other user's call.

Codes: GetStream/protocol, and `@stream-io/video-client` src/coordinator/connection/errors.ts.
"""

from gateway.errors import GatewayError

ACCESS_KEY, INPUT, AUTHENTICATION, RATE_LIMIT = 2, 4, 5, 9
NOT_FOUND, NOT_ALLOWED, TOO_LARGE, TIMEOUT = 16, 17, 22, 23
TOKEN_EXPIRED, TOKEN_NOT_YET, TOKEN_BEFORE_IAT, TOKEN_SIGNATURE = 40, 41, 42, 43
CONNECTION_ID, TOO_MANY_CONNECTIONS = 46, 71
INTERNAL = -1


class StreamError(GatewayError):
    """`code` is Stream's word for why, `status` HTTP's; `retry_after_s`: coming again helps."""

    def __init__(
        self, code: int, status: int, message: str, *, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.message = code, status, message
        self.retry_after_s = retry_after_s


def error_body(code: int, status: int, message: str) -> dict[str, object]:
    """Return all six fields of an error: Stream's SDKs break on a missing one."""
    return {
        "code": code,
        "StatusCode": status,
        "message": message,
        "duration": "0.00ms",
        "more_info": "",
        "details": [],
    }


def unknown_key() -> StreamError:
    return StreamError(ACCESS_KEY, 401, "api_key is missing or unknown")


def bad_input(message: str) -> StreamError:
    return StreamError(INPUT, 400, message)


def unauthenticated(message: str) -> StreamError:
    return StreamError(AUTHENTICATION, 401, message)


def no_such_call(cid: str) -> StreamError:
    return StreamError(NOT_FOUND, 404, f"can't find call with id {cid[:256]}")


def not_allowed(message: str) -> StreamError:
    return StreamError(NOT_ALLOWED, 403, message)


def too_large(message: str) -> StreamError:
    return StreamError(TOO_LARGE, 413, message)


def no_such_connection() -> StreamError:
    return StreamError(CONNECTION_ID, 400, "connection_id: no such connection, or not yours")


def unavailable(message: str = "this cannot be done now, try again") -> StreamError:
    """Our own fault, and passing."""
    return StreamError(INTERNAL, 503, message, retry_after_s=1)
