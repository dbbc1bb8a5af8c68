"""Each subscriber: its name, whom it matches, and the keys of its kind."""

from gateway import options
from gateway.aws import queues
from gateway.config.checks.entries import (
    aws_packages,
    client_certificate,
    foreign,
    known_app,
    queue,
)
from gateway.config.checks.sound import Sound
from gateway.config.measures import duration
from gateway.config.models import ONLY_FOR
from gateway.config.source import Route

_RETRY = options.RetryOptions()


def check(sound: Sound) -> None:
    for route, name in sound.texts("subscribers", "name"):
        sound.unique(route, name, "subscribers", "name", "subscriber")
    for route in sound.entries("subscribers"):
        match sound.value(*route, "kind"):
            case "http":
                _http(sound, route)
            case "sqs":
                _sqs(sound, route)
            case "log":
                _log(sound, route)
        for app in sound.entries(*route, "match", "apps"):
            known_app(sound, app)


def _http(sound: Sound, route: Route) -> None:
    foreign(sound, route, ONLY_FOR["sqs"], kind="subscriber of kind http", use="sqs")
    if sound.value(*route, "url") is None:
        sound.report((*route, "url"), "a subscriber of kind http needs a url: add it")
    client_certificate(sound, route)
    _headers(sound, (*route, "headers"))
    _within_total(sound, route)


def _sqs(sound: Sound, route: Route) -> None:
    foreign(sound, route, ONLY_FOR["http"], kind="subscriber of kind sqs", use="http")
    aws_packages(sound, route)
    url = queue(sound, route, what="subscriber")
    if url and queues.is_fifo(url) and sound.value(*route, "order") in {None, "none"}:
        sound.report(
            (*route, "order"), "a FIFO queue needs order: call, or it would keep a wrong order"
        )
    _within_total(sound, route)


def _log(sound: Sound, route: Route) -> None:
    kind = "subscriber of kind log"
    foreign(sound, route, ("timeout", *ONLY_FOR["http"]), kind=kind, use="http")
    foreign(sound, route, ONLY_FOR["sqs"], kind=kind, use="sqs")


def _headers(sound: Sound, route: Route) -> None:
    headers = sound.value(*route)
    seen: set[str] = set()
    for name in headers if isinstance(headers, dict) else ():
        if name.lower() in seen:
            sound.report((*route, name), "the same header twice: remove one", at_key=True)
        seen.add(name.lower())


def _within_total(sound: Sound, route: Route) -> None:
    timeout = sound.parsed(duration, *route, "timeout", default=_RETRY.timeout_s)
    total = sound.parsed(duration, *route, "retry", "total", default=_RETRY.total_s)
    if timeout and total and timeout > total:
        given = ("timeout",) if sound.value(*route, "timeout") else ("retry", "total")
        sound.report(
            (*route, *given),
            f"timeout ({timeout:g}s) is longer than retry.total ({total:g}s), which bounds "
            "all attempts of the fast lane: raise retry.total or lower timeout",
        )
