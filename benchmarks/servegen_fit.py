"""Makes the shipped populations of clients: python -m benchmarks.servegen_fit

What all clients together ask becomes a curve by hour of the recording's week. Of a single day only
two harmonics are taken: what happens once cannot be told apart from clients' whims. Each client
becomes one line: its share, how often it is active and how long at a time, how far and how slowly
its rate departs from the curve, and the shape of its gaps. Departures are fitted by their moments,
not by logarithms: windows with a request or two would rule those.

The quality figures play the data window by window (`kind: servegen`) and the fit with seeds of its
own, both at about 20 req/s, and compare their indices of dispersion (variance over mean of the
counts in windows of 1, 10, 60 and 600 s) and how far rates in 600 s lie from the curve on average.
`curve_error` is the mean distance of the rate expected of the fit, by hour, from the measured one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from benchmarks.data import need_data
from dcsim.arrays import BoolArray, FloatArray
from dcsim.errors import TraceError
from dcsim.scenario.models import ClientsArrivals, ServegenArrivals
from dcsim.workload.arrivals import ArrivalContext
from dcsim.workload.clients import (
    FIT_WINDOW_S,
    ClientFit,
    Population,
    client_files,
    measured,
    of_population,
    servegen,
)
from dcsim.workload.renewal import Gamma, Weibull

POPULATIONS = Path(__file__).parents[1] / "dcsim" / "workload" / "populations"
SOURCE = "ServeGen (Alibaba Cloud; Xiang et al., arXiv 2505.09999), client windows of 600 s"
SETS = {
    "servegen-m-small": (
        "language/m-small",
        "General language service, two weeks, by hour of week",
    ),
    "servegen-deepseek-r1": ("reason/deepseek-r1", "Reasoning service, one day, by hour"),
}
PER_HOUR = 6
PLAYED_PER_S = 20.0
SPANS_S = (1, 10, 60, 600)
SEEDS = {"servegen-m-small": 3, "servegen-deepseek-r1": 9}
HARMONICS = 2
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Of the curve, that a client may follow; the one that leaves least to chance is taken."""


def curve(total: FloatArray) -> FloatArray:
    """Factors by hour of the week, or of what there is of it; mean 1."""
    hours = total[: len(total) // PER_HOUR * PER_HOUR].reshape(-1, PER_HOUR).mean(axis=1)
    length = min(len(hours), 168)
    weeks = hours[: len(hours) // length * length].reshape(-1, length)
    mean = weeks.mean(axis=0) / weeks.mean()
    if len(weeks) > 1:
        return mean
    waves = np.fft.rfft(mean)
    waves[HARMONICS + 1 :] = 0.0
    return np.fft.irfft(waves, length)


def kind(rates: FloatArray, shapes: FloatArray, weibull: BoolArray, all_together: FloatArray,
         whole: float) -> ClientFit:  # fmt: skip
    """One client's line, from its windows."""
    active = rates > 0
    runs = max(int(active[0]) + int((np.diff(active.astype(int)) == 1).sum()), 1)
    spread = {}
    for power in POWERS:
        there = rates[active] / all_together[active] ** power
        spread[power] = float(np.log1p(there.var() / there.mean() ** 2))
    follows = min(spread, key=lambda power: (spread[power], power))
    sigma2 = spread[follows]
    departure = rates / all_together**follows
    both = active[1:] & active[:-1]
    memory = 0.0
    if both.sum() > 2 and sigma2 > 1e-6:
        one, other = departure[1:][both], departure[:-1][both]
        if one.std() > 0 and other.std() > 0:
            plain = max(float(np.corrcoef(one, other)[0, 1]), 0.0)
            memory = min(float(np.log1p(plain * np.expm1(sigma2))) / sigma2, 1.0)
    # The family that bears more requests, and its shapes weighted by requests.
    bent = bool(rates[weibull].sum() > rates.sum() / 2)
    of = active & (weibull == bent)
    order = np.argsort(shapes[of])
    weights = np.cumsum(rates[of][order]) / rates[of].sum()
    logs = np.log(shapes[of][order])
    low, middle, high = np.interp([0.16, 0.5, 0.84], weights, logs)
    return ClientFit(
        share=_short(rates.sum() / whole),
        active=_short(active.mean()),
        run=_short(active.sum() / runs),
        follows=follows,
        sigma=_short(sigma2**0.5),
        memory=_short(memory),
        family="Weibull" if bent else "Gamma",
        shape=_short(np.exp(middle)),
        shape_sigma=_short((high - low) / 2),
    )


def _short(value: float) -> float:
    return float(f"{float(value):.3g}")


def dispersion(times_s: FloatArray, span_s: float, length_s: float) -> float:
    """Variance over mean of the counts."""
    counts = np.bincount((times_s / span_s).astype(int), minlength=int(length_s / span_s))
    return float(counts.var() / counts.mean())


def departure(times_s: FloatArray, expected_per_s: FloatArray, length_s: float) -> float:
    """Mean distance of the rates in windows from the curve, as a share of the mean rate."""
    windows = int(length_s / FIT_WINDOW_S)
    counts = np.bincount((times_s / FIT_WINDOW_S).astype(int), minlength=windows)
    return float(np.abs(counts / FIT_WINDOW_S - expected_per_s).mean() / expected_per_s.mean())


def make(name: str, folder: Path, title: str) -> None:
    """Fit, measure and write one population."""
    rates, shapes, weibull = [], [], []
    for file in client_files(folder):
        rows = [row for row in measured(file) if not isinstance(row, TraceError)]
        gaps = [row[2] for row in rows]
        rates.append([row[1] for row in rows])
        shapes.append([g.shape for g in gaps if isinstance(g, Gamma | Weibull)])
        weibull.append([isinstance(g, Weibull) for g in gaps])
    rate, shape, bent = np.array(rates), np.array(shapes), np.array(weibull)
    total = rate.sum(axis=0)
    hours = curve(total)
    windows = total.size
    all_together = hours[np.arange(windows) // PER_HOUR % len(hours)]
    population = Population(
        name=name,
        title=title,
        source=SOURCE,
        licence="Apache-2.0",
        rate_per_s=_short(total.mean()),
        hours=tuple(round(float(factor), 3) for factor in hours),
        clients=tuple(
            kind(rate[i], shape[i], bent[i], all_together, total.sum())
            for i in np.argsort(-rate.sum(axis=1), kind="stable")
            if rate[i].sum() > 0
        ),
        quality={},
    )
    length_s = windows * FIT_WINDOW_S
    scale = PLAYED_PER_S / total.mean()
    as_measured = ServegenArrivals(kind="servegen", folder=folder, rate_scale=scale)
    made = ClientsArrivals.model_validate({"kind": "clients", "name": name})
    context = ArrivalContext(length_s, np.random.SeedSequence(0))
    played = [np.concatenate(list(servegen(as_measured, context)))]
    played += [
        np.concatenate(
            list(of_population(population, made, PLAYED_PER_S, length_s, np.random.SeedSequence(i)))
        )
        for i in range(1, SEEDS[name] + 1)
    ]
    summed = np.zeros(len(hours))
    for one in population.clients:
        own = hours**one.follows
        summed += one.share * own / own.mean()
    # Of the measured rates by hour of week, and of those expected of the fit.
    by_hour = total[: windows // PER_HOUR * PER_HOUR].reshape(-1, PER_HOUR).mean(axis=1)
    by_hour = (
        by_hour[: len(by_hour) // len(hours) * len(hours)].reshape(-1, len(hours)).mean(axis=0)
    )
    quality = {"curve_error": float(np.abs(summed - by_hour / by_hour.mean()).mean())}
    expected_per_s = PLAYED_PER_S * all_together
    for span_s in SPANS_S:
        found = [dispersion(times_s, span_s, length_s) for times_s in played]
        quality[f"dispersion_{span_s}s_data"] = found[0]
        quality[f"dispersion_{span_s}s_fit"] = float(np.median(found[1:]))
    found = [departure(times_s, expected_per_s, length_s) for times_s in played]
    quality["departure_600s_data"], quality["departure_600s_fit"] = found[0], np.median(found[1:])
    found = [len(times_s) / length_s / PLAYED_PER_S - 1 for times_s in played]
    quality["mean_error_data"], quality["mean_error_fit"] = found[0], np.median(found[1:])
    shown = {key: _short(value) for key, value in quality.items()}
    table = population.model_copy(update={"quality": shown})
    text = yaml.safe_dump(
        table.model_dump(exclude={"name"}, mode="json"),
        sort_keys=False,
        default_flow_style=None,
        width=100,
    )
    POPULATIONS.mkdir(exist_ok=True)
    (POPULATIONS / f"{name}.yaml").write_text(
        "# Made by `python -m benchmarks.servegen_fit`; do not edit.\n" + text, encoding="utf-8"
    )
    print(name, len(population.clients), "clients", shown)


def main() -> None:
    """Write every population."""
    data = need_data() / "arrivals" / "servegen"
    for name, (folder, title) in SETS.items():
        make(name, data / folder, title)


if __name__ == "__main__":
    main()
