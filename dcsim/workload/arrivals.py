"""Arrival instants as lazy blocks: a process of rate 1, moved in time to the rate wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dcsim import seeds
from dcsim.arrays import FloatArray
from dcsim.errors import PluginError
from dcsim.registry import create, register
from dcsim.scenario.models import (
    Arrivals,
    Changing,
    DiurnalArrivals,
    GammaArrivals,
    MmppArrivals,
    PoissonArrivals,
    WeibullArrivals,
)
from dcsim.workload.rates import (
    DrawnLevels,
    Factor,
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


@dataclass(frozen=True, slots=True)
class ArrivalContext:
    """What the factory of an arrival process is given beside its spec.

    Attributes
    ----------
    horizon_s
        End of the run: arrivals come before it.
    seed
        The stream's own; all that a process draws comes from it.
    scale
        Multiplies the rate that the spec states. Conversations are begun at less than the rate of
        their requests.
    """

    horizon_s: float
    seed: np.random.SeedSequence
    scale: float = 1.0

    def rescaled(
        self, spec: Changing, rate_per_s: float, gaps: Gaps, *factors: Factor
    ) -> Iterator[FloatArray]:
        """Blocks of arrival times of a process with independent gaps.

        Parameters
        ----------
        spec
            Its spikes, ramps and growth multiply the rate.
        rate_per_s
            Mean rate.
        gaps
            Gaps of mean 1, such as those of `dcsim.workload.renewal`.
        *factors
            What else multiplies the rate over time.

        Returns
        -------
        iterator of numpy.ndarray
            Arrival times in seconds, in order, before `horizon_s`.
        """
        counts = unit(gaps, seeds.generator(self.seed, seeds.ARRIVALS))
        profile = Profile(self.scale * rate_per_s, (*factors, *changes(spec)))
        return rescaled(counts, profile, self.horizon_s)


def arrivals(spec: Arrivals, context: ArrivalContext) -> Iterator[FloatArray]:
    """Blocks of arrival times in [0, horizon_s), lazily; blocks may be empty.

    Raises PluginError, when iterated, where the process of another package breaks its contract.
    """
    made: Iterator[FloatArray] = create("arrivals", spec.kind, spec, context)
    return _in_order(made, spec.kind, context.horizon_s)


def _in_order(blocks: Iterator[FloatArray], kind: str, horizon_s: float) -> Iterator[FloatArray]:
    last_s = 0.0
    for block in blocks:
        if len(block):
            if block[0] < last_s or not (np.diff(block) >= 0.0).all() or block[-1] >= horizon_s:
                message = f"arrivals of kind '{kind}' must rise from 0 s to before {horizon_s:g} s"
                raise PluginError(f"{message}; those after {last_s:g} s do not")
            last_s = float(block[-1])
        yield block


def changes(spec: Changing) -> tuple[Lines | Smooth, ...]:
    """What multiplies the rate of any arrivals: spikes, ramps and growth."""
    grown = () if spec.growth is None else (growth(spec.growth),)
    return (*map(spike, spec.spikes), *map(ramp, spec.ramps), *grown)


def _poisson(spec: PoissonArrivals, context: ArrivalContext) -> Iterator[FloatArray]:
    return context.rescaled(spec, spec.rate_per_s, Exponential())


def _gamma(spec: GammaArrivals, context: ArrivalContext) -> Iterator[FloatArray]:
    shape = spec.burstiness
    if shape is None:
        assert spec.cv is not None
        shape = spec.cv**-2
    return context.rescaled(spec, spec.rate_per_s, Gamma(shape))


def _weibull(spec: WeibullArrivals, context: ArrivalContext) -> Iterator[FloatArray]:
    shape = spec.shape
    if shape is None:
        assert spec.cv is not None
        shape = weibull_shape(spec.cv)
    return context.rescaled(spec, spec.rate_per_s, Weibull(shape))


def _mmpp(spec: MmppArrivals, context: ArrivalContext) -> Iterator[FloatArray]:
    states = _states(spec, seeds.generator(context.seed, seeds.STATES))
    return context.rescaled(spec, 1.0, Exponential(), states)


def _diurnal(spec: DiurnalArrivals, context: ArrivalContext) -> Iterator[FloatArray]:
    return context.rescaled(spec, spec.mean_rate_per_s, Exponential(), *_day(spec))


register("arrivals", "poisson", PoissonArrivals, _poisson)
register("arrivals", "gamma", GammaArrivals, _gamma)
register("arrivals", "weibull", WeibullArrivals, _weibull)
register("arrivals", "mmpp", MmppArrivals, _mmpp)
register("arrivals", "diurnal", DiurnalArrivals, _diurnal)


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


def _states(spec: MmppArrivals, rng: np.random.Generator) -> DrawnLevels:
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

    return DrawnLevels(float(dwells_s.min()), drawn())
