"""A dumped scenario is whole, readable, and reads back equal."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.scenario import dump, load, loads, resolved
from tests.hardware.test_catalogue import data_folder
from tests.scenario.sample import GOOD

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


def test_quantities_have_units_and_defaults_are_there() -> None:
    data = resolved(loads(GOOD))
    assert data["duration"] == "10 min"
    assert data["power_step"] == "0.25 s"
    assert data["facility"][2]["rating"] == "23 kW"
    assert "rating" not in data["facility"][1]  # unknown is not 0
    assert data["servers"][0]["engine"]["max_num_seqs"] == 256
    assert yaml.safe_load(dump(loads(GOOD))) == data


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_validate_and_round_trip(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "DCSIM_DATA" in path.read_text():
        monkeypatch.setenv("DCSIM_DATA", str(data_folder()))
    scenario = load(path)
    assert scenario.name == path.stem
    monkeypatch.delenv("DCSIM_DATA", raising=False)
    assert loads(dump(scenario)) == scenario


def test_the_planned_scenarios_are_there() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "azure-2023-code",
        "azure-2023-conv",
        "quickstart",
        "site-240",
    }


@settings(max_examples=40, deadline=None)
@given(
    duration_s=st.floats(0.25, 1e7),
    rate=st.floats(1e-6, 1e6),
    rating_kw=st.floats(1e-3, 1e6),
    warning=st.floats(0.01, 1),
    mean=st.booleans(),
    limit=st.none() | st.integers(1, 10**6),
    control=st.booleans(),
    words=st.text(st.characters(exclude_categories=["C"]), max_size=30),
)
def test_round_trip(
    duration_s: float,
    rate: float,
    rating_kw: float,
    warning: float,
    mean: bool,
    limit: int | None,
    control: bool,
    words: str,
) -> None:
    arrivals = f"{{kind: poisson, rate: {rate!r} req/s}}"
    if mean:
        arrivals = f"{{kind: diurnal, mean_rate: {rate!r} req/s, peak_at: 13.7 h}}"
    changes = [
        f"duration={duration_s!r} s",
        f"workload.0.arrivals={arrivals}",
        f"facility.row.rating={rating_kw!r} kW",
        f"limits.warning_fraction={warning!r}",
        f"servers.a100.engine.queue_limit={'null' if limit is None else limit}",
        "description=" + yaml.safe_dump(words, allow_unicode=True, width=1000),
    ]
    if control:
        changes.append("control=[{policy: admission-throttle, period: 1.5 s, delay: 0.1 s}]")
    scenario = loads(GOOD, changes)
    assert scenario.description == words
    assert loads(dump(scenario)) == scenario
