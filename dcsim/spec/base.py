"""What every part of a scenario has in common."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from dcsim.spec.units import Unit

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def _percent(value: Any) -> Any:
    """`80 %` as 0.8; all else is left to the models."""
    if isinstance(value, str) and value.rstrip().endswith("%"):
        try:
            return float(value.rstrip()[:-1]) / 100.0
        except ValueError:
            return value
    return value


Fraction = Annotated[
    float,
    Field(gt=0, le=1),
    BeforeValidator(_percent),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^\s*\d+(\.\d*)?\s*%\s*$", "examples": ["80 %"]},
            ]
        },
        mode="validation",
    ),
]
"""A share above 0, up to 1; `80 %` is read as 0.8."""


def refused(message: str) -> PydanticCustomError:
    """What a validator of a model raises: a message for the user, shown as it stands."""
    return PydanticCustomError("refused", "{message}", {"message": message})


UNSAID = ("never", "none", "unknown")
"""Words by which the reference tells that a number is not given; a file may say them, too."""


class Spec(BaseModel):
    """Base of every part of a scenario: frozen, strict about keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

    def replace(self, **changes: Any) -> Self:
        """Return a checked copy with some keys changed (`model_copy` does not check).

        Parameters
        ----------
        changes
            By field name or by key of the file; quantities as numbers in SI units or as text.

        Raises
        ------
        pydantic.ValidationError
            For a key that is not there, or a value that does not fit.
        """
        fields = type(self).model_fields
        names = {field.alias or name: name for name, field in fields.items()}
        kept = {name: getattr(self, name) for name in fields}
        return type(self).model_validate(
            kept | {names.get(key, key): value for key, value in changes.items()}
        )

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, data: Any) -> Any:
        """`count: yes` is refused where pydantic alone would read 1."""
        if not isinstance(data, dict):
            return data
        given = {key for key, value in data.items() if _holds_truth(value)}
        for name, field in cls.model_fields.items() if given else ():
            key = field.alias if field.alias in given else name
            if key in given and not any(isinstance(part, Unit) for part in field.metadata):
                data = {**data, key: _as_words(data[key], field.annotation)}
        return data

    @model_validator(mode="before")
    @classmethod
    def _words_for_nothing(cls, data: Any) -> Any:
        """`repair_after: never` is what the key has where it is left out, and so are the others of
        UNSAID for numbers and quantities without a default."""
        if not isinstance(data, dict):
            return data
        given = {
            key for key, value in data.items() if isinstance(value, str) and value.lower() in UNSAID
        }
        for name, field in cls.model_fields.items() if given else ():
            key = field.alias if field.alias in given else name
            if key in given and field.default is None and may_be_unsaid(field.annotation):
                data = {**data, key: None}
        return data


def _holds_truth(value: Any) -> bool:
    """Whether a value is true or false, or a list or mapping of values with such a one."""
    if isinstance(value, list | tuple):
        return any(map(_holds_truth, value))
    if isinstance(value, dict):
        return any(map(_holds_truth, value.values()))
    return isinstance(value, bool)


def _as_words(value: Any, annotation: Any) -> Any:
    """A value in which true and false, where `annotation` has a number there, are the words: those
    are no numbers, and pydantic refuses them with their place. Quantities refuse them anyhow."""
    if get_origin(annotation) is Annotated:
        number, *metadata = get_args(annotation)
        if any(isinstance(part, Unit) for part in metadata):
            return value
        return _as_words(value, number)
    members = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        for member in () if bool in members else members:
            value = _as_words(value, member)
    elif annotation in (int, float) and isinstance(value, bool):
        return str(value).lower()
    elif get_origin(annotation) is tuple and isinstance(value, list | tuple):
        rest = members[:1] * len(value) if members[-1] is Ellipsis else members
        return [
            _as_words(item, rest[at]) if at < len(rest) else item for at, item in enumerate(value)
        ]
    elif get_origin(annotation) is list and isinstance(value, list | tuple):
        return [_as_words(item, members[0]) for item in value]
    elif get_origin(annotation) in (dict, Mapping) and isinstance(value, dict):
        return {key: _as_words(item, members[1]) for key, item in value.items()}
    return value


def may_be_unsaid(annotation: Any) -> bool:
    """Whether a field is a number or quantity, or nothing."""
    plain = {get_args(part)[0] if get_args(part) else part for part in get_args(annotation)}
    return type(None) in plain and bool(plain & {float, int}) and str not in plain
