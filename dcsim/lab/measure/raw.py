"""Looks into data that may be wrong in any way: what has the expected form, or nothing.

A campaign's checks run on such data, so that one wrong unit does not hide what else is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pydantic_core import PydanticCustomError

from dcsim.spec import paths
from dcsim.spec.document import Document, Steps


def block(data: Any, key: str) -> dict[str, Any]:
    """The mapping at `key`, or an empty one."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def text(data: dict[str, Any], key: str) -> str | None:
    """The text at `key`, or None."""
    value = data.get(key)
    return value if isinstance(value, str) else None


def number(data: dict[str, Any], key: str, default: float) -> float | None:
    """The number at `key`, `default` where the key is absent, or None where it is no number. What
    the models read as one is one here: "8" is 8, and true is 1."""
    value = data.get(key, default)
    if isinstance(value, str):
        for read in (int, float):  # int first: it keeps every digit
            with suppress(ValueError):
                return read(value)
        return None
    return value if isinstance(value, int | float) else None


def items(document: Document, key: str) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """The mappings in the list at a top-level key, each with its path."""
    value = document.data.get(key)
    for index, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, dict):
            yield (key, index), item


def absolute(document: Document, path: Steps, text: str) -> str:
    """A path in full; the text unchanged, and a problem, where a variable is not set."""
    try:
        return paths.absolute(text, document.folder)
    except PydanticCustomError as error:
        document.add(path, error.message(), (error.context or {}).get("hint", ""))
        return text
