"""Growth: where a limit is met, and what is refused."""

from __future__ import annotations

import io
from datetime import date

import numpy as np
import pytest
from rich.console import Console

from dcsim.errors import StudyError
from dcsim.report.answer import render
from dcsim.studies import Fix, GrowthStudy, Runner, growth
from dcsim.studies.ask import variant
from dcsim.studies.growth.rows import Pace, crossing
from tests.studies.small import small

TICK = {"power_step": "1 s"}
FULL = {"facility.row.continuous": "100 %"}
"""The row may carry its rating for good."""
CONSTANT = {"servers.0.power": {"model": "board-limit"}}
"""4 servers x (8 x 400 W + 1 kW) = 16.8 kW, whatever the traffic."""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(tmp_path_factory.mktemp("runs"), workers=1)


def test_crossing_is_on_straight_lines_and_the_first() -> None:
    assert crossing([1, 2, 3], [10, 20, 40], 15) == 1.5
    assert crossing([1, 2, 3], [10, 20, 40], 30) == 2.5
    assert crossing([1, 2, 3], [20, 10, 40], 15) == 1  # there already, whatever comes after
    assert np.isnan(crossing([1, 2, 3], [10, 20, 40], 41))


def test_a_pace_is_compound() -> None:
    pace = Pace(1.1, date(2026, 12, 1))
    assert pace.months(1.21) == pytest.approx(2.0)
    assert pace.day(1.21) == "2027-01-30"
    assert np.isnan(Pace(None, None).months(2.0))


def test_constant_power_meets_its_limit_at_once_or_never(runner: Runner) -> None:
    for rating, factor in (("16.9 kW", np.nan), ("16.7 kW", 1.0)):
        site = variant(small(), {**CONSTANT, **FULL, "facility.row.rating": rating})
        answer = growth(site, [1.0, 2.0], seeds=2, window_s=1.0, runner=runner)
        assert answer.frame.loc[0, "node"] == "row"
        np.testing.assert_equal(answer.frame.loc[0, "factor"], factor)


def test_what_is_uncertain_besides_seeds_meets_a_limit_earlier(runner: Runner) -> None:
    """A limit 1 % above a constant load is never met by it, and is by one that may be higher."""
    site = variant(small(), {**CONSTANT, **FULL, "facility.row.rating": "16.97 kW"})
    answer = growth(site, [1.0, 2.0], seeds=2, window_s=1.0, runner=runner)
    row = answer.frame.iloc[0]
    assert np.isnan(row["factor"])
    assert row["factor_in_doubt"] == answer.figures["first_breach_factor_in_doubt"] == 1.0
    assert "is met at x1.00 already with a chance of 5 %" in " ".join(answer.uncertainty)
    high = variant(small(), {**CONSTANT, **FULL, "facility.row.rating": "30 kW"})
    far = growth(high, [1.0, 2.0], seeds=2, window_s=1.0, runner=runner)
    assert np.isnan(far.frame.loc[0, "factor_in_doubt"])


def test_the_breach_is_where_the_table_says(runner: Runner) -> None:
    """A limit put half way between two peaks is met half way, in each seed's own line."""
    peaks = (
        growth(small(), [1.0, 2.0, 4.0], seeds=1, window_s=1.0, runner=runner).tables["loads"].frame
    )
    row = peaks[peaks["node"] == "row"].set_index("factor")["peak_w"]
    limit_w = 0.5 * (row[2.0] + row[4.0])
    site = variant(small(), {**FULL, "facility.row.rating": f"{limit_w:.6f} W"})
    fix = Fix.parse("bigger | 5000 | facility.row.rating=60 kW")
    wrong = Fix.parse("nothing | 1 | description=x")
    answer = growth(
        site,
        [1.0, 2.0, 4.0],
        seeds=1,
        window_s=1.0,
        per_month=1.05,
        fixes=[fix, wrong],
        runner=runner,
    )
    assert answer.frame.loc[0, "factor"] == pytest.approx(3.0, rel=1e-6)
    assert answer.frame.loc[0, "month"] == pytest.approx(np.log(3) / np.log(1.05), rel=1e-6)
    fixes = answer.tables["fixes"].frame
    assert fixes["fix"].tolist() == ["bigger", "nothing"]
    assert fixes["removes"].tolist() == [True, False]
    # Nothing beyond x4 was played, and nothing is said of it.
    assert "Cheapest fix listed: bigger" in answer.headline[-1]
    assert answer.headline[-1].endswith("good up to x4 at least, the most that was played.")


@pytest.mark.parametrize(
    ("changes", "first", "share"),
    [
        # A standard-rated breaker of 20 kW carries 16 kW for good.
        ({"facility.row.rating": "20 kW"}, "row, continuous 16 kW", 1.05),
        (
            {"facility.site.demand": [{"window": "30 s", "limit": "10 kW"}]},
            "site, 30 s demand 10 kW",
            1.68,
        ),
        (
            {"facility.site.demand": [{"window": "30 s", "limit": "12 kW", "windows": "clock"}]},
            "site, 30 s demand by the clock 12 kW",
            1.4,
        ),
    ],
)  # fmt: skip
def test_a_limit_is_a_limit_of_whatever_kind(
    runner: Runner, changes: dict, first: str, share: float
) -> None:
    site = variant(small(), {**CONSTANT, **changes})
    answer = growth(site, [1.0, 2.0], seeds=1, window_s=1.0, runner=runner)
    assert answer.headline[0] == (
        f"First limit met: {first}, at the traffic of x1 already: {100 * share:.1f} % of it."
    )
    assert answer.figures["first_breach_limit"] == first.partition(", ")[2]
    assert answer.frame.loc[0, "share"] == pytest.approx(share)


def test_a_fix_must_remove_limits_of_every_kind(runner: Runner) -> None:
    demand = [{"window": "30 s", "limit": "10 kW"}]
    site = variant(small(), {**CONSTANT, "facility.site.demand": demand})
    fixes = [
        Fix("longer row", 10, {"facility.row.rating": "90 kW"}),
        Fix("contract", 20, {"facility.site.demand.0.limit": "17 kW"}),
    ]
    answer = growth(site, [1.0, 2.0], seeds=1, fixes=fixes, runner=runner)
    table = answer.tables["fixes"].frame.set_index("fix")
    assert table["removes"].to_dict() == {"contract": True, "longer row": False}
    assert table.loc["longer row", "binding"] == "site, 30 s demand 10 kW"


def test_a_limit_that_no_run_could_judge_is_named(runner: Runner) -> None:
    demand = [{"window": "15 min", "limit": "1 kW"}]
    site = variant(small(), {**CONSTANT, **FULL, "facility.site.demand": demand})
    answer = growth(site, [1.0, 2.0], seeds=1, runner=runner)
    assert answer.headline[0].startswith("No limit is met")
    assert answer.uncertainty[1] == (
        "Not judged: site, 15 min demand 1 kW: no whole window in the 1 min measured, whose mean "
        "is 16.8 kW; play at least 15 min."
    )
    alone = variant(small(), {"facility.row.rating": None, "facility.site.demand": demand})
    with pytest.raises(StudyError, match="no whole window in the 1 min"):
        growth(alone, [1.0, 2.0], seeds=1, runner=runner)
    with pytest.raises(StudyError, match="has no limit that traffic could meet"):
        growth(variant(small(), {"facility.row.rating": None}), [1.0, 2.0], seeds=1, runner=runner)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"factors": [1.0]}, "two or more"),
        ({"seeds": 0}, "--seeds 5"),
        ({"per_month": 0.9}, "above 1"),
        ({"start": date(2026, 1, 1)}, "--per-month"),
        ({"fixes": [Fix("x", 1, {"facility.roww.rating": "1 kW"})]}, "row"),
        ({"fixes": [Fix("x", 1, TICK), Fix("x", 2, TICK)]}, "--fix: two fixes have the same name"),
    ],
)
def test_what_is_meaningless_is_refused(runner: Runner, changes: dict, expected: str) -> None:
    asked = {"factors": [1.0, 2.0], "runner": runner, **changes}
    with pytest.raises(StudyError, match=expected):
        growth(small(), asked.pop("factors"), **asked)


@pytest.mark.parametrize(
    ("words", "months"),
    [
        (["--per-month", "10 %"], 1.0),
        (["--per-month", "1.1"], 1.0),
        (["--per-quarter", "10%"], 3.0),
        (["--per-year", "10 %"], 12.0),
    ],
)
def test_growth_by_month_quarter_or_year(words: list[str], months: float) -> None:
    """x1.1 is reached after one such span, whichever way it was written."""
    study = GrowthStudy.build(**{words[0][2:].replace("-", "_"): words[1]})
    assert study.pace.months(1.1) == pytest.approx(months)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"month": "1.1", "year": "2"}, "--per-month and --per-year: choose one"),
        ({"quarter": "much"}, "--per-quarter: 'much' is neither growth such as '5 %' nor a factor"),
        ({"year": "0 %"}, "--per-year: give growth above 0"),
        ({"year": "0.9"}, "--per-year: give growth above 0"),
        ({"year": "nan"}, "--per-year: expected a finite number"),
    ],
)
def test_growth_that_is_none(given: dict, message: str) -> None:
    with pytest.raises(StudyError) as error:
        GrowthStudy.build(**{f"per_{span}": text for span, text in given.items()})
    assert error.value.problems[0].startswith(message)


def test_limits_that_are_not_met_are_one_line(runner: Runner) -> None:
    """Two racks far from their limits, a row that meets its own: two rows, one sentence."""
    site = variant(
        small(),
        {
            "servers.0.power": {"model": "board-limit"},
            "facility.row.rating": "16 kW",
            "facility.rack.rating": "12 kW",
        },
    )
    answer = growth(site, [1.0, 2.0], seeds=2, window_s=1.0, runner=runner)
    table = answer.tables["breaches"]
    # The row's rating and its continuous allowance.
    assert table.brief == 2
    # Two servers of 4.2 kW a rack: 87.5 % of the 9.6 kW that 12 kW carry for good.
    assert table.rest == (
        "4 limits are not met up to x2; nearest is row/rack-1, continuous 9.6 kW, at 87.5 % of it."
    )
    shown = Console(record=True, width=140, file=io.StringIO())
    render(answer, shown)
    text = shown.export_text()
    assert "2 of 2 seeds" in text and table.rest in text
    assert "rows more" not in text
    # A line a level, and no picture of losses that are not there.
    levels = answer.tables["levels"].frame
    lines = ["row, continuous", "row, rating", "rack, continuous", "rack, rating"]
    assert levels["line"].tolist() == lines * 2
    # 16.8 kW of 12.8 and 16 kW, 8.4 of 9.6 and 12 kW.
    assert levels["of_limit"].tolist() == pytest.approx([1.3125, 1.05, 0.875, 0.7] * 2)
    assert [plot.table for plot in answer.plots] == ["levels"]


def test_a_fix_cannot_change_the_seed() -> None:
    """The study's seeds would win without a word."""
    with pytest.raises(StudyError, match="--fix: seed: the study gives every run its seed"):
        Fix.parse("luck | 100 | seed=7")
