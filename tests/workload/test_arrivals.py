"""Arrival processes against what mathematics says of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from dcsim.arrays import FloatArray
from dcsim.scenario.models import DiurnalArrivals, FixedTokens, PoissonArrivals, Stream
from dcsim.workload import open_stream
from dcsim.workload.rates import Profile, wave

DAY_S = 86400.0


def poisson_spec(rate: str) -> PoissonArrivals:
    return PoissonArrivals.model_validate({"kind": "poisson", "rate": rate})


def diurnal_spec(**keys: object) -> DiurnalArrivals:
    return DiurnalArrivals.model_validate({"kind": "diurnal", "mean_rate": "2 req/s", **keys})


def arrivals_s(
    spec: PoissonArrivals | DiurnalArrivals, horizon_s: float, seed: int = 0
) -> FloatArray:
    tokens = FixedTokens(kind="fixed", prompt_tokens=1, output_tokens=1)
    stream = Stream(name="s", model="m", arrivals=spec, tokens=tokens)
    blocks = open_stream(stream, 0, horizon_s, np.random.SeedSequence(seed))
    return np.concatenate([block.arrival_s for block in blocks])


def rate_per_s(spec: DiurnalArrivals, time_s: npt.ArrayLike) -> FloatArray:
    """The closed form of a diurnal rate."""
    phase = (
        2 * np.pi * (np.asarray(time_s) + (spec.start_at_s or 0.0) - spec.peak_at_s) / spec.period_s
    )
    return spec.mean_rate_per_s * (1.0 + spec.amplitude * np.cos(phase))


def expected_count(spec: DiurnalArrivals, time_s: npt.ArrayLike) -> FloatArray:
    """Its integral."""
    turn = 2 * np.pi / spec.period_s
    shift_s = (spec.start_at_s or 0.0) - spec.peak_at_s
    wave = np.sin(turn * (np.asarray(time_s) + shift_s)) - np.sin(turn * shift_s)
    return spec.mean_rate_per_s * (np.asarray(time_s) + spec.amplitude / turn * wave)


def test_poisson_gaps_are_exponential_and_counts_are_poisson() -> None:
    times_s = arrivals_s(poisson_spec("20 req/s"), 3000.0)
    gaps_s = np.diff(times_s)
    assert stats.kstest(gaps_s, stats.expon(scale=1 / 20).cdf).pvalue > 0.001
    assert abs(stats.pearsonr(gaps_s[1:], gaps_s[:-1]).statistic) < 4 / np.sqrt(len(gaps_s))
    per_second = np.bincount(times_s.astype(int), minlength=3000)
    # Dispersion of Poisson counts is 1, with a standard error of sqrt(2 / n).
    assert per_second.var() / per_second.mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / 3000))
    assert per_second.sum() == pytest.approx(60000, abs=4 * np.sqrt(60000))


@pytest.mark.parametrize("amplitude", [0.0, 0.3, 1.0])
def test_expected_count_is_the_integral_of_the_rate(amplitude: float) -> None:
    """A rate of straight lines a minute long, against the cosine's own integral."""
    spec = diurnal_spec(amplitude=amplitude, start_at="13.5 h")
    profile = Profile(2.0, (wave(amplitude, DAY_S, 0.5 * 3600.0),))
    for until_s in (10.0, 3600.0, 0.7 * DAY_S, 2 * DAY_S):
        total = profile.cells(0.0, until_s).total
        assert total == pytest.approx(float(expected_count(spec, until_s)), rel=2.4e-6 + 1e-12)


def test_arrivals_begin_at_the_time_of_day_asked_for() -> None:
    """From four hours before the peak: at amplitude 1, by the closed form, hour by hour."""
    spec = diurnal_spec(amplitude=1.0, peak_at="14 h", start_at="10 h")
    counts = np.bincount((arrivals_s(spec, DAY_S) / 3600).astype(int), minlength=24)
    expected = np.diff(expected_count(spec, 3600.0 * np.arange(25)))
    chi2 = float(((counts - expected) ** 2 / np.maximum(expected, 1)).sum())
    assert stats.chi2(24).sf(chi2) > 0.001
    assert 2 <= counts.argmax() <= 5


def test_diurnal_rate_peaks_when_it_should() -> None:
    spec = diurnal_spec(amplitude=0.3, peak_at="14 h", start_at="13.5 h")
    at_s = np.array([0.0, 1800.0, 1800.0 + DAY_S / 2])
    # cos(half an hour of a day), the peak, and the trough half a day later.
    expected = 2 * (1 + 0.3 * np.array([np.cos(2 * np.pi / 48), 1.0, -1.0]))
    assert rate_per_s(spec, at_s) == pytest.approx(expected)


@pytest.mark.parametrize("amplitude", [0.3, 1.0])
def test_diurnal_arrivals_per_hour_follow_the_closed_form(amplitude: float) -> None:
    spec = diurnal_spec(amplitude=amplitude)
    times_s = arrivals_s(spec, DAY_S)
    counts = np.bincount((times_s / 3600).astype(int), minlength=24)
    hours = np.arange(25)
    wave = np.sin(2 * np.pi * (hours - 14) / 24) * 24 / (2 * np.pi)
    expected = 7200 * (1 + amplitude * np.diff(wave))
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert stats.chi2(24).sf(chi2) > 0.001
    assert len(times_s) == pytest.approx(2 * DAY_S, abs=4 * np.sqrt(2 * DAY_S))


@pytest.mark.parametrize("amplitude", [0.3, 1.0])
def test_diurnal_arrivals_are_poisson_in_rescaled_time(amplitude: float) -> None:
    """The time-rescaling theorem: at L(t) they are a unit-rate Poisson process."""
    spec = diurnal_spec(amplitude=amplitude, period="20 min", peak_at="3 min")
    times_s = arrivals_s(spec, 2 * 3600.0, seed=5)
    assert (np.diff(times_s) >= 0).all()
    gaps = np.diff(expected_count(spec, times_s))
    assert stats.kstest(gaps, stats.expon().cdf).pvalue > 0.001


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    for spec in (poisson_spec("9 req/s"), diurnal_spec()):
        short_s = arrivals_s(spec, 1000.0, seed=3)
        long_s = arrivals_s(spec, 9000.0, seed=3)
        assert short_s.max() < 1000.0
        assert np.array_equal(long_s[: len(short_s)], short_s)
        assert long_s[len(short_s)] >= 1000.0


def test_a_quiet_stream_may_have_no_request() -> None:
    tokens = FixedTokens(kind="fixed", prompt_tokens=1, output_tokens=1)
    arrivals = poisson_spec("1e-9 req/s")
    stream = Stream(name="s", model="m", arrivals=arrivals, tokens=tokens)
    assert list(open_stream(stream, 0, 10.0, np.random.SeedSequence(0))) == []


@pytest.mark.parametrize("factor", [0.5, 2.0, 2.5])
def test_another_rate_keeps_the_luck(factor: float) -> None:
    """The same unit-rate arrivals, only closer together or farther apart."""
    plain_s = arrivals_s(poisson_spec("8 req/s"), 1000.0, seed=7)
    scaled_s = arrivals_s(poisson_spec(f"{8 * factor} req/s"), 1000.0 / factor, seed=7)
    assert scaled_s * factor == pytest.approx(plain_s, rel=1e-12)

    plain = diurnal_spec(amplitude=1.0, period="1 h", peak_at="10 min")
    scaled = plain.model_copy(update={"mean_rate_per_s": 2 * factor})
    counts = [expected_count(spec, arrivals_s(spec, 7200.0, seed=7)) for spec in (plain, scaled)]
    shared = min(map(len, counts))
    assert shared > 5000
    assert counts[0][:shared] == pytest.approx(counts[1][:shared], rel=1e-5)


@pytest.mark.parametrize(
    ("period", "peak_at", "horizon_s"),
    [
        ("8760 h", "0 h", 10 * DAY_S),  # a crest that hardly bends
        ("8760 h", "4380 h", 60 * DAY_S),  # out of a trough where nothing comes for days
        ("7 s", "3 s", 4000.0),  # many periods within one block
    ],
)
def test_long_and_short_periods_with_a_rate_that_touches_zero(
    period: str, peak_at: str, horizon_s: float
) -> None:
    spec = diurnal_spec(mean_rate="0.5 req/s", amplitude=1.0, period=period, peak_at=peak_at)
    times_s = arrivals_s(spec, horizon_s, seed=11)
    expected = float(expected_count(spec, horizon_s))
    assert len(times_s) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    gaps = np.diff(expected_count(spec, times_s))
    assert stats.kstest(gaps, stats.expon().cdf).pvalue > 0.001
