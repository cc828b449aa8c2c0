"""Looks into data that may be wrong in any way: what has the expected form, or nothing.

The checks across a file run on such data, so that one wrong unit does not hide a cycle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from dcsim.spec.document import Document, Steps


def block(data: Any, key: str) -> dict[str, Any]:
    """The mapping at `key`, or an empty one."""
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def text(data: dict[str, Any], key: str) -> str | None:
    """The text at `key`, or None."""
    found = data.get(key)
    return found if isinstance(found, str) else None


def number(data: dict[str, Any], key: str, default: float) -> float | None:
    """The number at `key`, `default` where the key is absent, or None where it is no number. What
    the models read as one is one here: "8" is 8, and true is 1."""
    found = data.get(key, default)
    if isinstance(found, str):
        for read in (int, float):  # int first: it keeps every digit
            with suppress(ValueError):
                return read(found)
        return None
    return found if isinstance(found, int | float) else None


def items(document: Document, key: str) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """The mappings in the list at a top-level key, each with its path."""
    found = document.data.get(key)
    for index, item in enumerate(found if isinstance(found, list) else []):
        if isinstance(item, dict):
            yield (key, index), item


def recordings(path: Steps, stream: dict[str, Any]) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """The parts of a workload stream that may name files, each with its path: the arrivals, the
    tokens, and the tokens within a mixture."""
    yield (*path, "arrivals"), block(stream, "arrivals")
    tokens = block(stream, "tokens")
    yield (*path, "tokens"), tokens
    parts = tokens.get("parts")
    for index, part in enumerate(parts if isinstance(parts, list) else []):
        yield (*path, "tokens", "parts", index, "tokens"), block(part, "tokens")
