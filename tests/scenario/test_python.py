"""Specs made and changed in Python: numbers in SI units, texts with units, names or keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from dcsim.errors import ScenarioError
from dcsim.scenario.load import load, loads
from dcsim.scenario.models import (
    Breaker,
    FacilityNode,
    FilePath,
    FixedTokens,
    PoissonArrivals,
    Scenario,
    ServerGroup,
    Spec,
    Stream,
)
from tests.engine.sites import HOLES, SITE
from tests.hardware.test_catalogue import data_folder

EXAMPLES = sorted(Path("scenarios").glob("*.yaml"))


@pytest.mark.parametrize("value", [3.0, 3, np.float32(3.0), np.int64(3), "3 req/s", "180/min"])
@pytest.mark.parametrize("key", ["rate_per_s", "rate"])
def test_a_quantity_is_a_number_or_a_text(key: str, value: object) -> None:
    spec = PoissonArrivals.model_validate({"kind": "poisson", key: value})
    assert spec.rate_per_s == 3.0
    assert type(spec.rate_per_s) is float


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e16, True, None, "3"])
def test_what_is_no_rate_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        PoissonArrivals.model_validate({"kind": "poisson", "rate": value})


def test_files_and_options_still_need_units() -> None:
    text = SITE.format(**HOLES)
    scenario = loads(text)
    with pytest.raises(ScenarioError, match="expected a quantity with its unit") as caught:
        loads(text.replace("rate: 4 req/s", "rate: 4"))
    assert caught.value.problems[0].path == "workload.0.arrivals.rate"
    with pytest.raises(ScenarioError, match="expected a quantity with its unit"):
        loads(text, ["facility.row.rating=30000"])
    assert scenario.workload[0].arrivals == PoissonArrivals(kind="poisson", rate_per_s=4.0)


def test_a_rating_in_amperes_by_its_field_name() -> None:
    # sqrt(3) x 415 V x 100 A = 71.88 kVA
    row = FacilityNode(
        name="row", kind="row", parent="site", rating_w="100 A", voltage_v=415.0, phases=3
    )
    assert row.apparent_rating_va == pytest.approx(71_880, rel=1e-3)
    assert FacilityNode(name="row", kind="row", rating_w=50e3, breaker=Breaker()).rating_w == 50e3


def test_a_scenario_made_in_python_equals_its_file() -> None:
    template = loads(SITE.format(**HOLES))
    scenario = Scenario(
        name="small",
        seed=1,
        duration_s=120.0,
        workload=(
            Stream(
                name="chat",
                model="llama-3-70b",
                arrivals=PoissonArrivals(kind="poisson", rate_per_s=4.0),
                tokens=template.workload[0].tokens,
            ),
        ),
        servers=(
            ServerGroup(
                name="a100", server="dgx-a100-80gb", model="llama-3-70b", tensor_parallel=8,
                power={"model": "ledger"},
            ),
        ),
        routing={"policy": "least-outstanding"},
        facility=template.facility,
    )  # fmt: skip
    assert scenario == template


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_copy_without_changes_is_equal(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "DCSIM_DATA" in file.read_text(encoding="utf-8"):
        monkeypatch.setenv("DCSIM_DATA", str(data_folder()))
    scenario = load(file)
    assert scenario.replace() == scenario
    parts: list[BaseModel] = [*scenario.workload, *scenario.servers, *scenario.facility]
    for part in (*parts, *scenario.control, scenario.cooling, scenario.limits):
        assert part.replace() == part  # type: ignore[attr-defined]


def test_a_path_of_anybodys_spec_starts_at_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recording(Spec):
        file: FilePath

    monkeypatch.setenv("RECORDINGS", "/recordings")
    for written, path in (("a.csv", "/site/a.csv"), ("${RECORDINGS}/a.csv", "/recordings/a.csv")):
        read = Recording.model_validate({"file": written}, context={"folder": Path("/site")})
        assert read.file == Path(path)
    assert Recording(file=Path("a.csv")).file == Path("a.csv")


def test_a_changed_copy_is_checked() -> None:
    spec = PoissonArrivals(kind="poisson", rate_per_s=3.0)
    assert spec.replace(rate_per_s=4.0) == spec.replace(rate="4 req/s")
    with pytest.raises(ValidationError, match="above 0"):
        spec.replace(rate_per_s=-4.0)
    with pytest.raises(ValidationError, match="speed"):
        spec.replace(speed=1)


def test_a_changed_scenario_is_checked_as_a_file() -> None:
    scenario = loads(SITE.format(**HOLES))
    changed = scenario.replace({"facility.row.rating": 35e3}, duration_s=60.0, seed=2)
    assert (changed.facility[1].rating_w, changed.duration_s, changed.seed) == (35e3, 60.0, 2)
    assert changed == scenario.replace({"facility.row.rating": "35 kW"}, duration="1 min", seed=2)
    tokens = FixedTokens(kind="fixed", prompt=100, output=10)
    stream = scenario.workload[0].replace(tokens=tokens)
    assert scenario.replace(workload=[stream]).workload[0].tokens == tokens
    with pytest.raises(ScenarioError) as caught:
        scenario.replace({"servers.a100.server": "dgx-9", "facility.row.parent": "hall"})
    assert [(p.file, p.path) for p in caught.value.problems] == [
        ("<small>", "facility.1.parent"),
        ("<small>", "servers.0.server"),
    ]
    with pytest.raises(ScenarioError, match="unknown key"):
        scenario.replace(length=3)
