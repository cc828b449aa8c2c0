"""How many racks fit: known answers, refusals, and the same answer however it is played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from dcsim import studies
from dcsim.errors import StudyError
from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario
from dcsim.studies import Runner
from dcsim.studies.ask import variant
from dcsim.studies.target import find_target
from dcsim.studies.variants import parse_policies
from tests.studies.small import TEXT, small

BOARD_W = 4 * (8 * 400.0 + 1000.0) / 2
"""Two servers of eight GPUs at their limit, and a kilowatt each."""
BREAKER = {"facility.row.breaker": {"curve": "dynamo-rpp"}}
THROTTLE: dict[str, Sequence[dict[str, Any]] | None] = {
    "none": [],
    "throttle": [{"policy": "admission-throttle", "nodes": "row"}],
}

oversubscription = partial(studies.oversubscription, models=["scenario"])


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner(workers=1)


def constant(racks: int = 2) -> Scenario:
    """Servers that draw the limit of their GPUs, always."""
    changes = {"servers.0.power": {"model": "board-limit"}, "facility.rack.count": racks}
    return variant(small(), changes)


@pytest.mark.parametrize("limit_w", [BOARD_W * 3, BOARD_W * 3 - 1.0, 26_000.0, 31_000.0])
@pytest.mark.parametrize("rule", ["paper", "breaker"])
def test_constant_servers_fit_floor_of_limit_over_rack(
    limit_w: float, rule: Any, runner: Runner
) -> None:
    found = oversubscription(constant(), limit_w=limit_w, rule=rule, runner=runner)
    row = found.frame.iloc[0]
    assert row["count"] == math.floor(limit_w / BOARD_W)
    assert row["count_low"] == row["count"]


def test_servers_are_counted_as_racks_are(runner: Runner) -> None:
    found = oversubscription(
        constant(1), under="rack", counted="server", limit_w=17_000.0, runner=runner
    )
    assert found.frame["count"].tolist() == [4]


def test_a_site_limit_counts_whole_rows(runner: Runner) -> None:
    """Two rows: a rack more under each, or none; cooling is under the limit too."""
    rows = variant(constant(), {"facility.row.count": 2, "cooling": {"pue": 1.25}})
    limit_w = 7 * BOARD_W * 1.25
    found = oversubscription(rows, under="site", counted="rack", limit_w=limit_w, runner=runner)
    # Ratings count too: a row's 26 kW hold three racks, so that six fit under both.
    assert found.frame["count"].tolist() == [6]
    assert (found.tables["candidates"].frame["count"] % 2 == 0).all()


def test_what_feeds_the_limit_counts_too(runner: Runner) -> None:
    """A row that would hold three hangs from a site that holds two."""
    tight = variant(constant(), {"facility.site.rating": f"{2.5 * BOARD_W} W"})
    found = oversubscription(tight, under="row", limit_w=3.5 * BOARD_W, runner=runner)
    assert found.frame["count"].tolist() == [2]
    candidates = found.tables["candidates"].frame
    assert candidates.loc[candidates["count"] == 3, "binding"].tolist() == ["site"]


def test_models_and_policies_side_by_side(runner: Runner) -> None:
    found = oversubscription(
        variant(small(), BREAKER),
        models=["nameplate", "board-limit", "ledger"],
        policies=THROTTLE,
        max_trip=0.6,
        fill="rating",
        runner=runner,
    )
    frame = found.frame.set_index(["model", "policy"])
    assert frame.loc[("nameplate", "none"), "count"] == 2
    assert frame.loc[("board-limit", "none"), "count"] == 3
    assert frame.loc[("ledger", "none"), "count"] >= 3
    assert ("ledger", "throttle") in frame.index
    # Where nothing failed in n runs, the two-sided interval ends at 1 - (5 % / 2) ** (1 / n).
    runs = frame.loc[("ledger", "none"), "runs"]
    assert runs == 4
    assert frame.loc[("ledger", "none"), "trip_high"] == pytest.approx(1 - 0.025 ** (1 / runs))
    # What is held to --max-trip is one-sided.
    at_most = frame.loc[("ledger", "none"), "trip_at_most"]
    assert at_most == pytest.approx(1 - 0.05 ** (1 / runs))
    assert at_most <= 0.6
    assert found.figures["nameplate_count"] == 2


def test_the_paper_rule_reads_the_recording_and_adds_overhead(runner: Runner) -> None:
    site = variant(constant(8), {"cooling": {"pue": 1.3}})
    found = oversubscription(site, limit_w=60_000.0, rule="paper", runner=runner)
    row = found.frame.iloc[0]
    assert row["count"] == math.floor(60_000 / BOARD_W)
    assert row["count_with_overhead"] == math.floor(60_000 / BOARD_W / 1.3)
    assert row["peak_w"] == pytest.approx(row["count"] * BOARD_W)
    screen = found.tables["screen"].frame
    assert (screen["exceeding"] == (screen["count"] > row["count"])).all()


def test_the_paper_rule_lies_between_levels(runner: Runner) -> None:
    """Constant loads, which may be 10 % higher or lower: floors by hand. By what they stand on, the
    level is that of GPUs off by 4.8 % in the median, and of a quarter of the watts assumed."""
    found = oversubscription(
        constant(8), limit_w=60_000.0, rule="paper", level_error=0.1, runner=runner
    )
    row = found.frame.iloc[0]
    assert row["count_level_low"] == math.floor(60_000 / (1.1 * BOARD_W))
    assert row["count_level_high"] == math.floor(60_000 / (0.9 * BOARD_W))
    told = (
        f"; {row['count_level_low']:.0f} to {row['count_level_high']:.0f} if all loads are 10.0 %"
    )
    assert any(told in line for line in found.headline)
    stated = oversubscription(
        constant(8), limit_w=60_000.0, rule="paper", runner=runner
    ).frame.iloc[0]
    gpus = 3200 / 4200
    level = 1.6449 * math.hypot(gpus * 0.048 / 0.6745, (1 - gpus) * 0.1)
    assert stated["level_error"] == pytest.approx(level, rel=1e-4)


def test_the_answer_depends_on_no_worker_and_no_rest(tmp_path: Any) -> None:
    """Two workers, one, and one that goes on: the same tables."""
    asked = {"max_trip": 0.6, "runner": None}
    with Runner(tmp_path / "a", workers=2) as two:
        first = oversubscription(small(), **{**asked, "runner": two})
    with Runner(tmp_path / "b", workers=1) as one:
        second = oversubscription(small(), **{**asked, "runner": one})
        again = oversubscription(small(), **{**asked, "runner": one})
    for name, table in first.tables.items():
        assert table.frame.equals(second.tables[name].frame)
        assert table.frame.equals(again.tables[name].frame)
    assert first.headline == second.headline


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"under": "rwo"}, "did you mean 'row'"),
        ({"under": "site"}, "give --limit"),
        ({"under": "rack", "counted": "row"}, "does not hang from"),
        ({"counted": "site"}, "cannot be counted"),
        ({"seeds": 0}, "give --seeds 5"),
        ({"seeds": []}, "give --seeds 5"),
        ({"max_trip": 0.0, "seeds": 3}, "between 0 and 1, such as 0.05, which 59 seeds"),
        ({"max_trip": 0.05, "seeds": 3}, "give --seeds 59, or --max-trip 0.64"),
        ({"models": ["gur"]}, "did you mean 'gru'"),
        ({"models": []}, "name one"),
        ({"draws": 0}, "the paper's are 200"),
        ({"quantile": 1.0}, "between 0 and 1"),
        ({"limit_w": -1.0}, "--limit: '-1.0' must be above 0"),
        ({"window_s": 0.0}, "--window: '0.0' must be above 0"),
        ({"max_slo_loss": 2.0}, "such as 0.01"),
        ({"policies": {"x": [{"policy": "no-such"}]}}, "--policy x"),
    ],
)
def test_meaningless_questions_are_refused_before_any_run(
    asked: dict[str, Any], told: str, runner: Runner
) -> None:
    before = runner.executed
    with pytest.raises(StudyError) as error:
        oversubscription(small(), runner=runner, **asked)
    assert told in str(error.value)
    assert runner.executed == before


def test_fifty_nine_runs_show_a_twentieth() -> None:
    """What the refusal says is the classic rule: 0.95 ** 59 < 0.05 < 0.95 ** 58."""
    assert 0.95**59 < 0.05 < 0.95**58


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("throttle", "names no control block"),
        ("x=", "names no control block"),
        ("x=nothing.yaml", "there is no file 'nothing.yaml'"),
        ("x=[1, 2]", "is a list of policies"),
        ("x=[{", "not YAML"),
    ],
)
def test_policies_that_are_none(text: str, told: str) -> None:
    with pytest.raises(StudyError) as error:
        parse_policies([text])
    assert told in str(error.value)


def test_policies_from_files_and_lines(tmp_path: Any) -> None:
    file = tmp_path / "throttle.yaml"
    file.write_text("control:\n  - {policy: admission-throttle, nodes: row}\n")
    found = parse_policies(["none", "scenario", f"a={file}", "b={policy: admission-throttle}"])
    assert found["none"] == []
    assert found["scenario"] is None
    assert found["a"] == THROTTLE["throttle"]
    assert found["b"] == [{"policy": "admission-throttle"}]
    with pytest.raises(StudyError, match="twice"):
        parse_policies(["none", "none"])


def test_racks_are_what_is_counted_without_saying() -> None:
    target = find_target(small(), None, None, None)
    assert (target.counted_name, target.under_name, target.limit_w) == ("rack", "row", 26_000.0)
    assert (target.now, target.step) == (2, 1)
    assert target.unit_nameplate_w() == 13_000.0


def test_more_racks_bring_their_traffic_or_not() -> None:
    target = find_target(small(), None, None, None)
    scaled = target.resized(target.scenario, 6, "scaled")
    fixed = target.resized(target.scenario, 6, "fixed")
    assert [spike.factor for spike in scaled.workload[0].arrivals.spikes] == [3.0]
    assert not fixed.workload[0].arrivals.spikes
    assert scaled.facility[2].count == fixed.facility[2].count == 6


def test_by_nameplate_all_that_hangs_there_counts() -> None:
    """Racks of 13 kW by label under 60 kW: 4 alone, 2 beside another two racks, none beside five;
    with a PUE of 1.3 a rack takes 16.9 kW, so that three fit."""
    text = TEXT.replace("rating: 26 kW", "rating: 60 kW")

    def count(scenario: str) -> int:
        return find_target(loads(scenario), "row", "rack", None).nameplate_count()

    assert count(text) == 4
    for others, fit in ((2, 2), (4, 0), (5, 0)):
        more = (
            f"  - {{name: other, kind: rack, parent: row, count: {others}}}\n"
            "  - {name: more, kind: server, parent: other, count: 2, group: a100}\n"
        )
        assert count(text + more) == fit
    assert count(text + "cooling: {pue: 1.3, at: row}\n") == 3
    target = find_target(loads(text + "cooling: {pue: 1.3, at: row}\n"), "row", "rack", None)
    assert target.nameplate_load_w(3) == pytest.approx(3 * 13_000 * 1.3)


@pytest.mark.parametrize(
    ("limit", "count", "binding"),
    [
        (
            {"demand": [{"window": "30 s", "limit": f"{2.4 * BOARD_W} W"}]},
            2,
            "30 s demand 20.16 kW",
        ),
        (
            {"demand": [{"window": "20 s", "limit": f"{1.7 * BOARD_W} W", "windows": "clock"}]},
            1,
            "20 s demand by the clock 14.28 kW",
        ),
        # No run of a minute fills it: its mean is held to the limit.
        (
            {"demand": [{"window": "5 min", "limit": f"{2.4 * BOARD_W} W"}]},
            2,
            "5 min demand 20.16 kW",
        ),
    ],
)
def test_demand_limits_of_what_feeds_the_row_count(
    limit: dict[str, Any], count: int, binding: str, runner: Runner
) -> None:
    """By hand: racks of constant watts, and a contract of the site that holds 2.4, or 1.7, of
    them, where the row would hold three."""
    site = variant(constant(), {f"facility.site.{key}": value for key, value in limit.items()})
    found = oversubscription(site, under="row", limit_w=3.5 * BOARD_W, runner=runner)
    assert found.frame["count"].tolist() == [count]
    candidates = found.tables["candidates"].frame
    assert f"site, {binding}" in candidates["binding"].tolist()
    assert f"Nor may a run pass: site, {binding}." in " ".join(found.reasons)
    paper = oversubscription(site, limit_w=3.5 * BOARD_W, rule="paper", runner=runner)
    assert f"Not judged by it: site, {binding}." in " ".join(paper.reasons)


def test_a_ramp_limit_that_no_count_keeps_leaves_none(runner: Runner) -> None:
    """Traffic moves a site of two servers by more than a watt within 10 s, however few."""
    site = variant(small(), {"facility.row.ramp": {"change": "1 W", "window": "10 s"}})
    found = oversubscription(site, under="row", limit_w=40e3, runner=runner)
    assert found.frame["count"].tolist() == [0]
    assert "nearest to its limit is row, 10 s ramp 1 W." in " ".join(found.reasons)


@pytest.mark.parametrize(
    ("rating", "holds_w"),
    [
        # By hand: 18 kVA at 0.9 are 16.2 kW; 45 A at 208 V in three phases, sqrt(3) x 208 x 45 x
        # 0.9 = 14.59 kW. A rack takes 8.4 kW.
        ("18 kVA", 16_200.0),
        ("45 A at 208 V", 14_590.8),
    ],
)
def test_ratings_in_volt_amperes_and_amperes_are_limits(
    rating: str, holds_w: float, runner: Runner
) -> None:
    changes: dict[str, Any] = {"facility.row.rating": rating, "facility.server.power_factor": 0.9}
    site = variant(constant(), changes | {"facility.row.phases": 3})
    assert find_target(site, None, None, None).limit_w == pytest.approx(holds_w, rel=1e-5)
    found = oversubscription(site, fill="rating", runner=runner)
    assert found.frame["count"].tolist() == [math.floor(holds_w / BOARD_W)]


def test_where_nothing_fits_by_nameplate_the_comparison_says_so(runner: Runner) -> None:
    """Three racks of others' labels are 39 of 40 kW; simulated there is room for one more."""
    text = TEXT.replace("rating: 26 kW", "rating: 40 kW") + (
        "  - {name: other, kind: rack, parent: row, count: 3}\n"
        "  - {name: more, kind: server, parent: other, count: 2, group: a100}\n"
    )
    found = oversubscription(
        loads(text), counted="rack", max_trip=0.6, fill="rating", runner=runner
    )
    assert found.figures["nameplate_count"] == 0
    assert found.frame["count"].iloc[0] >= 1
    assert found.frame["to_nameplate"].isna().all()
    assert "By nameplate no rack fits under 40 kW: with 1 all that hangs there" in found.reasons[0]
    assert "times the nameplate" not in found.headline[0]


def test_a_breaker_is_filled_to_what_it_may_carry_for_good(runner: Runner) -> None:
    """A standard-rated breaker of 26 kW: 20.8 kW, two racks of 8.4 kW; rated, three. A limit that
    is given is what may be carried."""
    site = variant(constant(), BREAKER)
    found = oversubscription(site, runner=runner)
    assert (found.frame["count"].tolist(), found.inputs["limit_w"]) == ([2], 0.8 * 26_000.0)
    assert "no trip, its load is constant" in found.headline[0]
    assert oversubscription(site, fill="rating", runner=runner).frame["count"].tolist() == [3]
    given = oversubscription(site, limit_w=26_000.0, runner=runner)
    assert (given.frame["count"].tolist(), given.inputs["fill"]) == ([3], "given")


def test_trips_a_year_by_the_tail_of_the_runs(runner: Runner) -> None:
    """What a candidate is worth is what its own runs say, carried on to the busy hours of a
    year."""
    site = variant(small(), BREAKER)
    found = oversubscription(site, seeds=20, window_s=10.0, max_slo_loss=1.0, runner=runner)
    row = found.frame.iloc[0]
    assert row["count"] >= 1
    assert row["risk_by"] in ("tail", "bursts")
    assert f"trips of {row['count']} are bounded by " in " ".join(found.reasons)
    assert 1e-3 <= row["trips_per_year_at_most"] <= 0.1
    assert "trip in" in found.headline[0]
    assert "95 % sure" in found.headline[0]
    assert row["count_all"] <= row["count"]
    assert row["level_error"] > 0.0
    rare = oversubscription(
        site, seeds=20, window_s=10.0, max_slo_loss=1.0, busy_hours=1.0, runner=runner
    )
    assert rare.frame["count"].iloc[0] >= row["count"]


def test_too_few_runs_show_what_labels_do(runner: Runner) -> None:
    """Two racks at their labels, 26 kW, stay under the pick-up of their breaker; of three, three
    runs say nothing."""
    found = oversubscription(variant(small(), BREAKER), seeds=3, window_s=10.0, runner=runner)
    assert found.frame["count"].tolist() == [2]
    assert found.frame["risk_by"].tolist() == ["labels"]
    assert "no trip, not even with every server at its label" in found.headline[0]
    assert "3 runs tell nothing of rare events" in " ".join(found.reasons)


@pytest.mark.parametrize(
    ("asked", "told"),
    [({"max_trips_per_year": 0.0}, "one in ten years"), ({"busy_hours": 9000.0}, "at most 8760")],
)
def test_years_that_are_none(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(StudyError, match=told):
        oversubscription(small(), runner=None, **asked)


def test_the_error_of_the_level_moves_the_count(runner: Runner) -> None:
    """Racks of 8.4 kW under 26 kW: three, up to 3 % more each; at 4 % two. By seeds alone three."""
    told = {}
    for error in (0.0, 0.03, 0.04):
        found = oversubscription(
            constant(), limit_w=26_000.0, level_error=error, day_spread=0.0, runner=runner
        )
        row = found.frame.iloc[0]
        told[error] = (int(row["count"]), int(row["count_all"]))
        assert f"may be up to {100 * error:.1f} % higher" in " ".join(found.uncertainty)
        assert f"; {row['count_all']:.0f} if loads may also be" in found.headline[0]
    assert told == {0.0: (3, 3), 0.03: (3, 3), 0.04: (3, 2)}


def test_days_that_differ_move_the_count(runner: Runner) -> None:
    """Two racks are 16.8 of the 20.8 kW that a standard-rated breaker of 26 kW carries for good. A
    run of one day in twenty may be above that: days may differ by the distance over 1.645. Trips
    do not bind in the 60 runs of an hour a year: the rating is 3.4 standard deviations away."""
    site = variant(constant(), BREAKER)
    spread = math.log(20_800.0 / (2 * BOARD_W)) / 1.6449
    for days, count in ((0.95 * spread, 2), (1.05 * spread, 1)):
        found = oversubscription(
            site, level_error=0.0, day_spread=days, busy_hours=1.0, runner=runner
        )
        row = found.frame.iloc[0]
        assert (int(row["count"]), int(row["count_all"])) == (2, count)
