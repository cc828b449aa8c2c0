"""As much of JSON Schema as scenario files need: enough to test what an editor would say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

TYPES: dict[str, Any] = {
    "string": str,
    "object": dict,
    "array": list,
    "null": type(None),
    "boolean": bool,
}


def complaints(value: Any, schema: dict[str, Any]) -> list[str]:
    """What a value breaks of a schema, each with its dotted path."""
    return list(_check(value, schema, schema, ""))


def _check(  # noqa: PLR0912 - a keyword of JSON Schema each
    value: Any, part: dict[str, Any], whole: dict[str, Any], at: str
) -> Iterator[str]:
    if "$ref" in part:
        yield from _check(value, whole["$defs"][part["$ref"].rpartition("/")[2]], whole, at)
    for choice in ("anyOf", "oneOf"):
        if choice in part:
            each = [list(_check(value, option, whole, at)) for option in part[choice]]
            passed = sum(not found for found in each)
            if passed == 0 or (choice == "oneOf" and passed > 1):
                yield min(each, key=len)[0] if passed == 0 else f"{at}: fits several"
    if "type" in part and not _is(value, part["type"]):
        yield f"{at}: not {part['type']}"
        return
    if "enum" in part and value not in part["enum"]:
        yield f"{at}: not in {part['enum']}"
    if "const" in part and value != part["const"]:
        yield f"{at}: not {part['const']}"
    if "pattern" in part and not re.search(part["pattern"], value):
        yield f"{at}: no match"
    for rule, broken in (
        ("minimum", lambda low: value < low),
        ("exclusiveMinimum", lambda low: value <= low),
        ("maximum", lambda high: value > high),
        ("exclusiveMaximum", lambda high: value >= high),
        ("minItems", lambda low: len(value) < low),
        ("maxItems", lambda high: len(value) > high),
        ("minLength", lambda low: len(value) < low),
    ):
        if rule in part and broken(part[rule]):
            yield f"{at}: {rule} {part[rule]}"
    if isinstance(value, dict):
        known = part.get("properties", {})
        for key in part.get("required", ()):
            if key not in value:
                yield f"{_join(at, key)}: missing"
        for key, inner in value.items():
            if key in known:
                yield from _check(inner, known[key], whole, _join(at, key))
            elif part.get("additionalProperties") is False:
                yield f"{_join(at, key)}: unknown"
    if isinstance(value, list):
        for index, inner in enumerate(value):
            fixed = part.get("prefixItems", [])
            spec = fixed[index] if index < len(fixed) else part.get("items", {})
            if isinstance(spec, dict):
                yield from _check(inner, spec, whole, _join(at, str(index)))


def _is(value: Any, kind: str) -> bool:
    if kind in ("integer", "number"):
        wanted: Any = int if kind == "integer" else int | float
        return isinstance(value, wanted) and not isinstance(value, bool)
    return isinstance(value, TYPES[kind])


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key
