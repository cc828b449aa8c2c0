"""The JSON Schema of `dcsim run --json` against real runs, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from typer.testing import CliRunner

import dcsim
from dcsim.cli import app
from dcsim.engine import simulate
from dcsim.results.schema import Summary, summary_schema

SCHEMA = summary_schema()
SHORT = {"quickstart": "2 s", "polca-row": "20 s", "feed-loss": "2 s", "autoscale-day": "2 s"}


def undescribed(value: Any, part: dict[str, Any], at: str = "") -> Iterator[str]:
    """Fields of a summary that the schema lacks."""
    if "$ref" in part:
        part = SCHEMA["$defs"][part["$ref"].rpartition("/")[2]]
    for option in part.get("anyOf", ()):
        if option.get("type") == "array" if isinstance(value, list) else "$ref" in option:
            yield from undescribed(value, option, at)
    if isinstance(value, list) and "items" in part:
        for index, item in enumerate(value):
            yield from undescribed(item, part["items"], f"{at}[{index}]")
    if isinstance(value, dict) and "properties" in part:
        for key, inner in value.items():
            if key in part["properties"]:
                yield from undescribed(inner, part["properties"][key], f"{at}.{key}")
            else:
                yield f"{at}.{key}"


@pytest.mark.parametrize("name", SHORT)
def test_a_run_keeps_to_its_schema(name: str) -> None:
    scenario = dcsim.load(f"scenarios/{name}.yaml", duration=SHORT[name])
    with simulate(scenario) as results:
        summary = json.loads(json.dumps(results.summary, allow_nan=False))
    TypeAdapter(Summary).validate_python(summary, strict=True)
    assert list(undescribed(summary, SCHEMA)) == []
    assert set(SCHEMA["required"]) | {"wall_s"} == set(summary)
    summary["nodes"][0]["peak_w"] = "5 kW"
    with pytest.raises(ValidationError, match=r"nodes\.0\.peak_w"):
        TypeAdapter(Summary).validate_python(summary, strict=True)
    summary["extra"] = 1
    assert list(undescribed(summary, SCHEMA)) == [".extra"]


def test_the_command_prints_the_schema(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["schema", "--summary"])
    assert json.loads(done.stdout) == SCHEMA
    kept = Path("docs/summary.schema.json").read_text(encoding="utf-8")
    assert done.stdout == kept, "python -m dcsim schema --summary -o docs/summary.schema.json"
    assert "Highest mean" in SCHEMA["$defs"]["NodeFigures"]["properties"]["peak_w"][
        "description"
    ]  # fmt: skip
