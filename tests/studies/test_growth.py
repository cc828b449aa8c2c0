"""Growth: where a limit is met, and what is refused."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from dcsim.studies import Crew, Fix, StudyError, growth
from dcsim.studies.ask import variant
from dcsim.studies.growth_rows import Pace, crossing
from tests.studies.small import small

TICK = {"power_step": "1 s"}


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Crew:
    return Crew(tmp_path_factory.mktemp("runs"), workers=1)


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


def test_constant_power_meets_its_limit_at_once_or_never(crew: Crew) -> None:
    """4 servers x (8 x 400 W + 1 kW) = 16.8 kW, whatever the traffic."""
    limit = {"servers.0.power": {"model": "board-limit"}}
    for rating, factor in (("16.9 kW", np.nan), ("16.7 kW", 1.0)):
        site = variant(small(), {**limit, "facility.row.rating": rating})
        answer = growth(site, [1.0, 2.0], seeds=2, window_s=1.0, crew=crew)
        assert answer.frame.loc[0, "node"] == "row"
        np.testing.assert_equal(answer.frame.loc[0, "factor"], factor)


def test_the_breach_is_where_the_table_says(crew: Crew) -> None:
    """A limit put half way between two peaks is met half way, in each seed's own line."""
    peaks = growth(small(), [1.0, 2.0, 4.0], seeds=1, window_s=1.0, crew=crew).tables["loads"].frame
    row = peaks[peaks["node"] == "row"].set_index("factor")["peak_w"]
    limit_w = 0.5 * (row[2.0] + row[4.0])
    site = variant(small(), {"facility.row.rating": f"{limit_w:.6f} W"})
    fix = Fix.parse("bigger | 5000 | facility.row.rating=60 kW")
    wrong = Fix.parse("nothing | 1 | description=x")
    answer = growth(
        site, [1.0, 2.0, 4.0], seeds=1, window_s=1.0, per_month=1.05, fixes=[fix, wrong], crew=crew
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
    ("changes", "expected"),
    [
        ({"factors": [1.0]}, "two or more"),
        ({"seeds": 0}, "--seeds 5"),
        ({"per_month": 0.9}, "above 1"),
        ({"start": date(2026, 1, 1)}, "--per-month"),
        ({"fixes": [Fix("x", 1, {"facility.roww.rating": "1 kW"})]}, "row"),
        ({"fixes": [Fix("x", 1, TICK), Fix("x", 2, TICK)]}, "same name"),
    ],
)
def test_what_is_meaningless_is_refused(crew: Crew, changes: dict, expected: str) -> None:
    asked = {"factors": [1.0, 2.0], "crew": crew, **changes}
    with pytest.raises(StudyError, match=expected):
        growth(small(), asked.pop("factors"), **asked)


def test_a_fix_cannot_change_the_seed() -> None:
    """The study's seeds would win without a word."""
    with pytest.raises(StudyError, match="--fix: seed: the study gives every run its seed"):
        Fix.parse("luck | 100 | seed=7")
