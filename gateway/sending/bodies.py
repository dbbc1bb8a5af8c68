"""The shipped sample webhooks: one body a file, byte for byte as an app would get it."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import orjson


@dataclass(frozen=True, slots=True)
class Sample:
    """A body to send; `name` tells it from others of its `type`."""

    name: str
    type: str
    body: bytes


@cache
def samples() -> tuple[Sample, ...]:
    """Return all shipped samples, by name."""
    found = (entry for entry in files(__package__).joinpath("samples").iterdir())
    bodies = {entry.name: entry.read_bytes() for entry in found if entry.name.endswith(".json")}
    return tuple(
        Sample(name.removesuffix(".json"), orjson.loads(body)["type"], body)
        for name, body in sorted(bodies.items())
    )


def matching(patterns: tuple[str, ...]) -> tuple[Sample, ...]:
    """Return the samples whose type or name matches one of the globs."""
    return tuple(
        sample
        for sample in samples()
        if any(
            fnmatchcase(text, pattern)
            for pattern in patterns
            for text in (sample.type, sample.name)
        )
    )
