"""What to send, where and how fast: decided and checked before the first byte goes out."""

from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import GatewayError
from gateway.sending.bodies import matching, samples


class NothingToSend(GatewayError):
    """The plan names no body; the text says what there would be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SendPlan:
    """One run of `send`.

    With neither `types` nor `files` every sample is sent; else those whose type or name matches
    one of the globs, and the files. `count` events in all, the bodies taken in turn; None sends
    each once. Each event goes out `duplicate` times in all, as attempts of one webhook.
    """

    url: str
    api_key: str
    secret: str = field(repr=False)
    types: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    count: int | None = None
    duplicate: int = 1
    # Requests a second, due by the clock whatever the answers do; None: as fast as they come.
    rate_per_s: float | None = None
    connections: int = 8
    gzip: bool = False
    timeout_s: float = 6.0
    ca: Path | None = None  # certificates to trust for https, instead of the system's


def chosen_bodies(plan: SendPlan) -> tuple[bytes, ...]:
    """Return the bodies to send in turn. Raises `NothingToSend`."""
    chosen = samples() if not plan.types and not plan.files else matching(plan.types)
    if plan.types and not chosen:
        known = ", ".join(sorted({sample.type for sample in samples()}))
        raise NothingToSend(f"no sample matches {' or '.join(plan.types)}; there are: {known}")
    return (*(sample.body for sample in chosen), *map(_read, plan.files))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NothingToSend(f"cannot read {path}: {error.strerror}") from error
