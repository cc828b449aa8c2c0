"""Which format a file is of that does not fit the one it was given."""

from __future__ import annotations

from pathlib import Path

from dcsim.files import open_text
from dcsim.request_columns import ROLES, as_columns, recognised
from dcsim.workload.formats import FORMATS
from dcsim.workload.traces import csv_lines, json_lines

NEWEST = {"azure-2023": "azure-2024"}
"""Of two formats with the same columns, the one to name."""


def remedy(file: Path, names: list[str]) -> str:
    """What to set for a file with these columns or keys, in a few words."""
    lines = json_lines if _is_json(file) else csv_lines
    fits = [
        name
        for name, other in FORMATS.items()
        if other.lines is lines and other.columns and set(other.columns) <= set(names)
    ]
    if fits:
        return f"these are the columns of `format: {NEWEST.get(fits[0], fits[0])}`"
    by_suffix = "jsonl" if lines is json_lines else "csv"
    columns = recognised(names)
    if all(role in columns for role in ROLES):
        return f"`format: {by_suffix}` reads it as `columns: {as_columns(columns)}`"
    if {"prompt", "output"} <= set(columns):
        lengths = (
            name
            for name, other in FORMATS.items()
            if other.lines is lines and other.columns and set(other.columns[1:]) <= set(names)
        )
        known = next(lengths, by_suffix)
        return (
            "it has no times, so it cannot be replayed; its lengths can be used: `tokens: {kind: "
            f"empirical, file: {file.name}, format: {known}}}` with arrivals of another kind"
        )
    return (
        f"for columns of your own: `format: {by_suffix}` with `columns: {{time: ..., prompt: ..., "
        "output: ...}`"
    )


def _is_json(file: Path) -> bool:
    with open_text(file, errors="replace") as text:
        return next((line for line in text if line.strip()), "").lstrip().startswith("{")
