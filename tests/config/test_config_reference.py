"""docs/configuration.md: every key, from the models themselves."""

import dataclasses
import re
from typing import get_type_hints

import pytest
import yaml
from pydantic import TypeAdapter
from support.checkout import REPOSITORY

from gateway import config
from gateway.config import models, reference
from gateway.config.models.storage import Redis

PAGE = REPOSITORY / "docs" / "configuration.md"


def sections(section):
    """A section, and all that are in it."""
    hints = get_type_hints(section, include_extras=True).items()
    inner = (reference.section_of(hint) for name, hint in hints if name in section.model_fields)
    return [section, *(each for one in inner if one is not None for each in sections(one))]


SECTIONS = list(dict.fromkeys(sections(models.Document)))
KEYS = [(section, name) for section in SECTIONS for name in section.model_fields]
VALUES = [
    (section, name)
    for section, name in KEYS
    if section.model_fields[name].examples and section is not models.Document
]


def test_the_page_is_what_the_models_say():
    """If this fails: .venv/bin/python -m gateway.config.reference docs/configuration.md"""
    assert reference.page(PAGE.read_text()) == PAGE.read_text()


@pytest.mark.parametrize(("section", "name"), KEYS)
def test_every_key_says_what_it_means(section, name):
    """A sentence on each, and an example where it has a value of its own."""
    field = section.model_fields[name]
    assert field.description
    hint = get_type_hints(section, include_extras=True)[name]
    assert field.examples or reference.section_of(hint)


def test_every_key_stands_in_the_page():
    """With the whole way to it."""
    page = PAGE.read_text()
    for key in ("data_dir", "server.tls.cert", "apps[].secrets", "subscribers[].retry.slow_first"):
        assert f"| `{key}` |" in page


@pytest.mark.parametrize(("section", "name"), VALUES)
def test_every_example_and_default_is_a_value_that_the_key_may_have(
    section, name, tmp_path, certificates
):
    """What the page shows can be written into the file, and a default means what the options have."""
    adapter = TypeAdapter(get_type_hints(section, include_extras=True)[name])

    def read(text):
        value = yaml.safe_load(text) if isinstance(text, str) else text
        return adapter.validate_python(value, context={"folder": tmp_path})

    for example in section.model_fields[name].examples:
        # A variable, as if it were set.
        read(re.sub(r"\$\{\w+\}", 16 * "x", example) if isinstance(example, str) else example)
    shown = reference.default(section, name)
    if not shown.startswith("`"):
        return
    found = read(shown.strip("`"))
    kinds = (section.becomes, *section.shared_with)
    (kept,) = {
        field.default for kind in kinds for field in dataclasses.fields(kind) if field.name == name
    }
    if name == "ack":
        found, _ = found
    assert (tuple(found) if isinstance(found, list) else found) == kept


def test_the_schema_tells_editors_the_same():
    """Meaning and example of each key are in the schema too."""
    url = config.json_schema()["$defs"]["Redis"]["properties"]["url"]
    assert url["description"] == Redis.model_fields["url"].description
    assert url["examples"]
