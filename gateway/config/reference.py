"""The reference of all keys, as the tables of docs/configuration.md.

Everything in it comes from `models` (names, types, meanings, examples) and `gateway.options`
(defaults). Run as a program it renews what stands between the two marks of the page that is named:

    .venv/bin/python -m gateway.config.reference docs/configuration.md
"""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from pydantic.fields import FieldInfo

from gateway.config.models import ONLY_FOR, SOURCE_ONLY_FOR, Document, Section, Source, Subscriber
from gateway.config.values import Ack, RawCredentials, Secret, Workers

BEGIN, END = "<!-- from the models: begin -->", "<!-- from the models: end -->"
HEADER = ("Key", "Type", "Unit", "Default", "Meaning", "Example")
_SPECIAL = (
    (Ack, "`journal`, `redis` or `{replicated: N}`"),
    (Workers, "whole number or `auto`"),
    (Secret, "secret"),
    (RawCredentials, "secret"),
)
_PLAIN = {bool: "`true` or `false`", int: "whole number", str: "text", Path: "path"}
_KINDS = {Source: SOURCE_ONLY_FOR, Subscriber: ONLY_FOR}
# The largest first.
_DURATIONS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SIZES = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}


def page(text: str) -> str:
    """Return the page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def tables() -> str:
    """Return a heading, a sentence and a table for each section of the file."""
    return "\n\n".join(_top(name) for name in Document.model_fields)


def _top(name: str) -> str:
    field, hint = Document.model_fields[name], _hints(Document)[name]
    inner = section_of(hint)
    rows = [_row(Document, name, "")] if inner is None else list(_rows(inner, _path(name, hint)))
    lines = ["| " + " | ".join(row) + " |" for row in (HEADER, ("---",) * len(HEADER), *rows)]
    return "\n".join((f"### `{name}`", "", str(field.description), "", *lines))


def _rows(section: type[Section], path: str) -> Iterator[tuple[str, ...]]:
    for name, field in section.model_fields.items():
        hint = _hints(section)[name]
        inner = section_of(hint)
        if inner is None:
            yield _row(section, name, f"{path}.")
        else:
            yield (f"`{path}.{field.alias or name}`", "keys, below", "", "", _meaning(field), "")
            yield from _rows(inner, f"{path}.{_path(field.alias or name, hint)}")


def _row(section: type[Section], name: str, path: str) -> tuple[str, ...]:
    field, hint = section.model_fields[name], _hints(section)[name]
    key = field.alias or name
    meaning = f"{_only_for(section, key)}{_meaning(field)}"
    extra = field.json_schema_extra
    unit = str(extra["unit"]) if isinstance(extra, dict) else _unit(name)
    examples = [f"`{_yaml(one)}`" for one in field.examples or ()]
    usual = "required" if field.is_required() else default(section, name)
    return (f"`{path}{key}`", _type(name, hint), unit, usual, meaning, ", ".join(examples))


def _meaning(field: FieldInfo) -> str:
    return str(field.description).replace("|", "\\|")


def _hints(section: type[Section]) -> dict[str, Any]:
    return get_type_hints(section, include_extras=True)


def _path(name: str, hint: Any) -> str:
    return f"{name}[]" if get_origin(_bare(hint)) is list else name


def _bare(hint: Any) -> Any:
    """Return a type without what is annotated to it."""
    return _bare(get_args(hint)[0]) if hasattr(hint, "__metadata__") else hint


def section_of(hint: Any) -> type[Section] | None:
    bare = _bare(hint)
    if get_origin(bare) is list:
        return section_of(get_args(bare)[0])
    return bare if isinstance(bare, type) and issubclass(bare, Section) else None


def _only_for(section: type[Section], key: str) -> str:
    kinds = [kind for kind, keys in _KINDS.get(section, {}).items() if key in keys]
    return f"kind `{kinds[0]}`: " if kinds else ""


def _unit(name: str) -> str:
    units = _DURATIONS if name.endswith("_s") else _SIZES if name.endswith("_bytes") else {}
    return ", ".join(f"`{unit}`" for unit in reversed(units))


def _type(name: str, hint: Any) -> str:
    special = [word for kind, word in _SPECIAL if kind == hint]
    bare = _bare(hint)
    if special:
        return special[0]
    if get_origin(bare) is list:
        return f"list: {_type(name, get_args(bare)[0])}"
    if get_origin(bare) is dict:
        return "names and texts"
    if get_origin(bare) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(bare))
    if name.endswith("_s") and not name.endswith("_per_s"):
        return "duration"
    return "size" if name.endswith("_bytes") else _PLAIN[bare]


def default(section: type[Section], name: str) -> str:
    """Return what the options have for a key that is not given."""
    for kind in (section.becomes, *section.shared_with):
        for field in dataclasses.fields(kind):
            if field.name == name:
                return "required" if _must(field) else _shown(name, field.default)
    raise LookupError(f"no options have {section.__name__}.{name}")


def _must(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING


def _shown(name: str, value: Any) -> str:
    if value in {None, (), ""}:
        return "none"
    return f"`{_text(name, value)}`"


def _text(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_text(name, one) for one in value)}]"
    if name.endswith("_per_s") or isinstance(value, bool):
        return _yaml(value)
    if name.endswith("_s"):
        return _with_unit(value, _DURATIONS)
    if name.endswith("_bytes"):
        return _with_unit(value, _SIZES)
    return f"./{value}" if isinstance(value, Path) else _yaml(value)


def _with_unit(value: float, units: dict[str, Any]) -> str:
    fitting = (unit for unit, one in units.items() if value >= one and not value % one)
    unit = next(fitting, "ms")
    return f"{value / units[unit]:g}{unit}"


def _yaml(value: Any) -> str:
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value).removesuffix("\n...\n").strip()


def main() -> None:
    """Renew the page that is named."""
    path = Path(sys.argv[1])
    path.write_text(page(path.read_text()))


if __name__ == "__main__":
    main()
