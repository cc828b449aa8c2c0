"""What every part of a scenario has in common."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

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


UNSAID = ("never", "none", "unknown")
"""Words by which the reference tells that a number is not given; a file may say them, too."""


class Spec(BaseModel):
    """Base of every part of a scenario: frozen, strict about keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _words_for_nothing(cls, data: Any) -> Any:
        """`repair_after: never` is what the key has where it is left out, and so are the others of
        UNSAID for numbers and quantities without a default."""
        if not isinstance(data, dict):
            return data
        said = {
            key for key, value in data.items() if isinstance(value, str) and value.lower() in UNSAID
        }
        for name, field in cls.model_fields.items() if said else ():
            key = field.alias if field.alias in said else name
            if key in said and field.default is None and may_be_unsaid(field.annotation):
                data = {**data, key: None}
        return data


def may_be_unsaid(annotation: Any) -> bool:
    """Whether a field is a number or quantity, or nothing."""
    plain = {get_args(part)[0] if get_args(part) else part for part in get_args(annotation)}
    return type(None) in plain and bool(plain & {float, int}) and str not in plain
