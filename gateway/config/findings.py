"""The words for what does not fit the shape of the configuration.

pydantic finds all mistakes of all values in one pass; here each gets its place in the file and
a text of our own, which says what would be right and never repeats the value itself.
"""

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from gateway.config.models import Document, Section
from gateway.config.source import Route, Source, is_nameable


def validate(source: Source) -> Document | None:
    """Return the document, or None after reporting to `source` what is wrong with it."""
    context = {"folder": source.folder}
    try:
        return Document.model_validate(source.tree, context=context)
    except ValidationError as found:
        known = frozenset(source.broken)
        for error in found.errors(include_url=False):
            _report(source, error, known)
        return None


def _report(source: Source, error: Mapping[str, Any], known: frozenset[Route]) -> None:
    route: Route = tuple(error["loc"])
    about_key = route[-1:] == ("[key]",)  # so pydantic marks what is wrong with a key itself
    at_key = about_key or error["type"] == "extra_forbidden" or error["input"] is None
    route = route[:-1] if about_key else route
    if not _is_told(route, known):
        source.report(route, _wording(error, route), at_key=at_key)


def _is_told(route: Route, known: frozenset[Route]) -> bool:
    """Whether a mistake above or below this place has been reported already."""
    return any(route[: len(told)] == told or told[: len(route)] == route for told in known)


def _wording(error: Mapping[str, Any], route: Route) -> str:
    """Say in our own words what pydantic found; never with the value itself."""
    match error["type"]:
        case "extra_forbidden":
            return _unknown(str(route[-1]), keys_at(route[:-1]))
        case _ if error["input"] is None:
            return "has no value: give it one, or remove the line"
        case "value_error":
            return str(error["ctx"]["error"])
        case "literal_error":
            return f"expected {error['ctx']['expected']}".replace("'", "`")
        case kind:
            words = _EXPECTED.get(kind, "this value is not valid here")
            return words.format(**error.get("ctx", {}))


_EXPECTED = {
    "missing": "this key is required: add it",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least one entry",
    "int_type": "expected a whole number, without quotes and unit",
    "bool_type": "expected true or false, without quotes",
    "string_type": "expected text: put it in quotes if it looks like a number",
    "list_type": "expected a list, such as [one, two]",
    "dict_type": "expected a mapping, such as {{key: value}}",
    "model_type": "expected a mapping, such as {{key: value}}",
}


def _unknown(key: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(key, valid, n=1)
    name = f" `{key}`" if is_nameable(key) else ""
    meant = f": did you mean `{near[0]}`?" if near else ":"
    return f"unknown key{name}{meant} valid keys are {', '.join(valid)}"


def keys_at(route: Route) -> list[str]:
    """Return the keys that the mapping at `route` may have."""
    section: type[Section] = Document
    for step in route:
        if isinstance(step, str):
            field = next(f for name, f in section.model_fields.items() if step in {f.alias, name})
            section = _section_in(field.annotation)
    return [field.alias or name for name, field in section.model_fields.items()]


def _section_in(annotation: Any) -> type[Section]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return _section_in(get_args(annotation)[0])
