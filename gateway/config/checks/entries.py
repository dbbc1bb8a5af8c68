"""What entries of several lists have in common: apps, queues, certificates, keys of other kinds."""

from gateway.aws import credentials, queues
from gateway.config.checks.sound import Sound
from gateway.config.files import check_pair
from gateway.config.source import Route


def known_app(sound: Sound, route: Route) -> None:
    """Report the API key at `route` if no app has it; silent while any app's key is unsound."""
    app = sound.value(*route)
    keys = [sound.value(*entry, "api_key") for entry in sound.entries("apps")]
    judge = bool(keys) and all(isinstance(key, str) for key in keys)
    if judge and isinstance(app, str) and app not in keys:
        expected = ", ".join(sorted(set(keys)))
        sound.report(route, f"no app has this api_key: expected one of {expected}")


def foreign(sound: Sound, route: Route, keys: tuple[str, ...], *, kind: str, use: str) -> None:
    """Report keys that only another kind has; `kind` is the entry's, with what it is called."""
    for key in keys:
        if sound.value(*route, key) is not None:
            sound.report(
                (*route, key),
                f"a {kind} has no such key: remove it, or use kind: {use}",
                at_key=True,
            )


def aws_packages(sound: Sound, route: Route) -> None:
    if not credentials.is_installed():
        sound.report(
            (*route, "kind"),
            "packages for AWS are missing: pip install 'stream-video-gateway[sqs]'",
        )


def queue(sound: Sound, route: Route, *, what: str) -> str | None:
    """Check the queue's URL and region; return the URL if it is sound."""
    url = sound.value(*route, "queue_url")
    if url is None:
        sound.report((*route, "queue_url"), f"a {what} of kind sqs needs a queue_url: add it")
    if not isinstance(url, str):
        return None
    named, given = queues.region_of(url), sound.value(*route, "region")
    if named is None and given is None:
        sound.report((*route, "queue_url"), "this URL does not tell the region: add region")
    elif named and isinstance(given, str) and named != given:
        sound.report(
            (*route, "region"), f"the queue's URL says {named}: remove region, or correct it"
        )
    return url


def client_certificate(sound: Sound, route: Route) -> None:
    cert, key = (sound.value(*route, name) for name in ("client_cert", "client_key"))
    if (cert is None) != (key is None):
        given, other = "client_cert", "client_key"
        if cert is None:
            given, other = other, given
        sound.report((*route, given), f"{given} needs {other} beside it", at_key=True)
    elif isinstance(cert, str) and isinstance(key, str):
        try:
            check_pair(sound.folder / cert, sound.folder / key)
        except ValueError as wrong:
            sound.report((*route, "client_cert"), str(wrong))
