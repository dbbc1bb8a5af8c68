"""What a single word in the YAML file means: variables filled in, then one strict reading. Pure.

A word is true or false, a plain decimal number, or text. What YAML 1.1 would silently turn into
something else (`yes`, `1:30`, `012`, a bare date) is refused, for no two readers agree on it.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

_YAML_1_1: Any = yaml.resolver.Resolver()
_TEXT_TAG = "tag:yaml.org,2002:str"
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,17}")
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = ("", "~", "null", "Null", "NULL")
_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_REFERENCE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def is_null(text: str) -> bool:
    """Whether an unquoted word stands for no value at all."""
    return text in _NULLS


def meaning(text: str) -> bool | int | float | str:
    """Return what an unquoted word means. Raises `ValueError` if readers would disagree."""
    if text in _TRUTH:
        return _TRUTH[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _YAML_1_1.resolve(yaml.ScalarNode, text, (True, False)) != _TEXT_TAG:
        raise ValueError(
            "this means different things to different readers of YAML: write true or false, "
            "a plain decimal number, or put it in quotes if it is text"
        )
    return text


def fill(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return `text` with its variables filled in, and what is wrong with any of them."""
    wrong: list[str] = []

    def value(placeholder: re.Match[str]) -> str:
        if placeholder[0] == "$${":
            return "${"
        reference = _REFERENCE.fullmatch(placeholder[1]) if placeholder[2] else None
        if reference is None:
            # Not repeated: it may be a secret that happens to begin like a variable.
            wrong.append("expected ${NAME} or ${NAME:-default}; for a literal ${ write $${")
            return ""
        return _variable(reference[1], reference[2], environ, wrong)

    return _PLACEHOLDER.sub(value, text), wrong


def _variable(name: str, default: str | None, environ: Mapping[str, str], wrong: list[str]) -> str:
    found = environ.get(name)
    if default is not None:
        return found or default  # as a shell has it: an empty variable takes the default
    if found is None:
        wrong.append(
            f"environment variable {name} is not set: set it, or give a default with "
            f"${{{name}:-default}}"
        )
    return found or ""
