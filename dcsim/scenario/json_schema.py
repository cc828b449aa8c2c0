"""The JSON Schema of scenario files, for editors that complete and check while one types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from dcsim.scenario.describe import about, keys_of
from dcsim.scenario.models import Scenario
from dcsim.spec.base import UNSAID
from dcsim.spec.registered import models_in
from dcsim.spec.units import SCHEMA_PATTERN

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Draft 2020-12, with each key's meaning and example. What holds between keys (names that
    must exist, weights that must fit) only `dcsim validate` knows."""
    made = Scenario.model_json_schema(by_alias=True, mode="validation")
    specs = {_signature(spec.__name__, _names(spec)): spec for spec in _models(Scenario)}
    for part in list(_objects(made)):
        spec = specs.get(_signature(part["title"], part["properties"]))
        if spec is not None:
            _describe(part, spec)
    _plain(made)
    title = "dcsim scenario"
    return {"$schema": DRAFT, "title": title, "description": about(Scenario)} | {
        key: value for key, value in made.items() if key not in ("title", "description")
    }


def schema_text() -> str:
    """The schema as it is published in docs/scenario.schema.json."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def _models(spec: type[BaseModel]) -> set[type[BaseModel]]:
    models = {spec}
    for field in spec.model_fields.values():
        for member in models_in(field.rebuild_annotation()):
            models |= _models(member)
    return models


def _signature(title: str, keys: Iterable[str]) -> tuple[str, frozenset[str]]:
    """By which a model is known: specs of several packages may have one name."""
    return title, frozenset(keys)


def _names(spec: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in spec.model_fields.items()]


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """The models in a schema, with the one that it is of."""
    if isinstance(node, dict):
        if "title" in node and isinstance(node.get("properties"), dict):
            yield node
        for inner in node.values():
            yield from _objects(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _objects(inner)


def _describe(part: dict[str, Any], spec: type[BaseModel]) -> None:
    part["description"] = about(spec)
    for key in keys_of(spec):
        about_key = part.get("properties", {}).get(key.name)
        if about_key is not None:
            stated = key.default not in ("required", "none", "see below")
            text = f"{key.meaning} Default: {key.default}." if stated else key.meaning
            about_key["description"] = text.strip()


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
