"""Where a start-up ends, and what a run's figures leave out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcsim.results import Results
from dcsim.results.summary import build_summary
from dcsim.results.warm_up import WarmUp, described, mser5
from tests.results.made import event, loads, recorder, records


def test_mser5_by_its_definition() -> None:
    """White (1997): the truncation whose rest has the smallest squared standard error, by trying
    each one."""
    rng = np.random.default_rng(1)
    series = 100.0 + 30.0 * np.exp(-np.arange(300) / 20.0) + rng.normal(0, 1, 300)
    batches = series.reshape(60, 5).mean(axis=1)
    errors = [float(batches[d:].var() / (60 - d)) for d in range(55)]
    assert mser5(series) == 5.0 * int(np.argmin(errors))
    assert 20.0 <= mser5(series) <= 110.0  # type: ignore[operator]


def test_a_steady_series_needs_little_and_a_rising_one_never_settles() -> None:
    rng = np.random.default_rng(2)
    cuts = [mser5(rng.normal(100.0, 5.0, 600)) for _ in range(40)]
    assert np.median([cut for cut in cuts if cut is not None]) <= 60.0
    assert mser5(np.arange(600.0)) is None
    assert mser5(np.ones(59)) is None


@pytest.mark.parametrize(("cut_s", "enough"), [(30.0, True), (0.0, False)])
def test_enough_is_judged_by_the_load_after_the_cut(cut_s: float, enough: bool) -> None:
    """Filling takes 20 s; a cut of 30 s is past it."""
    load_w = np.where(np.arange(1200) < 80, 500.0, 1000.0) + np.tile([1.0, -1.0], 600)
    found = described(WarmUp(cut_s), load_w, 0.25)
    assert (found["mser5_s"], found["enough"]) == (20.0, enough)


def test_too_few_expected_in_service_is_not_enough_whatever_the_load_says() -> None:
    load_w = np.tile([1.0, -1.0], 600) + 1000.0
    assert described(WarmUp(30.0, "as given", 0.5), load_w, 0.25)["enough"] is False
    assert described(WarmUp(30.0, "as given", 0.99), load_w, 0.25)["enough"] is True
    assert described(WarmUp(1.0, "as given"), load_w[:40], 0.25)["enough"] is None


def test_figures_are_of_what_comes_after(tmp_path: Path) -> None:
    """Two steps of 8,000 W, then six of 1,000: nothing but the energy has seen the first two. A
    request that came before the cut is in the counts alone; a trip counts always."""
    made = recorder(tmp_path / "run.h5", server_step_s=0.5, warm_up=WarmUp(0.5, "as given"))
    count = len(made.nodes.names)
    for step in range(8):
        made.step(np.full(count, 8000.0 if step < 2 else 1000.0))
    made.requests(records())
    early = replace(event("trip"), time_s=0.25)
    made.event(early)
    summary = build_summary(
        made, counts={}, tokens={}, preemptions=0, power_model=[{}], gpu_state_s={}
    )
    made.finish(summary)
    site, server = summary["nodes"][0], summary["nodes"][-1]
    for node in (site, server):
        assert (node["peak_w"], node["mean_w"], node["p99_w"]) == (1000.0, 1000.0, 1000.0)
        assert node["energy_wh"] == pytest.approx((2 * 8000 + 6 * 1000) * 0.25 / 3600)
    assert (summary["measured_s"], summary["simulated_s"]) == (1.5, 2.0)
    # Those that arrived at 0 s and at 1 s completed; the first is of the warm-up.
    assert summary["latency"]["ttft_s"] == {p: pytest.approx(0.3) for p in ("p50", "p95", "p99")}
    assert summary["events"]["trip"] == summary["warm_up"]["trips"] == 1
    with Results.open(tmp_path / "run.h5") as results:
        assert results.warm_up_s == 0.5
        assert len(results.requests()) == 4
        assert results.load_w("site").max().item() == 8000.0
        assert results.load_w("site", measured=True).max().item() == 1000.0
        assert len(results.load_w("server", measured=True)) == 3


def test_a_run_that_ends_in_its_warm_up_has_no_figures(tmp_path: Path) -> None:
    """Unknown is not 0."""
    made = recorder(tmp_path / "run.h5", warm_up=WarmUp(10.0, "as given"))
    for step in loads(4):
        made.step(step)
    summary = build_summary(
        made, counts={}, tokens={}, preemptions=0, power_model=[{}], gpu_state_s={}
    )
    made.finish(summary)
    site = summary["nodes"][0]
    assert site["peak_w"] is site["mean_w"] is site["p99_w"] is None
    assert site["energy_wh"] > 0.0
    assert summary["warm_up"]["enough"] is None


def test_a_later_settling_that_moves_no_figure_is_enough() -> None:
    """A cut of 30 s where MSER-5 says 35: what lies between is 30 W of 1,000 low for 5 s, 0.15 W of
    the mean of 1,000 s. Where it were 300 W high it would be the peak, and that counts."""
    noise = np.tile([1.0, -1.0], 2000)
    seconds = np.arange(4000) // 4
    low = np.where(seconds < 35, 970.0, 1000.0) + noise
    found = described(WarmUp(30.0), low, 0.25)
    assert (found["mser5_s"], found["enough"]) == (35.0, True)
    assert found["mean_moves"] == pytest.approx(30.0 * 5 / 970 / 1000, rel=0.1)
    assert found["peak_moves"] == 0.0
    high = np.where(seconds < 35, 1300.0, 1000.0) + noise
    found = described(WarmUp(30.0), high, 0.25)
    assert (found["mser5_s"], found["enough"]) == (35.0, False)
    assert found["peak_moves"] == pytest.approx(-0.3, abs=0.01)


def test_how_long_a_run_must_be_to_fill_a_window() -> None:
    """15 min after 30 s take 15.5 min. Of a fifth of the run at most, an hour's warm-up leaves
    15 min of 18.75. By the clock from 13:31, the first block after the warm-up begins at 13:45 and
    ends at 14:00; without a clock blocks are counted from the start, and the second is whole."""
    short = WarmUp(30.0, "auto", wanted_s=30.0, most=0.2)
    assert short.shortest_run_s(900.0) == 930.0
    assert WarmUp(36.0, "auto", wanted_s=3600.0, most=0.2).shortest_run_s(900.0) == pytest.approx(
        1125.0
    )
    assert short.shortest_run_s(900.0, 13.5 * 3600 + 60) == 29 * 60.0
    assert short.shortest_run_s(900.0, 0.0) == 1800.0
    assert WarmUp().shortest_run_s(900.0, 0.0) == 900.0
    # A run that is too short for its warm-up: what it wants counts, not what it got.
    assert WarmUp(4.0, "auto, held", wanted_s=30.0, most=0.2).shortest_run_s(60.0) == (
        pytest.approx(75.0)
    )


def test_a_peak_that_chance_put_there_is_no_start_up() -> None:
    """0.6 % of the mean above all that follows, but as high as another run's peak may be; 6 % is
    not."""
    rng = np.random.default_rng(5)
    load_w = 1000.0 + rng.normal(0.0, 10.0, 4000)
    load_w[:140] -= 40.0
    assert described(WarmUp(30.0), load_w, 0.25)["mser5_s"] == 35.0
    after_w = load_w[140:].max()
    for above_w, enough in ((6.0, True), (60.0, False)):
        load_w[130] = after_w + above_w
        found = described(WarmUp(30.0), load_w, 0.25)
        assert found["peak_moves"] == pytest.approx(-above_w / 1000.0, rel=0.01)
        assert found["enough"] is enough


def test_a_site_that_went_dark_has_no_share_of_nothing() -> None:
    """A summary is JSON: what cannot be told is None, never NaN."""
    load_w = np.concatenate([np.full(320, 1000.0), np.zeros(4000)])
    found = described(WarmUp(30.0), load_w, 0.25)
    assert (found["mser5_s"], found["enough"]) == (80.0, False)
    assert found["mean_moves"] is None and found["peak_moves"] is None
