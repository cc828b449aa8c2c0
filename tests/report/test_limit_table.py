"""The limits in the terminal: what is broken is seen, with its time, and by the clock."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from dcsim.report.limit_table import broken, limit_table, notes, sentence
from dcsim.scenario.start import parse_start
from tests.studies.test_limits import ROWS, limit


def text(rows: Any, start: str | None = None, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    made = limit_table(rows, None if start is None else parse_start(start), width >= 110)
    console.print(made)
    return console.export_text()


def test_a_broken_contract_is_a_line_with_when_and_how_long() -> None:
    row = limit(
        "site", "demand", 1e6, 1.573e6, 900.0, "sliding",
        highest_at_s=19_500.0, over_s=18_870.0, crossings=1,
    )  # fmt: skip
    (line,) = (line for line in text([row], "19:00").splitlines() if "site" in line)
    assert line.split("  ")[0].strip() == "site"
    for part in ("15 min demand", "1.000 MW", "1.573 MW", "157.3 %", "05:25:00", "(00:25:00 +1d)",
                 "5.24 h"):  # fmt: skip
        assert part in line


def test_of_what_is_kept_only_the_nearest_of_each_kind_is_told() -> None:
    rows = [limit(f"rack-{n}", "rating", 10e3, 1e3 * n) for n in range(1, 9)]
    shown = text(rows)
    assert "rack-8" in shown
    assert "rack-7" not in shown
    assert sentence(rows) == "Limits: all 8 were kept."


def test_what_is_not_kept_is_counted_by_kind() -> None:
    assert sentence(ROWS) == (
        "Limits: 3 of 5 were NOT kept (1 rating, 1 continuous allowance, 1 demand limit); 1 "
        "could not be judged: the run is too short for its window."
    )
    assert [row["kind"] for row in broken(ROWS)] == ["demand", "continuous", "rating"]
    assert notes(ROWS) == [
        "Not judged: site, 30 min demand 900 kW: no whole window in the 20 min measured, whose "
        "mean is 1.57 MW; play at least 31 min."
    ]
    many = [limit(f"rack-{n}", "rating", 10e3, 11e3) for n in range(20)]
    assert "and 8 more that were not kept" in text(many)
    assert limit_table([], None, True) is None
    assert sentence([]) == "Limits: the scenario gives none."
