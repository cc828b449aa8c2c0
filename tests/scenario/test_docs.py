"""The page on the format names every key, and its examples are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dcsim.hardware import load_catalogue
from dcsim.scenario import loads
from dcsim.scenario import models as m
from tests.scenario.sample import GOOD

PAGE = (Path(__file__).parents[2] / "docs/scenario-format.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def specs(spec: type[m.Spec]) -> list[type[m.Spec]]:
    return [spec, *(below for sub in spec.__subclasses__() for below in specs(sub))]


def test_every_key_is_described() -> None:
    described = set(re.findall(r"`([a-z_]+)`", PAGE))
    parts = [spec for spec in specs(m.Spec)[1:] if spec.__module__.startswith(m.__name__)]
    assert len(parts) > 10
    for spec in parts:
        for name, field in spec.model_fields.items():
            assert (field.alias or name) in described, (spec.__name__, name)


def test_every_catalogue_name_is_listed() -> None:
    catalogue = load_catalogue()
    for table in (catalogue.servers, catalogue.models, catalogue.curves, catalogue.losses):
        for name in table:
            assert f"`{name}`" in PAGE


def test_the_whole_example_loads() -> None:
    assert loads(BLOCKS[0]).name == "small"


def test_the_partial_examples_fit_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "arrivals/azure_llm_2023_code.csv"
    trace.parent.mkdir()
    trace.write_text("")
    monkeypatch.setenv("DCSIM_DATA", str(tmp_path))
    assert len(BLOCKS) == 10
    data = yaml.safe_load(GOOD)
    streams = []
    for block in BLOCKS[1:]:
        data |= yaml.safe_load(block)
        if "workload" in yaml.safe_load(block):
            streams.append(data["workload"])
    # The small model's streams need a group of their own.
    data["servers"].append(
        {"name": "small", "server": "dgx-h100", "model": "llama-3-8b", "tensor_parallel": 1}
    )
    data["facility"].append({"name": "small", "kind": "server", "parent": "row", "group": "small"})
    assert len(streams) == 2
    for workload in streams:
        data["workload"] = workload
        assert len(loads(yaml.safe_dump(data)).workload) == 2
