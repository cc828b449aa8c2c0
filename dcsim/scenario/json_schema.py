"""The JSON Schema of scenario files, for editors that complete and check while one types."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from dcsim.scenario.describe import about, keys_of
from dcsim.scenario.models import Scenario
from dcsim.spec.base import UNSAID
from dcsim.spec.units import SCHEMA_PATTERN

DRAFT = "https://json-schema.org/draft/2020-12/schema"


class _Described(GenerateJsonSchema):
    """With the meaning of each key, which the models have below their fields."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        made = super().model_schema(schema)
        made["description"] = about(schema["cls"])
        for key in keys_of(schema["cls"]):
            stated = key.default not in ("required", "none", "see below")
            text = f"{key.meaning} Default: {key.default}." if stated else key.meaning
            made["properties"][key.name]["description"] = text.strip()
        return made


def json_schema() -> dict[str, Any]:
    """The schema of scenario files.

    Returns
    -------
    dict
        Draft 2020-12, with each key's meaning. What holds between keys (names that must exist,
        weights that must fit) only `dcsim validate` knows.
    """
    made = Scenario.model_json_schema(schema_generator=_Described)
    _plain(made)
    head = {"$schema": DRAFT, "title": "dcsim scenario", "description": made.pop("description")}
    return head | made


def schema_text() -> str:
    """The schema as it is published in docs/scenario.schema.json."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def _plain(node: Any) -> None:
    """With the words for nothing where a quantity may be left out; without titles, which repeat
    the keys, and without defaults in SI units, which are not what one writes."""
    if isinstance(node, dict):
        options = node.get("anyOf", ())
        if {"type": "null"} in options and any(
            option.get("pattern") == SCHEMA_PATTERN for option in options
        ):
            node["anyOf"] = [*options, {"enum": list(UNSAID)}]
        node.pop("title", None)
        node.pop("default", None)
        for name, inner in node.items():
            if name in ("properties", "$defs"):  # names of the user's, not of the schema's
                for part in inner.values():
                    _plain(part)
            else:
                _plain(inner)
    elif isinstance(node, list):
        for inner in node:
            _plain(inner)
