"""Full simulation of the candidates that decide: does this many fit, and what is the most?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dcsim.errors import StudyError
from dcsim.facility.limit_words import label
from dcsim.facility.trip_ratio import Element, stated_elements
from dcsim.plant import Plant
from dcsim.scenario.models import Scenario
from dcsim.studies.ask import load_rows, slo_loss
from dcsim.studies.figures import fitting_window_s
from dcsim.studies.jobs import job
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.risk import Exposure, Risk, held_by_policies
from dcsim.studies.runner import Runner
from dcsim.studies.statistics import (
    CONFIDENCE,
    Interval,
    Plan,
    at_most,
    share_interval,
    share_mean_at_most,
    trials_to_show,
)
from dcsim.studies.target import CountTarget
from dcsim.studies.uncertainty import LoadUncertainty, scaled

OTHER_LIMITS = ("demand", "ramp")
"""Kinds of limits that bring their own windows."""
RAREST = 1e-3
"""A year. No fit to some tens of runs is believed beyond once in a thousand years."""
FIRST_WAVE = 2
"""Runs of a candidate that are played before the first look; twice as many before each next. Fixed,
so that what is played does not depend on how many workers there are."""


@dataclass(frozen=True)
class Bounds:
    """The bounds that a planner sets."""

    max_trip: float | None
    """Probability that a run trips a breaker, or breaks a limit, by counting; None: no run may,
    and `max_trips_per_year` is held."""
    max_slo_loss: float
    window_s: float
    """Limits are held to means over this time."""
    max_trips_per_year: float = 0.1
    """How often in a year of busy hours a breaker may trip."""
    busy_hours: float = 1000.0
    """Hours of a year that are like the run."""
    run_hours: float = 1.0
    """What a run measures."""
    allowed_w: Mapping[str, float] = field(default_factory=dict)
    """What nodes may carry for good, where that is less than their ratings."""

    def a_year(self, chance: float) -> float:
        """Runs of a year's busy hours times the chance in one; no less than `RAREST`, but 0 for a
        load without chance."""
        yearly = chance * self.busy_hours / self.run_hours
        return max(RAREST, yearly) if chance > 0.0 else 0.0


@dataclass(frozen=True)
class Candidate:
    """A number of units, and what its runs showed."""

    count: int
    passes: bool
    why: str
    outcomes: tuple[RunOutcome, ...] = field(repr=False)
    tripped: int
    over: int
    """Runs above the continuous rating, or a limit of demand or ramp."""
    failed: int
    """Runs with either."""
    peak_w: float
    """Highest mean over the window of the nodes with the limit, mean over runs."""
    instant_w: float
    """Highest power step, mean over runs."""
    slo_loss: float
    slo_loss_at_most: float
    exposure: Exposure = field(repr=False)
    """How near its runs came to a trip of what feeds them."""
    risk: Risk
    """Of a trip in one run."""
    trips_per_year_at_most: float
    """One-sided bound by that risk; infinite where nothing can be said."""
    binding: str
    """The node nearest to its limit, of those asked about and above; with the limit where it is one
    of demand or ramp."""

    @property
    def runs(self) -> int:
        """Number of runs that were played."""
        return len(self.outcomes)

    @property
    def failing(self) -> Interval:
        """The 95 % interval of the probability of failing (Clopper and Pearson)."""
        return share_interval(self.failed, self.runs)

    @property
    def failing_at_most(self) -> float:
        """One-sided 95 % bound of that probability, below the interval's upper end."""
        return at_most(self.failed, self.runs)


def try_count(
    target: CountTarget,
    base: Scenario,
    count: int,
    seeds: Sequence[int],
    bounds: Bounds,
    traffic: str,
    runner: Runner,
) -> Candidate:
    """Play a candidate until it is certain whether it passes; see `statistics.Plan`.

    Seeds are played in their order and the verdict is that of the shortest list of them that is
    certain. Raises StudyError, RunFailedError.
    """
    scenario = target.resized(base, count, traffic)
    windows_s = tuple(sorted({1.0, bounds.window_s}))
    heated = tuple(target.watched_and_above)
    opens = stated_elements(Plant.build(scenario), heated, bounds.window_s)
    outcomes: list[RunOutcome] = []
    failed: list[bool] = []
    sound: bool | None = None
    for wave in waves(len(seeds)):
        jobs = [
            job(scenario, seed, windows_s=windows_s, heated=heated, trip_window_s=bounds.window_s)
            for seed in seeds[wave]
        ]
        for outcome in runner.play(jobs, f"{count} {target.kind}s"):
            if sound is None:
                outcomes.append(outcome)
                failed.append(_tripped(outcome) or _over(outcome, target, bounds))
                sound = _verdict(bounds, len(seeds), failed, _exposure(scenario, outcomes, opens))
        if sound is not None:
            break
    exposure = _exposure(scenario, outcomes, opens)
    return _judged(target, count, outcomes, sum(failed), bool(sound), bounds, exposure)


def _exposure(
    scenario: Scenario, outcomes: Sequence[RunOutcome], opens: Mapping[str, Element]
) -> Exposure:
    return Exposure(
        [outcome.heating for outcome in outcomes],
        opens,
        held_by_policies(scenario),
        controlled=bool(scenario.control),
    )


def _verdict(bounds: Bounds, runs: int, failed: list[bool], exposure: Exposure) -> bool | None:
    """Say whether a candidate holds so far; None where that is open."""
    if bounds.max_trip is not None:
        return Plan(bounds.max_trip, runs).verdict(failed)
    if any(failed):  # a failure seen in hours is far more than a few in years
        return False
    constant = len(failed) > 1 and exposure.constant  # no chance in it: two runs are enough
    return True if len(failed) == runs or constant else None


def waves(count: int) -> Iterator[slice]:
    """Cut `count` runs into slices of 2, 4, 8, ..."""
    start, width = 0, FIRST_WAVE
    while start < count:
        yield slice(start, min(start + width, count))
        start, width = start + width, 2 * width


def most_that_passes(
    passes: Callable[[int], bool], guess: int, least: int, most: int, step: int
) -> int:
    """The largest multiple of `step` in [least, most] that passes, if all below a passing one
    pass; 0 if none does.

    From the guess on in strides that double, until one passes and one fails; then by bisection.
    A good guess costs two candidates.
    """
    low, high = 0, most + step  # known or taken to pass, and to fail
    at = min(max(guess // step * step, least), most // step * step)
    stride = step
    while True:
        if passes(at):
            low = at
            if at + step > most:
                return at
            if high <= most:
                break
            at = min(at + stride, most // step * step)
        else:
            high = at
            if low or at <= least:
                break
            at = max(at - stride, least)
        stride *= 2
    while high - low > step and high > least:
        middle = (low + high) // 2 // step * step
        if middle < least:
            break
        if passes(middle):
            low = middle
        else:
            high = middle
    return low


def _tripped(outcome: RunOutcome) -> bool:
    return bool(outcome.summary["events"]["trip"])


def _over(outcome: RunOutcome, target: CountTarget, bounds: Bounds) -> bool:
    return _worst(outcome, target, bounds)[1] > 1.0


def _worst(outcome: RunOutcome, target: CountTarget, bounds: Bounds) -> tuple[str, float]:
    """The limit nearest to being passed, of the limit's node and those above, and the load over
    it."""
    figures = _figures(outcome, target, bounds)
    return max(
        ((figure.limit, figure.highest_w / figure.limit_w) for figure in figures),
        key=lambda row: row[1],
    )


@dataclass(frozen=True)
class _Figure:
    """What a run drew against one limit, W."""

    limit: str
    """The node, and of a demand or ramp limit what is limited."""
    highest_w: float
    grows_w: float
    """What of it grows with the number of units; the rest, with its square root."""
    limit_w: float


def _figures(outcome: RunOutcome, target: CountTarget, bounds: Bounds) -> list[_Figure]:
    """Of the limit's node and of all that feed it: the highest mean over the window against what
    each may carry, and demand and ramp limits by their own windows. A demand window that no run
    fills is held to the mean over all that the run measures."""
    loads = load_rows(outcome, fitting_window_s(outcome, bounds.window_s))
    nodes = {node["name"]: node for node in outcome.summary["nodes"]}
    stated = [row for row in outcome.summary["limits"] if row["node"] in target.watched_and_above]
    rated_w = {row["node"]: row["highest_w"] for row in stated if row["kind"] == "rating"}
    limits_w = {name: node["limit_w"] for name, node in nodes.items()}
    limits_w |= {**bounds.allowed_w, **dict.fromkeys(target.watched, target.limit_w)}
    figures = []
    for name in target.watched_and_above:
        if limits_w.get(name) and name in loads:
            # Ratings feel the fullest line, or what a UPS puts out: as at the highest step.
            peak_w = nodes[name]["peak_w"]
            felt = rated_w[name] / peak_w if rated_w.get(name) and peak_w else 1.0
            load = loads[name]
            figures.append(
                _Figure(name, felt * load["peak_w"], felt * load["mean_w"], limits_w[name])
            )
    for row in stated:
        highest_w = row["partial_w"] if row["highest_w"] is None else row["highest_w"]
        if row["kind"] in OTHER_LIMITS and highest_w is not None:
            limit_w = highest_w / row["share"] if row["share"] else row["limit_w"]
            grows_w = highest_w if row["kind"] == "ramp" else loads[row["node"]]["mean_w"]
            name = f"{row['node']}, {label(row)}"
            figures.append(_Figure(name, highest_w, grows_w, limit_w))
    return figures


def holds_with_uncertainty(
    candidate: Candidate,
    target: CountTarget,
    bounds: Bounds,
    uncertainty: LoadUncertainty,
    factor: float = 1.0,
) -> bool:
    """Whether a candidate would pass if loads were as uncertain as that too: runs of any day stay
    within what nodes may carry with 95 % (or a chance of `max_trip`), and trips a year are as few
    as asked. `factor`: of so many times its units, its runs' loads scaled."""
    most = 1.0 - CONFIDENCE if bounds.max_trip is None else bounds.max_trip
    if uncertainty.exceeding(_scaled_shares(candidate, target, bounds, factor)) > most:
        return False
    if bounds.max_trip is not None:
        return True
    return (
        bounds.a_year(uncertainty.trips_at_most(candidate.exposure, factor))
        <= bounds.max_trips_per_year
    )


def _scaled_shares(
    candidate: Candidate, target: CountTarget, bounds: Bounds, factor: float
) -> list[float]:
    """Return each run's highest load as a share of its limit, its loads scaled."""
    return [
        max(
            scaled(figure.highest_w, figure.grows_w, factor) / figure.limit_w
            for figure in _figures(outcome, target, bounds)
        )
        for outcome in candidate.outcomes
    ]


def _judged(
    target: CountTarget,
    count: int,
    outcomes: list[RunOutcome],
    failed: int,
    sound: bool,
    bounds: Bounds,
    exposure: Exposure,
) -> Candidate:
    losses = [slo_loss(outcome.summary) for outcome in outcomes]
    if any(math.isnan(loss) for loss in losses):
        raise StudyError("no request ended in a run: its SLO loss is unknown; play a longer one")
    # A single run cannot show a bound on a mean; a passing candidate has played all of its runs.
    loss = float(np.mean(losses))
    at_most = share_mean_at_most(losses, CONFIDENCE)
    tripped = sum(map(_tripped, outcomes))
    over = sum(_over(outcome, target, bounds) for outcome in outcomes)
    risk = exposure.risk()
    yearly = bounds.a_year(risk.per_run) if math.isfinite(risk.per_run) else math.inf
    # A bound of 1 % on a loss takes 299 runs without any: fewer are held to their mean.
    most = bounds.max_slo_loss
    provable = 0.0 < most < 1.0 and len(losses) >= trials_to_show(most)
    if not sound:
        why = f"{tripped} of {len(outcomes)} runs tripped, {over} were above what is allowed"
    elif bounds.max_trip is None and not risk.way:
        why = f"trips a year cannot be told: {risk.basis}"
    elif bounds.max_trip is None and yearly > bounds.max_trips_per_year:
        why = (
            f"up to {yearly:.2g} trips a year, more than {bounds.max_trips_per_year:g}, by "
            f"{risk.basis}"
        )
    elif (at_most if provable else loss) > bounds.max_slo_loss:
        why = (
            f"SLO loss {100 * loss:.2f} %, at most {100 * at_most:.2f} %: more than "
            f"{100 * bounds.max_slo_loss:.2f} %"
        )
    else:
        why = "passes"

    def peak_w(window_s: float) -> float:
        peaks_w = []
        for outcome in outcomes:
            loads = load_rows(outcome, fitting_window_s(outcome, window_s))
            peaks_w.append(max(loads[name]["peak_w"] for name in target.watched))
        return float(np.mean(peaks_w))

    return Candidate(
        count=count,
        passes=why == "passes",
        why=why,
        outcomes=tuple(outcomes),
        tripped=tripped,
        over=over,
        failed=failed,
        peak_w=peak_w(bounds.window_s),
        instant_w=peak_w(min(row["resolution_s"] for row in outcomes[0].loads)),
        slo_loss=loss,
        slo_loss_at_most=at_most,
        exposure=exposure,
        risk=risk,
        trips_per_year_at_most=yearly,
        binding=max((_worst(o, target, bounds) for o in outcomes), key=lambda worst: worst[1])[0],
    )
