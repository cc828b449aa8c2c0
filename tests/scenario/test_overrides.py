"""`--set path=value`, seed and duration."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcsim.errors import ScenarioError
from dcsim.scenario import load, loads
from tests.scenario.sample import GOOD, edited, only


def test_keys_items_by_name_and_by_index() -> None:
    scenario = loads(
        GOOD,
        [
            "servers.a100.engine.max_num_seqs=64",
            "workload.0.arrivals.rate='3 req/s'",
            "facility.rack.rating=20 kW",
            "workload.chat.tokens.output=7",
            "limits.warning_fraction=0.7",
            "facility.row.rating=",
        ],
    )
    assert scenario.servers[0].engine.max_num_seqs == 64
    assert scenario.servers[0].engine.max_num_batched_tokens == 2048
    assert getattr(scenario.workload[0].arrivals, "rate_per_s") == 3  # noqa: B009
    assert getattr(scenario.workload[0].tokens, "output_tokens") == 7  # noqa: B009
    assert scenario.facility[2].rating_w == 20e3
    assert scenario.facility[1].rating_w is None
    assert scenario.limits.warning_fraction == 0.7


def test_a_block_can_be_replaced_and_the_last_override_wins() -> None:
    scenario = loads(
        GOOD,
        [
            "workload.0.arrivals={kind: diurnal, mean_rate: 1 req/s}",
            "workload.0.arrivals.mean_rate=5 req/s",
            "seed=1",
            "seed=2",
        ],
    )
    assert getattr(scenario.workload[0].arrivals, "mean_rate_per_s") == 5  # noqa: B009
    assert scenario.seed == 2


def test_names_with_dots() -> None:
    text = edited(("name: a100", "name: a100.v2"), ("group: a100", "group: a100.v2"))
    assert (
        loads(text, ["servers.a100.v2.engine.max_num_seqs=3"]).servers[0].engine.max_num_seqs == 3
    )


@pytest.mark.parametrize(
    ("override", "path", "message"),
    [
        ("seed", "seed", "has no value"),
        ("=3", "", "has no value"),
        ("seed=[1", "seed", "not a YAML value"),
        ("servers.b100.model=x", "servers.b100.model", "no item named 'b100'"),
        ("servers.3.model=x", "servers.3.model", "no item 3: the list has 1"),
        ("name.first=x", "name.first", "nothing lies below 'sample'"),
        ("seed=-1", "seed", "greater than or equal to 0"),
        ("workload.0.arrivals.rate=3", "workload.0.arrivals.rate", "with its unit"),
        ("servers.a100.enigne.max_num_seqs=3", "servers.0.enigne", "unknown key"),
        ("facility.row.parent=nowhere", "facility.1.parent", "no facility row 'nowhere'"),
    ],
)
def test_wrong_overrides_name_the_option(override: str, path: str, message: str) -> None:
    problem = only(GOOD, override)
    assert (problem.file, problem.line, problem.path) == ("--set", None, path)
    assert message in problem.message


def test_an_override_can_mend_a_file() -> None:
    broken = edited(("rate: 2 req/s", "rate: fast"))
    assert only(broken).path == "workload.0.arrivals.rate"
    assert loads(broken, ["workload.0.arrivals.rate=2 req/s"]) == loads(GOOD)


def test_seed_and_duration(tmp_path: Path) -> None:
    file = tmp_path / "sample.yaml"
    file.write_text(GOOD)
    scenario = load(file, seed=7, duration="2 h")
    assert (scenario.seed, scenario.duration_s) == (7, 7200)
    with pytest.raises(ScenarioError) as caught:
        load(file, seed=-1, duration="2 kg")
    found = {(p.file, p.line, p.path) for p in caught.value.problems}
    assert found == {("--seed", None, "seed"), ("--duration", None, "duration")}
