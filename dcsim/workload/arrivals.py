"""Arrival instants as lazy blocks: a process of rate 1, moved in time to the rate wanted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dcsim import seeds
from dcsim.arrays import FloatArray
from dcsim.scenario.models import (
    Changing,
    DiurnalArrivals,
    GammaArrivals,
    MmppArrivals,
    PoissonArrivals,
    WeibullArrivals,
)
from dcsim.workload.rates import (
    Factor,
    Levels,
    Lines,
    Profile,
    Smooth,
    growth,
    lines,
    ramp,
    rescaled,
    spike,
    steps,
    wave,
)
from dcsim.workload.renewal import Exponential, Gamma, Gaps, Weibull, unit, weibull_shape

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DWELLS_AT_ONCE = 256

Process = PoissonArrivals | GammaArrivals | WeibullArrivals | MmppArrivals | DiurnalArrivals


def arrivals(
    spec: Process, horizon_s: float, seed: np.random.SeedSequence, scale: float = 1.0
) -> Iterator[FloatArray]:
    """Blocks of arrival times in [0, horizon_s) at `scale` times the rate, lazily; blocks may be
    empty."""
    counts = unit(_gaps(spec), seeds.generator(seed, seeds.ARRIVALS))
    profile = _profile(spec, scale, seeds.generator(seed, seeds.STATES))
    return rescaled(counts, profile, horizon_s)


def changes(spec: Changing) -> tuple[Lines | Smooth, ...]:
    """What multiplies the rate of any arrivals: spikes, ramps and growth."""
    grown = () if spec.growth is None else (growth(spec.growth),)
    return (*map(spike, spec.spikes), *map(ramp, spec.ramps), *grown)


def _gaps(spec: Process) -> Gaps:
    if isinstance(spec, GammaArrivals):
        if spec.burstiness is not None:
            return Gamma(spec.burstiness)
        assert spec.cv is not None
        return Gamma(spec.cv**-2)
    if isinstance(spec, WeibullArrivals):
        if spec.shape is not None:
            return Weibull(spec.shape)
        assert spec.cv is not None
        return Weibull(weibull_shape(spec.cv))
    return Exponential()


def _profile(spec: Process, scale: float, rng: np.random.Generator) -> Profile:
    if isinstance(spec, DiurnalArrivals):
        return Profile(scale * spec.mean_rate_per_s, (*_day(spec), *changes(spec)))
    if isinstance(spec, MmppArrivals):
        return Profile(scale, (_states(spec, rng), *changes(spec)))
    return Profile(scale * spec.rate_per_s, changes(spec))


def _day(spec: DiurnalArrivals) -> Iterator[Factor]:
    day_s, start_at_s = spec.period_s, spec.start_at_s or 0.0
    if spec.hours is not None:
        width_s = day_s / len(spec.hours)
        points = [(hour * width_s, factor) for hour, factor in enumerate(spec.hours)]
        yield lines([*points, (day_s, spec.hours[0])], day_s, start_at_s)
    elif spec.amplitude > 0:
        yield wave(spec.amplitude, day_s, spec.peak_at_s - start_at_s)
    if spec.weekdays is not None:
        start_s = DAYS.index(spec.start_day or DAYS[0]) * day_s + start_at_s
        yield steps(day_s, spec.weekdays, start_s)


def _states(spec: MmppArrivals, rng: np.random.Generator) -> Levels:
    """The chain's rate in req/s, begun as if it had run for ever."""
    rates = np.array([state.rate_per_s for state in spec.states])
    dwells_s = np.array([state.mean_dwell_s for state in spec.states])
    number = len(rates)

    def drawn() -> Iterator[tuple[FloatArray, FloatArray]]:
        # Any other state is as likely, so all are visited alike and time is shared by dwell.
        state = int(rng.choice(number, p=dwells_s / dwells_s.sum()))
        end_s = 0.0
        while True:
            # One of the others: at most number - 1 further round the ring.
            moves = rng.integers(1, number, DWELLS_AT_ONCE)
            lasting = rng.standard_exponential(DWELLS_AT_ONCE)
            visited = (state + np.concatenate([[0], np.cumsum(moves)])) % number
            state = int(visited[-1])
            ends_s = end_s + np.cumsum(lasting * dwells_s[visited[:-1]])
            end_s = float(ends_s[-1])
            yield ends_s, rates[visited[:-1]]

    return Levels(float(dwells_s.min()), drawn())
