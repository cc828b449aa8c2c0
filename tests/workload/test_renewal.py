"""Gamma, Weibull and Markov-modulated arrivals against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dcsim.workload.renewal import (
    Exponential,
    Gamma,
    Gaps,
    Weibull,
    until,
    weibull_cv,
    weibull_shape,
)
from tests.workload.play import dispersion, times_s


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gamma_gaps_are_those_of_vllms_benchmark(burstiness: float) -> None:
    arrival_s = times_s({"kind": "gamma", "rate": "8 req/s", "burstiness": burstiness}, 5000.0)
    gaps_s = np.diff(arrival_s)
    expected = stats.gamma(burstiness, scale=1 / (8 * burstiness))
    assert stats.kstest(gaps_s, expected.cdf).pvalue > 0.001
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(burstiness**-0.5, rel=0.05)
    assert abs(stats.pearsonr(gaps_s[1:], gaps_s[:-1]).statistic) < 4 / np.sqrt(len(gaps_s))


def test_gamma_cv_and_burstiness_say_the_same() -> None:
    one = times_s({"kind": "gamma", "rate": "8 req/s", "burstiness": 0.25}, 500.0)
    other = times_s({"kind": "gamma", "rate": "8 req/s", "cv": 2}, 500.0)
    assert np.array_equal(one, other)


@pytest.mark.parametrize("cv", [0.3, 1.0, 3.0])
def test_weibull_gaps_have_the_cv_asked_for(cv: float) -> None:
    arrival_s = times_s({"kind": "weibull", "rate": "8 req/s", "cv": cv}, 20_000.0)
    gaps_s = np.diff(arrival_s)
    shape = weibull_shape(cv)
    expected = stats.weibull_min(shape)
    assert expected.std() / expected.mean() == pytest.approx(cv, rel=1e-6)
    scaled = stats.weibull_min(shape, scale=1 / (8 * expected.mean()))
    assert stats.kstest(gaps_s, scaled.cdf).pvalue > 0.001


def test_weibull_shape_inverts_its_cv() -> None:
    for cv in (0.02, 0.1, 0.5, 1.0, 2.0, 10.0, 100.0):
        assert weibull_cv(weibull_shape(cv)) == pytest.approx(cv, rel=1e-8)
    assert weibull_cv(1.0) == pytest.approx(1.0)
    assert weibull_cv(10_001.0) == pytest.approx(stats.weibull_min(10_001.0).std(), rel=1e-3)


@pytest.mark.parametrize("gaps", [Exponential(), Gamma(0.1), Gamma(9.0), Weibull(0.5)])
def test_processes_start_as_if_they_had_run_for_ever(gaps: Gaps) -> None:
    """Even over a time much shorter than a gap, the expected count is that time."""
    rng = np.random.default_rng(3)
    end, runs = 0.2, 40_000
    counts = [sum(map(len, until(end, gaps, rng))) for _ in range(runs)]
    assert np.mean(counts) == pytest.approx(end, abs=4 * np.std(counts) / np.sqrt(runs))
    # The wait from any moment: mean (1 + CV^2) / 2, by the inspection paradox.
    waits = [gaps.first(rng) for _ in range(runs)]
    expected = (1 + gaps.cv**2) / 2
    assert np.mean(waits) == pytest.approx(expected, abs=5 * np.std(waits) / np.sqrt(runs))


@pytest.mark.parametrize("gaps", [Gamma(0.3), Weibull(0.6), Gamma(5.0)])
def test_counts_of_long_times_vary_by_the_square_of_the_cv(gaps: Gaps) -> None:
    """The central limit theorem for renewal processes: variance over mean becomes CV^2."""
    rng = np.random.default_rng(4)
    counts = [sum(map(len, until(3000.0, gaps, rng))) for _ in range(600)]
    ratio = np.var(counts) / 3000.0
    assert ratio == pytest.approx(gaps.cv**2, rel=0.25)
    assert np.mean(counts) == pytest.approx(3000.0, abs=4 * np.std(counts) / np.sqrt(600))


# --- Markov-modulated Poisson ------------------------------------------------------------------

MMPP = {
    "kind": "mmpp",
    "states": [
        {"rate": "5 req/s", "mean_dwell": "20 s"},
        {"rate": "40 req/s", "mean_dwell": "5 s"},
    ],
}


def test_mmpp_has_the_rate_and_the_dispersion_of_theory() -> None:
    """Two states: IDC(t) = 1 + 2 p q (a - b)^2 / (m s) (1 - (1 - e^-st) / (st)), with p and q the
    shares of time, m the mean rate and s the sum of the rates of leaving (Heffes and Lucantoni,
    1986)."""
    length_s = 400_000.0
    arrival_s = times_s(MMPP, length_s, seed=2)
    p, q, leave = 0.8, 0.2, 1 / 20 + 1 / 5
    mean = p * 5 + q * 40
    total = 2 * p * q * 35**2 / (mean * leave)
    spread = np.sqrt((1 + total) * mean / length_s)
    assert len(arrival_s) / length_s == pytest.approx(mean, abs=4 * spread)
    for span_s in (0.1, 1.0, 10.0, 100.0):
        grown = leave * span_s
        expected = 1 + total * (1 - (1 - np.exp(-grown)) / grown)
        assert dispersion(arrival_s, span_s, length_s) == pytest.approx(expected, rel=0.08)


def test_mmpp_of_three_states_shares_time_by_dwell() -> None:
    states = [
        {"rate": f"{rate} req/s", "mean_dwell": f"{dwell} s"}
        for rate, dwell in ((0, 6), (10, 3), (100, 1))
    ]
    length_s = 200_000.0
    arrival_s = times_s({"kind": "mmpp", "states": states}, length_s)
    assert len(arrival_s) / length_s == pytest.approx(13.0, rel=0.02)


def test_mmpp_begins_in_any_state() -> None:
    """A long silent state and a long busy one: half of the runs begin silent."""
    states = [{"rate": f"{rate} req/s", "mean_dwell": "10 h"} for rate in (0, 10)]
    found = [len(times_s({"kind": "mmpp", "states": states}, 10.0, seed=s)) for s in range(300)]
    silent = sum(count == 0 for count in found)
    assert stats.binomtest(silent, 300, 0.5).pvalue > 1e-3


def test_states_and_arrivals_have_luck_of_their_own() -> None:
    """A spike long after does not change what came before it, nor does a longer run."""
    plain = times_s(MMPP, 1000.0, seed=5)
    spiked = {**MMPP, "spikes": [{"at": "800 s", "duration": "50 s", "factor": 3}]}
    changed = times_s(spiked, 2000.0, seed=5)
    early = plain[plain < 800]
    assert np.allclose(changed[: len(early)], early, rtol=0, atol=1e-9)
