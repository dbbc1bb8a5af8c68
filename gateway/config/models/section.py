"""What a section is, and how its keys are told.

A `Section` is a mapping in the file. Its fields carry the names of `gateway.options`, their
aliases the names in YAML, their descriptions the meanings. Defaults live in `gateway.options`
alone: a key that is not given is not passed on.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator


def key(
    meaning: str, *, called: str | None = None, unit: str | None = None, example: Any = None
) -> Any:
    """Return a key that may be left out. `called`: its name in YAML, where that is another."""
    return Field(
        default_factory=lambda: None,  # never read: only what was given is passed on
        alias=called,
        description=meaning,
        examples=None if example is None else [example],
        json_schema_extra=None if unit is None else {"unit": unit},
    )


def required(meaning: str, *, example: Any = None) -> Any:
    return Field(description=meaning, examples=None if example is None else [example])


class Section(BaseModel):
    """A mapping whose keys are all known. An empty one has had its keys commented out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    becomes: ClassVar[type[Any]]
    shared_with: ClassVar[tuple[type[Any], ...]] = ()  # other options that its keys are for

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {} if value is None else value

    def build(self) -> Any:
        """Return the options of this section, an instance of `becomes`."""
        return self.becomes(**self.given())

    def given(self) -> dict[str, Any]:
        """Return what the file gave, by the names of the options."""
        return {name: _built(getattr(self, name)) for name in self.model_fields_set}


def _built(value: Any) -> Any:
    if isinstance(value, Section):
        return value.build()
    if isinstance(value, list):
        return tuple(_built(item) for item in value)
    if isinstance(value, dict):
        return tuple(value.items())
    return value


def taken(given: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """Take out of `given` what belongs to the options of one kind."""
    return {name: given.pop(name) for name in kind.__dataclass_fields__ if name in given}
