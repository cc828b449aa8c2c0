"""What every part of a scenario has in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

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


class Spec(BaseModel):
    """Base of every part of a scenario: frozen, strict about keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )
