"""Which types of events a watcher wants: globs, such as `call.*` or `custom`. Pure."""

import re
from collections.abc import Sequence
from fnmatch import translate

_MAX_GLOBS = 64
_MAX_GLOB_CHARS = 128
_MAX_KNOWN = 256  # types whose verdict is remembered; the outside names types


class TypeFilterError(ValueError):
    """The globs are too many, too long, or none."""


class TypeFilter:
    """Call it with a type. Raises `TypeFilterError` for globs beyond bounds."""

    def __init__(self, globs: Sequence[str]) -> None:
        if not globs or len(globs) > _MAX_GLOBS:
            raise TypeFilterError(f"between 1 and {_MAX_GLOBS} types can be asked for")
        if any(not 0 < len(glob) <= _MAX_GLOB_CHARS for glob in globs):
            raise TypeFilterError(f"a type has between 1 and {_MAX_GLOB_CHARS} characters")
        self._matches = re.compile("|".join(translate(glob) for glob in globs)).match
        self._known: dict[str, bool] = {}

    def __call__(self, type_: str) -> bool:
        known = self._known.get(type_)
        if known is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[type_] = self._matches(type_) is not None
        return known
