"""Each source: its name, its app, and the keys of its kind."""

from gateway import options
from gateway.config.checks.entries import aws_packages, foreign, known_app, queue
from gateway.config.checks.sound import Sound
from gateway.config.models import SOURCE_ONLY_FOR
from gateway.config.source import Route

_INGEST = options.IngestOptions()


def check(sound: Sound) -> None:
    for route, name in sound.texts("sources", "name"):
        sound.unique(route, name, "sources", "name", "source")
    for route in sound.entries("sources"):
        known_app(sound, (*route, "app"))
        match sound.value(*route, "kind"):
            case "sqs":
                _sqs(sound, route)
            case "sns":
                _sns(sound, route)


def _sqs(sound: Sound, route: Route) -> None:
    aws_packages(sound, route)
    foreign(sound, route, SOURCE_ONLY_FOR["sns"], kind="source of kind sqs", use="sns")
    queue(sound, route, what="source")


def _sns(sound: Sound, route: Route) -> None:
    aws_packages(sound, route)
    foreign(sound, route, SOURCE_ONLY_FOR["sqs"], kind="source of kind sns", use="sqs")
    for key in ("path", "topic_arns"):
        if sound.value(*route, key) is None:
            sound.report((*route, key), f"a source of kind sns needs {key}: add it")
    path = sound.value(*route, "path")
    if isinstance(path, str):
        _own_path(sound, (*route, "path"), path)


def _own_path(sound: Sound, route: Route, path: str) -> None:
    if path == sound.value("ingest", "path", default=_INGEST.path):
        sound.report(route, "webhooks come in here: choose another path")
    sound.unique(route, path, "sources", "path", "source")
