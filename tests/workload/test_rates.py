"""Rates that change: what spikes, ramps, growth, hours and weekdays do, and that rescaling time
is exact."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from dcsim.workload.rates import DrawnLevels, Lines, Profile, lines, rescaled, steps
from tests.workload.play import times_s

POISSON = {"kind": "poisson", "rate": "5 req/s"}
BURSTY = {"kind": "gamma", "rate": "5 req/s", "burstiness": 0.2}
MONTH_S = 365.25 / 12 * 86400

points = st.lists(st.tuples(st.integers(0, 50), st.floats(0, 20)), min_size=1, max_size=8).map(
    lambda found: sorted(found, key=lambda point: point[0])
)


@settings(deadline=None)
@given(points, points, st.lists(st.floats(0, 200), min_size=1, max_size=20).map(sorted))
@example([(0, 0.25)], [(3, 1.1e-308), (3, 1.0)], [2.2e-308, 1.0])
def test_times_are_where_the_rates_integral_reaches_the_counts(
    one: list[tuple[float, float]], two: list[tuple[float, float]], counts: list[float]
) -> None:
    """Against the integral by a fine sum, for products of two broken lines with jumps."""
    factors = (lines(one), lines(two))
    cells = Profile(3.0, factors).cells(0.0, 100.0)
    wanted = np.array([count for count in counts if count <= cells.total])
    moved_s = cells.times_s(wanted)
    assert (np.diff(moved_s) >= -1e-9).all()
    assert ((moved_s >= 0) & (moved_s <= 100.0 + 1e-9)).all()
    # Within each straight piece the rate runs straight between the products at its ends.
    edges_s = np.append(cells.start_s, 100.0)
    for count, time_s in zip(wanted, moved_s, strict=True):
        width_s = np.clip(time_s - edges_s[:-1], 0.0, np.diff(edges_s))
        reached = (cells.rate_per_s + 0.5 * cells.slope_per_s2 * width_s) * width_s
        assert reached.sum() == pytest.approx(count, rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(points, st.floats(0, 60))
def test_lines_agree_with_plain_interpolation(
    told: list[tuple[float, float]], time_s: float
) -> None:
    distinct = dict(told)
    made = lines(list(distinct.items()))
    expected = np.interp(time_s, list(distinct), list(distinct.values()))
    assert float(made.at(np.array([time_s]))[0]) == pytest.approx(expected, abs=1e-6)


@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=6),
    st.floats(0, 100),
    st.floats(0, 1000),
)
def test_steps_come_again(values: list[float], shift_s: float, time_s: float) -> None:
    made = steps(10.0, values, shift_s)
    place = int((time_s + shift_s) % (10.0 * len(values)) // 10.0)
    near = {place % len(values), (place - 1) % len(values), (place + 1) % len(values)}
    found = float(made.at(np.array([time_s]))[0])
    edge = abs((time_s + shift_s + 5.0) % 10.0 - 5.0) < 1e-6
    assert found in {values[k] for k in near} if edge else found == values[place]


@pytest.mark.parametrize("process", [POISSON, BURSTY])
def test_a_spike_moves_arrivals_and_keeps_their_luck(process: dict[str, Any]) -> None:
    """Each arrival is where the spiked rate expects as many as the plain one did."""
    spike = {"at": "100 s", "duration": "60 s", "factor": 4, "ramp_up": "20 s", "ramp_down": "40 s"}
    plain = times_s(process, 2000.0, seed=3)
    spiked = times_s({**process, "spikes": [spike]}, 1000.0, seed=3)
    # By hand: 1 until 100 s, to 4 at 120 s, until 180 s, down to 1 at 220 s.
    grid_s = np.linspace(0, 1000, 200_001)
    factor = np.interp(grid_s, [100, 120, 180, 220], [1, 4, 4, 1])
    count = np.concatenate([[0], np.cumsum(0.5 * (factor[1:] + factor[:-1]) * np.diff(grid_s))])
    assert np.interp(spiked, grid_s, count) == pytest.approx(plain[: len(spiked)], abs=1e-3)
    extra = 3 * (0.5 * 20 + 60 + 0.5 * 40)
    assert count[-1] == pytest.approx(1000 + extra)


def test_a_spike_to_nothing_is_silence() -> None:
    silent = {**POISSON, "spikes": [{"at": "100 s", "duration": "50 s", "factor": 0}]}
    arrival_s = times_s(silent, 300.0)
    assert not ((arrival_s > 100) & (arrival_s < 150)).any()
    plain = times_s(POISSON, 300.0)
    after = arrival_s[arrival_s >= 150]
    assert after == pytest.approx(plain[plain >= 100][: len(after)] + 50)


def test_a_ramp_stays() -> None:
    ramp = {"at": "100 s", "duration": "100 s", "factor": 0.5}
    arrival_s = times_s({**POISSON, "ramps": [ramp]}, 20_000.0)
    expected = 5 * (100 + 75 + 0.5 * 19_800)
    assert len(arrival_s) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    late = ((arrival_s > 1000) & (arrival_s < 11_000)).sum()
    assert late == pytest.approx(25_000, abs=4 * np.sqrt(25_000))


@pytest.mark.parametrize(
    ("growth", "factor"),
    [
        ({"per_day": 2.0}, lambda t: 2 ** (t / 86400)),
        ({"per_month": 1.5}, lambda t: 1.5 ** (t / MONTH_S)),
        ({"table": [{"at": "0 s", "factor": 1}, {"at": "24 h", "factor": 3}]},
         lambda t: np.minimum(1 + t / 43200, 3)),
    ],
)  # fmt: skip
def test_growth(growth: dict[str, Any], factor: Any) -> None:
    arrivals = {"kind": "poisson", "rate": "0.5 req/s", "growth": growth}
    arrival_s = times_s(arrivals, 3 * 86400.0, seed=1)
    grid_s = np.linspace(0, 3 * 86400, 100_001)
    rate = 0.5 * factor(grid_s)
    count = np.concatenate([[0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(grid_s))])
    assert len(arrival_s) == pytest.approx(count[-1], abs=4 * np.sqrt(count[-1]))
    gaps = np.diff(np.interp(arrival_s, grid_s, count))
    assert stats.kstest(gaps, stats.expon().cdf).pvalue > 0.001


def test_hours_and_weekdays() -> None:
    hours = [0.5] * 8 + [1.5] * 12 + [0.5] * 4
    arrivals = {
        "kind": "diurnal", "mean_rate": "1 req/s", "hours": hours,
        "weekdays": [1, 1, 1, 1, 1, 0, 0.5], "start_day": "fri", "start_at": "6 h",
    }  # fmt: skip
    arrival_s = times_s(arrivals, 4 * 86400.0, seed=2)
    clock_h = arrival_s / 3600 + 6  # from Friday's midnight
    counts = np.bincount(clock_h.astype(int), minlength=5 * 24)
    table = [*hours, hours[0]]
    hourly = np.array([3600 * (table[h] + table[h + 1]) / 2 for h in range(24)])
    friday, saturday, sunday, monday = (counts[24 * d : 24 * d + 24] for d in range(4))
    assert saturday.sum() == 0
    for day, factor in ((monday, 1.0), (sunday, 0.5)):
        expected = hourly * factor
        assert stats.chi2(24).sf(float(((day - expected) ** 2 / expected).sum())) > 0.001
    assert friday[:6].sum() == 0
    expected = hourly[6:]
    assert stats.chi2(18).sf(float(((friday[6:] - expected) ** 2 / expected).sum())) > 0.001


def test_hourly_factors_of_mean_one_keep_the_mean_rate() -> None:
    table = lines([(3600.0 * h, 1 + (-1) ** h * 0.5) for h in range(24)] + [(86400.0, 1.5)], 86400)
    assert Profile(2.0, (table,)).cells(0, 86400.0).total == pytest.approx(2 * 86400)


def test_changes_keep_the_burst_structure_of_gaps() -> None:
    """In rescaled time the gaps of a Gamma process are Gamma still."""
    changed = {
        **BURSTY,
        "growth": {"per_day": 3.0},
        "ramps": [{"at": "10 min", "duration": "1 h", "factor": 2}],
    }
    arrival_s = times_s(changed, 4 * 3600.0, seed=9)
    grid_s = np.linspace(0, 4 * 3600, 100_001)
    rate = 5 * 3 ** (grid_s / 86400) * np.interp(grid_s, [600, 4200], [1, 2])
    count = np.concatenate([[0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(grid_s))])
    counts = np.interp(arrival_s, grid_s, count)
    plain = 5 * times_s(BURSTY, count[-1] / 5, seed=9)
    assert counts == pytest.approx(plain[: len(counts)], rel=1e-5, abs=0.01)
    gaps = np.diff(counts)
    assert gaps.std() / gaps.mean() == pytest.approx(5**0.5, rel=0.05)


def test_a_rate_that_ends_ends_the_stream() -> None:
    """Nothing is expected after a ramp to 0; drawing goes on no further than the horizon."""
    ended = {**POISSON, "ramps": [{"at": "0 s", "duration": "10 s", "factor": 0}]}
    arrival_s = times_s(ended, 1e7)
    assert len(arrival_s) == pytest.approx(25, abs=20)
    assert arrival_s[-1] <= 10.0


def test_levels_forget_what_is_past() -> None:
    def drawn() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for block in itertools.count():
            yield 100.0 * block + np.arange(1, 101), np.arange(100) % 7 + 1.0

    levels = DrawnLevels(1.0, drawn())
    for number in range(50):
        low_s = 1000.0 * number
        cells = Profile(1.0, (levels,)).cells(low_s, low_s + 1000.0)
        assert cells.rate_per_s.tolist() == [place % 100 % 7 + 1.0 for place in range(1000)]
        assert len(levels._end_s) <= 1200


def test_chunks_join_without_a_seam() -> None:
    """A factor with very many corners: drawn in chunks, yet as from one piece."""
    table = Lines(np.array([0.0, 0.25]), np.array([2.0, 0.0]), np.zeros(2), 0.5)
    counts = np.arange(1, 40_001) * 0.25
    blocks = iter(np.split(counts, 10))
    moved_s = np.concatenate(list(rescaled(blocks, Profile(1.0, (table,)), 1e9)))
    # Two req/s during the first half of each half second: a count of 0.5 each.
    expected = 0.5 * np.floor((counts - 1e-9) / 0.5) + (counts - 1e-9) % 0.5 / 2
    assert len(moved_s) == len(counts)
    assert moved_s == pytest.approx(expected, abs=1e-6)
