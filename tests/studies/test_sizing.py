"""Sizing against answers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcsim.results import Results
from dcsim.studies import sizing
from tests.results.made import COUNTS, recorder


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """480 s of two rows: one a square wave of 60 s, the other the same a quarter turn later."""
    made = recorder(tmp_path / "run.h5")
    time_s = 0.25 * np.arange(1920)
    first = np.where(time_s % 120 < 60, 3000.0, 1000.0)
    second = np.where((time_s - 30) % 120 < 60, 3000.0, 1000.0)
    for a, b in zip(first, second, strict=True):
        made.step(np.array([a + b, a, b, a / 2, a / 2, b]))
    made.finish({"requests": COUNTS})
    return Results.open(tmp_path / "run.h5")


def test_square_waves(results: Results) -> None:
    table = sizing(results)
    assert [r for n, r in table.index if n == "site"] == [0.25, 1.0, 60.0]  # 900 s: too long
    assert list(dict.fromkeys(n for n, _ in table.index)) == ["site", "row-1", "row-2"]
    row = table.loc[("row-1", 0.25)]
    assert (row["peak_w"], row["mean_w"]) == (3000.0, 2000.0)
    assert row["peak_to_average"] == pytest.approx(1.5)
    assert row["load_factor"] == pytest.approx(2 / 3)
    assert (row["ramp_up_w"], row["ramp_down_w"]) == (2000.0, -2000.0)
    assert np.isnan(row["coincidence"])
    # A minute's mean sees the first row whole, the second half high and half low.
    assert table.loc[("row-1", 60.0), "peak_w"] == 3000.0
    assert table.loc[("row-2", 60.0), "peak_w"] == pytest.approx(2000.0)
    site = table.loc[("site", 0.25)]
    assert site["peak_w"] == 6000.0
    assert site["coincidence"] == pytest.approx(1.0)
    assert table.loc[("site", 60.0), "coincidence"] == pytest.approx(5000 / (3000 + 2000))
    assert table.loc[("site", 60.0), "mean_w"] == pytest.approx(4000.0)
    assert site["p95_w"] == 6000.0


def test_resolutions_that_do_not_fit_are_left_out(results: Results) -> None:
    table = sizing(results, (0.1, 0.3, 2.0))
    assert table.index.get_level_values("resolution_s").unique().tolist() == [2.0]
