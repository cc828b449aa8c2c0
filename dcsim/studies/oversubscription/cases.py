"""The largest count of one case of an oversubscription study, by either rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dcsim.errors import StudyError
from dcsim.scenario.models import Scenario
from dcsim.studies.figures import NAN
from dcsim.studies.jobs import Keep, job
from dcsim.studies.limits import redundancy_not_kept
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.oversubscription.candidates import (
    Bounds,
    Candidate,
    holds_with_uncertainty,
    most_that_passes,
    try_count,
)
from dcsim.studies.oversubscription.findings import Case, Findings
from dcsim.studies.oversubscription.screen import Screen, floor_units, screen, window_means
from dcsim.studies.runner import Runner
from dcsim.studies.target import CountTarget
from dcsim.studies.uncertainty import LoadUncertainty, uncertainty_of

if TYPE_CHECKING:
    from dcsim.studies.oversubscription.study import OversubscriptionStudy

STEP_S = 1.0
"""The screen's averaging time: the paper's daily peaks are of 1 s means."""
SCREEN_SEEDS = 2
MOST_TIMES = 4
"""More than so many times what the nameplate allows is not looked for: servers that never do
anything would fit without end."""


def by_paper(
    findings: Findings,
    case: Case,
    seeds: Sequence[int],
    study: OversubscriptionStudy,
    runner: Runner,
) -> None:
    """The largest count by random subsets of what was recorded, and between which it lies by the
    level's error."""
    target = findings.target
    outcomes, pools, overhead, site_overhead = _recorded(target, case.scenario, seeds, runner)
    findings.outcomes.extend(outcomes)
    trips = sum(outcome.summary["events"]["trip"] for outcome in outcomes)
    if trips:
        findings.reasons.append(
            f"{case.model}, {case.policy}: {trips} breakers tripped in the recording, and what is "
            "dark draws nothing: the count is too high. Raise the ratings, or use --rule breaker."
        )

    def screened(limit_w: float, overhead: float) -> Screen:
        return screen(
            pools,
            limit_w,
            draws=study.draws,
            quantile=study.quantile,
            seed=seeds[0],
            overhead=overhead,
        )

    first = screened(target.limit_w, overhead)
    count = first.fits()
    low, high = first.fits_between()
    findings.screened(case, first)
    at_site = screened(target.limit_w, site_overhead)
    uncertainty = uncertainty_of(outcomes[0].summary, study.level_error, study.day_spread)
    findings.uncertainties.append(uncertainty)
    lower = screened(target.limit_w / (1.0 - uncertainty.level), overhead)
    low_w, high_w = first.interval_w(count) if count else (NAN, NAN)
    if count == first.longest:
        findings.reasons.append(
            f"{case.model}, {case.policy}: {count} is all that was tried, twice what was recorded: "
            "more may fit. Record a larger site."
        )
    findings.answer(
        case.model,
        case.policy,
        count,
        (low, NAN if high == first.longest else high),
        peak_w=first.peak_w(count),
        peak_low_w=low_w,
        peak_high_w=high_w if math.isfinite(high_w) else NAN,
        runs=len(outcomes),
        open_ended=count == first.longest,
        count_with_overhead=at_site.fits(),
        level_error=uncertainty.level,
        count_level_low=first.fits(uncertainty.level),
        count_level_high=NAN if lower.fits() == lower.longest else max(count, lower.fits()),
    )


def by_breaker(
    findings: Findings,
    case: Case,
    seeds: Sequence[int],
    bounds: Bounds,
    study: OversubscriptionStudy,
    runner: Runner,
) -> None:
    """The largest count by full simulation: with seeds alone, and with what else is uncertain."""
    target = findings.target
    # A site by nameplate trips nothing, so that what is recorded there is whole.
    safe = max(target.step, findings.by_nameplate)
    recorded = target.resized(case.scenario, safe, study.traffic)
    outcomes, pools, overhead, _ = _recorded(target, recorded, seeds[:SCREEN_SEEDS], runner)
    findings.outcomes.extend(outcomes)
    findings.safe(case, safe, outcomes, bounds.window_s)
    # By label alone, where all else that hangs there leaves no room by nameplate.
    most = MOST_TIMES * max(safe, floor_units(target.limit_w, target.unit_nameplate_w()))
    most -= most % target.step
    width = max(1, min(len(pools[0]), round(bounds.window_s / STEP_S)))
    means = [window_means(pool, width) for pool in pools]
    # Peaks of the same averaging time as everywhere in the answer.
    first = screen(
        means,
        target.limit_w,
        longest=most,
        draws=min(study.draws, 50),
        quantile=0.5,
        seed=seeds[0],
        overhead=overhead,
    )
    findings.screened(case, first)
    guess = first.fits()
    tried: dict[int, Candidate] = {}

    def at(count: int) -> Candidate:
        if count not in tried:
            tried[count] = try_count(
                target, case.scenario, count, seeds, bounds, study.traffic, runner
            )
            findings.candidate(case, tried[count])
        return tried[count]

    def passes(count: int) -> bool:
        return at(count).passes

    count = most_that_passes(passes, guess, target.step, most, target.step)
    failing = [candidate for candidate in tried.values() if not candidate.passes]
    shown = [
        candidate.count
        for candidate in failing
        if (
            candidate.failed if bounds.max_trip is None else candidate.failing.low > bounds.max_trip
        )
    ]
    more = min(
        (candidate for candidate in failing if candidate.count > count),
        key=lambda c: c.count,
        default=None,
    )
    best = tried.get(count)
    if more is None:
        findings.reasons.append(
            f"{case.model}, {case.policy}: more than {most} {target.kind}s, {MOST_TIMES} times "
            "what their labels allow, were not tried. A policy that slows servers holds any "
            "number of them unless the scenario promises a speed: give its tenants an `slo`."
        )
    else:
        findings.reasons.append(
            f"{case.model}, {case.policy}: {more.count} do not fit: {more.why}; nearest to its "
            f"limit is {more.binding}."
        )
    if best is not None:
        findings.reasons += [
            f"With {best.count} {target.kind}s: {line}"
            for line in redundancy_not_kept(best.outcomes)
        ]
    if best is not None and bounds.max_trip is None:
        findings.reasons.append(
            f"{case.model}, {case.policy}: trips of {best.count} are bounded by {best.risk.basis}."
        )
    uncertainty = uncertainty_of(outcomes[0].summary, study.level_error, study.day_spread)
    findings.uncertainties.append(uncertainty)
    bounded: dict[str, Any] = {"count_all": 0, "level_error": uncertainty.level}
    if best is not None:
        low, high = best.failing
        bounded |= {
            "count_all": _with_uncertainty(best, at, target, bounds, uncertainty),
            "peak_w": best.peak_w,
            "trip_probability": best.failed / best.runs,
            "trip_low": low,
            "trip_high": high,
            "trip_at_most": best.failing_at_most,
            "trips_per_year_at_most": best.trips_per_year_at_most,
            "risk_by": best.risk.way,
            "slo_loss": best.slo_loss,
            "slo_loss_at_most": best.slo_loss_at_most,
            "runs": best.runs,
        }
    findings.answer(
        case.model,
        case.policy,
        count,
        (count, min(shown) - target.step if shown else NAN),
        next_fails=None if more is None else more.why,
        open_ended=more is None,
        **bounded,
    )


def _with_uncertainty(
    best: Candidate,
    at: Callable[[int], Candidate],
    target: CountTarget,
    bounds: Bounds,
    uncertainty: LoadUncertainty,
) -> int:
    """The largest count that also holds with what is uncertain besides seeds: guessed by scaling
    the loads of the best one's runs, then played; fewer until one holds."""
    count = best.count
    while count and not holds_with_uncertainty(
        best, target, bounds, uncertainty, count / best.count
    ):
        count -= target.step
    while count:
        candidate = at(count)
        if candidate.passes and holds_with_uncertainty(candidate, target, bounds, uncertainty):
            break
        count -= target.step
    return count


def _recorded(
    target: CountTarget, scenario: Scenario, seeds: Sequence[int], runner: Runner
) -> tuple[list[RunOutcome], list[np.ndarray], float, float]:
    """Runs with their units' loads, and what the limit's nodes, and the site, draw for each watt
    of their units."""
    jobs = [job(scenario, seed, (Keep(target.kind, STEP_S),)) for seed in seeds]
    outcomes = runner.play(jobs, "recording")
    pools = []
    ratios = []
    for outcome in outcomes:
        series = runner.series(outcome).series[target.kind]
        if not len(series.load_w):
            raise StudyError("the run is shorter than 1 s: play a longer one")
        mine = np.array([_is_copy(name, target.counted_name) for name in series.names])
        pools.append(series.load_w[:, mine])
        units_w = float(pools[-1].mean(axis=0, dtype=np.float64).sum())
        shortest_s = min(row["resolution_s"] for row in outcome.loads)
        means_w = {
            row["node"]: row["mean_w"] for row in outcome.loads if row["resolution_s"] == shortest_s
        }
        watched_w = sum(means_w[name] for name in target.watched)
        site_w = means_w[outcome.summary["nodes"][0]["name"]]
        ratios.append((watched_w / units_w, site_w / units_w) if units_w else (1.0, 1.0))
    near, whole = np.mean(ratios, axis=0)
    return outcomes, pools, _near_one(near), _near_one(whole)


def _near_one(ratio: float) -> float:
    """Return 1 where only rounding stands between: recorded loads are float32."""
    return 1.0 if abs(ratio - 1.0) < 1e-4 else float(ratio)


def _is_copy(name: str, row: str) -> bool:
    """Whether a node's name is that of a copy of a row: `row-2/rack-3` of `rack`."""
    last = name.rsplit("/", 1)[-1]
    head, _, number = last.rpartition("-")
    return last == row or (head == row and number.isdigit())
