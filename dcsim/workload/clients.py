"""Many clients at once, window by window: each window has a rate and irregular gaps of its own.

ServeGen (arXiv 2505.09999) measured production traffic so, client by client. What a client does in
one window tells nothing of the next beyond its rate: each begins as if it had run for ever, so that
every window is expected to bring just its rate.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import Field

from dcsim import seeds
from dcsim.arrays import FloatArray
from dcsim.errors import TraceError
from dcsim.registry import register
from dcsim.scenario.models import ClientsArrivals, Fraction, ServegenArrivals, Spec
from dcsim.workload.arrivals import ArrivalContext, changes
from dcsim.workload.rates import Factor, Profile
from dcsim.workload.renewal import Gamma, Gaps, Weibull, until
from dcsim.workload.stream import BLOCK_REQUESTS
from dcsim.workload.traces import RowError, csv_lines, seconds

GATHER_S = 6 * 3600.0
"""A quiet client gathers requests for so long before it hands them on."""
GATHER_REQUESTS = BLOCK_REQUESTS // 4


@dataclass(frozen=True, slots=True)
class ClientWindow:
    """A stretch of a client's time, in seconds since the start of the run."""

    start_s: float
    end_s: float
    rate_per_s: float
    gaps: Gaps


Client = Iterator[ClientWindow]


def superposed(
    clients: Sequence[Client],
    generators: Sequence[np.random.Generator],
    factors: tuple[Factor, ...],
    horizon_s: float,
) -> Iterator[FloatArray]:
    """Arrivals of all clients before `horizon_s`, in order, lazily."""
    sources = [
        _arrivals(client, factors, horizon_s, rng)
        for client, rng in zip(clients, generators, strict=True)
    ]
    # Whose requests are known for the shortest time goes on next.
    known = [(0.0, number) for number in range(len(sources))]
    waiting: list[FloatArray] = []
    fresh = 0
    while known:
        _, number = known[0]
        block = next(sources[number], None)
        if block is None:
            heapq.heappop(known)
        else:
            heapq.heapreplace(known, (block[1], number))
            waiting.append(block[0])
            fresh += len(block[0])
        until_s = known[0][0] if known else horizon_s
        if fresh >= 4 * BLOCK_REQUESTS or not known:
            together_s = np.sort(np.concatenate(waiting)) if waiting else np.zeros(0)
            ready = int(np.searchsorted(together_s, until_s))
            for start in range(0, ready, BLOCK_REQUESTS):
                yield together_s[start : min(start + BLOCK_REQUESTS, ready)]
            waiting, fresh = [together_s[ready:]], 0


def _arrivals(
    client: Client, factors: tuple[Factor, ...], horizon_s: float, rng: np.random.Generator
) -> Iterator[tuple[FloatArray, float]]:
    """Blocks of arrivals before `horizon_s`, and the time until which all are known."""
    gathered: list[FloatArray] = []
    count, since_s = 0, 0.0
    for window in client:
        if window.start_s >= horizon_s:
            break
        if window.rate_per_s > 0:
            cells = Profile(window.rate_per_s, factors).cells(window.start_s, window.end_s)
            for counts in until(cells.total, window.gaps, rng):
                times_s = np.minimum(cells.times_s(counts), window.end_s)
                gathered.append(times_s[times_s < horizon_s])
                count += len(gathered[-1])
                if count >= GATHER_REQUESTS and len(times_s):
                    yield np.concatenate(gathered), float(times_s[-1])
                    gathered, count, since_s = [], 0, window.end_s
        if window.end_s - since_s >= GATHER_S and gathered:
            yield np.concatenate(gathered), window.end_s
            gathered, count, since_s = [], 0, window.end_s
    if gathered:
        yield np.concatenate(gathered), horizon_s


# --- as measured -----------------------------------------------------------------------------

COLUMNS = ("window start", "rate", "CV", "family", "first parameter", "second parameter")
"""Of ServeGen's files, which have no header: seconds, req/s, then of the gaps their CV and the
family fitted to them (Gamma or Weibull) with shape and scale. At a rate of 0 the rest is 0."""
SHAPES = {"Gamma": (0.001, 1e5), "Weibull": (0.1, 100.0)}
FILES = "chunk-*-trace.csv"

Measured = list[tuple[float, float, Gaps]]
"""Start, rate and gaps of a client's windows."""


def client_files(folder: Path) -> list[Path]:
    """One a client, in order of their numbers. Raises OSError."""
    if not folder.is_dir():
        raise NotADirectoryError(20, "not a folder", str(folder))
    return sorted(folder.glob(FILES), key=lambda file: (len(file.name), file.name))


def measured(file: Path) -> Iterator[tuple[float, float, Gaps] | TraceError]:
    """The windows of one file, and what is wrong with it."""
    width_s = last_s = None
    for line in csv_lines(file, COLUMNS, header=False):
        if isinstance(line, TraceError):
            yield line
            continue
        number, (start, rate, _, family, shape, _) = line
        try:
            start_s, rate_per_s = seconds(COLUMNS[0], start), seconds(COLUMNS[1], rate)
            if last_s is not None and width_s is None:
                width_s = start_s - last_s
            expected_s = 0.0 if last_s is None or width_s is None else last_s + width_s
            if start_s != expected_s or (width_s is not None and width_s <= 0):
                raise RowError(COLUMNS[0], start, "windows from 0 on, all as long")
            last_s = start_s
            if not 0 <= rate_per_s <= 1e6:
                raise RowError(COLUMNS[1], rate, "a rate in requests per second")
            yield start_s, rate_per_s, _gaps(family, shape) if rate_per_s > 0 else Gamma(1.0)
        except RowError as error:
            yield TraceError(file, number, *error.args)
    if width_s is None:
        yield TraceError(file, 0, "", "", "at least two windows", whole=True)


def _gaps(family: str, shape: str) -> Gaps:
    """The fitted shape; the scale follows from the rate, which the fitted one does not always
    agree with."""
    if family not in SHAPES:
        raise RowError(COLUMNS[3], family, "Gamma or Weibull")
    value, (low, high) = seconds(COLUMNS[4], shape), SHAPES[family]
    if not low <= value <= high:
        raise RowError(COLUMNS[4], shape, f"a shape from {low:g} to {high:g}")
    return Gamma(value) if family == "Gamma" else Weibull(value)


def servegen(spec: ServegenArrivals, context: ArrivalContext) -> Iterator[FloatArray]:
    """The clients of a folder, each as it was measured. Raises TraceError and OSError when
    iterated."""
    files = list(enumerate(client_files(spec.folder)))[:: spec.one_client_in]
    if not files:
        raise TraceError(spec.folder, 0, "", "", f"files named {FILES}", whole=True)

    def windows(file: Path) -> Client:
        known: Measured = []
        for row in measured(file):
            if isinstance(row, TraceError):
                raise row
            known.append(row)
        width_s = known[1][0]
        length_s = len(known) * width_s
        if spec.from_s >= length_s and not spec.loop:
            raise TraceError(file, 0, "", "", "windows after `from`", whole=True)
        lap_s = -spec.from_s
        while True:
            for start_s, rate_per_s, gaps in known:
                if lap_s + start_s + width_s > 0:
                    begin_s = max(lap_s + start_s, 0.0)
                    end_s = lap_s + start_s + width_s
                    scaled_per_s = rate_per_s * spec.rate_scale * context.scale
                    yield ClientWindow(begin_s, end_s, scaled_per_s, gaps)
            lap_s += length_s
            if not spec.loop:
                return

    yield from superposed(
        [windows(file) for _, file in files],
        [seeds.generator(context.seed, seeds.ARRIVALS, number) for number, _ in files],
        changes(spec),
        context.horizon_s,
    )


# --- made up ---------------------------------------------------------------------------------

FIT_WINDOW_S = 600.0
WINDOWS_AT_ONCE = 64


class ClientFit(Spec):
    """What one measured client was like."""

    share: float = Field(gt=0)
    """Of all requests."""
    active: Fraction
    """Share of the windows in which it asked anything."""
    run: float = Field(ge=1)
    """Mean number of windows from falling silent to falling silent, silence left out."""
    follows: float = Field(ge=0, le=10)
    """Power of everybody's curve that its rate goes with: 0 for none of it."""
    sigma: float = Field(ge=0)
    """Standard deviation of the logarithm of its rate while active, against that."""
    memory: float = Field(ge=-1, le=1)
    """Correlation of that logarithm from one window to the next."""
    family: Literal["Gamma", "Weibull"]
    shape: float = Field(gt=0)
    """Of the gaps: the median over windows, by requests."""
    shape_sigma: float = Field(ge=0)
    """Standard deviation of the shape's logarithm from window to window."""


class Population(Spec):
    """A shipped fit of clients: a rate that all follow through the day or week, and how each
    departs from it."""

    name: str
    title: str
    source: str
    licence: str
    rate_per_s: float = Field(gt=0)
    """Mean of all together, as measured."""
    hours: Annotated[tuple[float, ...], Field(min_length=24)]
    """Factors of the rate by hour from the start of the recording, mean 1."""
    clients: tuple[ClientFit, ...] = Field(min_length=1)
    quality: dict[str, float]
    """How it compares with its data; see docs/workload.md."""


@lru_cache(maxsize=1)
def load_populations() -> dict[str, Population]:
    """All shipped populations by name."""
    populations = {}
    for file in (resources.files("dcsim.workload") / "populations").iterdir():
        if file.name.endswith(".yaml"):
            name = file.name.removesuffix(".yaml")
            fields = yaml.safe_load(file.read_text(encoding="utf-8"))
            populations[name] = Population(name=name, **fields)
    return populations


def made_up(spec: ClientsArrivals, context: ArrivalContext) -> Iterator[FloatArray]:
    """Clients after a shipped population. Raises KeyError for one that is not shipped."""
    population = load_populations()[spec.name]
    rate_per_s = context.scale * (spec.rate_per_s or population.rate_per_s)
    return of_population(population, spec, rate_per_s, context.horizon_s, context.seed)


register("arrivals", "servegen", ServegenArrivals, servegen)
register("arrivals", "clients", ClientsArrivals, made_up)


def of_population(
    population: Population,
    spec: ClientsArrivals,
    rate_per_s: float,
    horizon_s: float,
    seed: np.random.SeedSequence,
) -> Iterator[FloatArray]:
    """As many clients as the scenario wants, kinds in turn from those with the largest share."""
    kinds = sorted(population.clients, key=lambda kind: -kind.share)
    number = spec.clients or len(kinds)
    chosen = [kinds[index * len(kinds) // number] for index in range(number)]
    whole = sum(kind.share for kind in chosen)
    return superposed(
        [
            _windows(
                kind,
                rate_per_s * kind.share / whole,
                np.array(population.hours),
                spec.start_at_s or 0.0,
                seeds.generator(seed, seeds.STATES, index),
            )
            for index, kind in enumerate(chosen)
        ],
        [seeds.generator(seed, seeds.ARRIVALS, index) for index in range(number)],
        changes(spec),
        horizon_s,
    )


def _windows(
    kind: ClientFit,
    rate_per_s: float,
    hours: FloatArray,
    start_at_s: float,
    rng: np.random.Generator,
) -> Client:
    """Windows for ever: silent or active, and while active at a rate that wanders. The mean of
    the rate over the run of windows is `rate_per_s`."""
    low, high = SHAPES[kind.family]
    active = bool(rng.random() < kind.active)
    # Ends of runs and of silences, so that the share of active windows is kept.
    ends = 1.0 / kind.run if kind.active < 1 else 0.0
    begins = ends * kind.active / (1.0 - kind.active) if kind.active < 1 else 1.0
    if begins > 1.0:
        ends, begins = ends / begins, 1.0
    departure = float(rng.standard_normal())
    curve = hours**kind.follows
    curve *= rate_per_s / kind.active / curve.mean()
    number = 0
    while True:
        for chance, moved, shaped in zip(
            rng.random(WINDOWS_AT_ONCE),
            rng.standard_normal(WINDOWS_AT_ONCE),
            rng.standard_normal(WINDOWS_AT_ONCE),
            strict=True,
        ):
            start_s = number * FIT_WINDOW_S
            hour = int((start_s + 0.5 * FIT_WINDOW_S + start_at_s) // 3600.0) % len(curve)
            rate = curve[hour] * np.exp(kind.sigma * departure - 0.5 * kind.sigma**2)
            shape = min(max(kind.shape * np.exp(kind.shape_sigma * shaped), low), high)
            gaps = Gamma(shape) if kind.family == "Gamma" else Weibull(shape)
            yield ClientWindow(
                start_s, start_s + FIT_WINDOW_S, float(rate) if active else 0.0, gaps
            )
            number += 1
            active = bool(chance >= ends) if active else bool(chance < begins)
            departure = kind.memory * departure + (1.0 - kind.memory**2) ** 0.5 * float(moved)
