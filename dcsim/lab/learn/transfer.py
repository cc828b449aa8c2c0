"""Watts for work that no meter saw, in keeping with watts that one did.

Two uses: simulated work of the campaign that a published mixture was measured on, and synthetic
work beyond any campaign (`synthetic`). Both get power in two steps. The order comes from the work:
while a replica works, the linear ledger model says which moments draw more than others; while it
idles, the moments soon after work do. The level comes from what was measured: rank for rank, idle
moments get the watts of the idle states and working moments those of the others. So a working
replica has the measured distribution, an idle one idle power, and the share of idle time is the
simulator's. Work beyond all that was seen gets more than the top, as a prior says. Both see work as
the meter does, an H100's as the mean of the last second. It is a construction, not a measurement,
and packs say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import BoolArray, FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.ledger_series import LedgerSeries
from dcsim.lab.sensor import apply_sensor

MISS_SHARE = {"h100-sxm-80gb": 0.02}
OTHER_MISS_SHARE = 0.05
"""Spread of the rank order, as a share of nameplate: how far a linear fit misses the measured runs
sample by sample (A100: 26 W of 400; H100: 5 W of 700 after its meter, some 10 W before it)."""
MISS_CORRELATION = 0.3
"""Lag-one correlation of those misses: 0 to 0.2 on the A100 runs, 0.4 on the H100, whose meter
smooths."""
RECENT_S = 20.0
"""Idle moments are ordered by the time since work up to this; power has settled long before."""
TOP_SHARE = 0.01
Prior = Callable[[LedgerSeries], FloatArray]
"""Watts that the work of a series should draw, shape (steps,)."""


@dataclass(frozen=True)
class PowerQuantiles:
    """Measured watts, rising, of idle and of working moments: quantile tables of any length."""

    idle_w: FloatArray
    working_w: FloatArray

    @classmethod
    def of_runs(cls, runs: Sequence[LedgerSeries], power_w: Sequence[FloatArray]) -> PowerQuantiles:
        """What was measured while idle and while working. Runs that were never idle lend their
        least watts for it, and the reverse."""
        watts = np.concatenate(power_w)
        idle = np.concatenate([is_idle(run) for run in runs])
        none = watts[:0]
        rest, work = np.sort(watts[idle]), np.sort(watts[~idle])
        return cls(
            rest if len(rest) else np.append(none, watts.min()),
            work if len(work) else np.append(none, watts.max()),
        )


def rank_transfer(
    work: Sequence[LedgerSeries],
    seen: Sequence[LedgerSeries],
    quantiles: PowerQuantiles,
    catalogue: Catalogue,
    rng: np.random.Generator,
    prior: Prior | None = None,
) -> list[FloatArray]:
    """Watts of each series of `work`, ranked among the moments of `seen` (which may be `work`
    itself) and given the watts of that rank.

    Working moments that should draw more than all but TOP_SHARE of those seen, by the `prior` (the
    linear ledger model unless another is given), get the top level times the ratio of what the
    prior says of them and of the top; at most the board limit, or the highest level where that was
    higher.
    """
    keys = _keys(work, catalogue, rng)
    known = keys if seen is work else _keys(seen, catalogue, rng)
    idle = [is_idle(series) for series in work]
    seen_idle = np.concatenate([is_idle(series) for series in seen])
    pooled = np.concatenate(known)
    power_w = [np.empty(len(series)) for series in work]
    for table, chosen, among in (
        (quantiles.idle_w, idle, np.sort(pooled[seen_idle])),
        (quantiles.working_w, [~mask for mask in idle], np.sort(pooled[~seen_idle])),
    ):
        share = (np.arange(len(table)) + 0.5) / len(table)
        for watts, key, mask in zip(power_w, keys, chosen, strict=True):
            # Nothing alike was seen: the middle of the table, for want of an order.
            rank = (
                (np.searchsorted(among, key[mask], side="right") - 0.5) / len(among)
                if len(among)
                else np.full(int(mask.sum()), 0.5)
            )
            watts[mask] = np.interp(rank, share, table)
    if seen is work or seen_idle.all():
        return power_w
    prior = prior or (lambda series: series.linear_watts(catalogue))
    most_w = max(work[0].config.gpus * work[0].config.gpu_nameplate_w, quantiles.working_w[-1])
    top_w = np.quantile(
        np.concatenate([prior(series)[~is_idle(series)] for series in seen]), 1.0 - TOP_SHARE
    )
    return [
        np.minimum(watts * np.where(resting, 1.0, np.maximum(prior(series) / top_w, 1.0)), most_w)
        for watts, series, resting in zip(power_w, work, idle, strict=True)
    ]


def _keys(
    work: Sequence[LedgerSeries], catalogue: Catalogue, rng: np.random.Generator
) -> list[FloatArray]:
    """What moments are ordered by: the linear model's share of nameplate with its misses added
    while working, minus the seconds since work while idle."""
    keys = []
    for series in work:
        config = series.config
        nameplate_w = config.tensor_parallel * config.gpu_nameplate_w
        working = ~is_idle(series)
        at = np.arange(len(series))
        last = np.maximum.accumulate(np.where(working, at, -len(series) - RECENT_S / series.step_s))
        since_s = np.minimum((at - last) * series.step_s, RECENT_S)
        miss = MISS_SHARE.get(config.gpu, OTHER_MISS_SHARE) * _correlated(len(series), rng)
        true = series.linear_watts(catalogue) / nameplate_w + miss
        key = apply_sensor(true, config.gpu, series.step_s)
        # Equal times since work are ordered at random.
        keys.append(np.where(working, key, -since_s - 1e-3 * rng.random(len(series))))
    return keys


def is_idle(series: LedgerSeries) -> BoolArray:
    """Moments at which the meter shows nothing but rest."""
    busy = series.columns["busy_fraction"]
    return apply_sensor(busy, series.config.gpu, series.step_s) < 1e-9


def _correlated(count: int, rng: np.random.Generator) -> FloatArray:
    from scipy.signal import lfilter

    fresh = np.sqrt(1 - MISS_CORRELATION**2) * rng.standard_normal(count)
    correlated: FloatArray = lfilter([1.0], [1.0, -MISS_CORRELATION], fresh)
    return correlated
