"""Oversubscription: how many racks fit under a limit, by power model and by policy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dcsim.engine.warm_up import warm_up_of
from dcsim.scenario.models import Scenario
from dcsim.studies.answer import Answer, StudyError
from dcsim.studies.ask import opened, power_evidence, seeds_of, told_evidence
from dcsim.studies.busy import told_busy, told_far_from_busy, told_watts
from dcsim.studies.candidates import Bounds, Candidate, most_that_passes, try_count
from dcsim.studies.crew import Crew
from dcsim.studies.jobs import Keep, job
from dcsim.studies.limits import continuous_w
from dcsim.studies.outcome import Outcome
from dcsim.studies.oversubscription_rows import Case, Findings, told_nameplate
from dcsim.studies.oversubscription_words import Rule, told_doubt, told_rule
from dcsim.studies.screen import floor_units, screen, window_means
from dcsim.studies.statistics import trials_to_show
from dcsim.studies.target import Target, find_target
from dcsim.studies.variants import (
    NAMEPLATE,
    OWN,
    check_models,
    with_model,
    with_policy,
)

Traffic = Literal["scaled", "fixed"]
Fill = Literal["continuous", "rating"]
MAX_TRIPS_PER_YEAR = 0.1
"""One in ten years: a breaker of a row should not open in the life of the servers below it."""
BUSY_HOURS = 1000.0
"""Four busy hours on each of 250 working days."""
HOURS_A_YEAR = 8766.0
SEEDS = 20
"""Runs from which a tail is carried on to years."""
NAN = float("nan")
STEP_S = 1.0
"""The screen's averaging time: the paper's daily peaks are of 1 s means."""
SCREEN_SEEDS = 2
MOST_TIMES = 4
"""More than so many times what the nameplate allows is not looked for: servers that never do
anything would fit without end."""


def oversubscription(
    scenario: Scenario | str | Path,
    *,
    under: str | None = None,
    counted: str | None = None,
    limit_w: float | None = None,
    rule: Rule = "breaker",
    models: Sequence[str] = (OWN,),
    policies: Mapping[str, Sequence[Mapping[str, Any]] | None] | None = None,
    seeds: int | Sequence[int] | None = None,
    fill: Fill = "continuous",
    max_trips_per_year: float = MAX_TRIPS_PER_YEAR,
    busy_hours: float = BUSY_HOURS,
    level_error: float = 0.0,
    day_spread: float = 0.0,
    max_trip: float | None = None,
    max_slo_loss: float = 0.01,
    window_s: float = 900.0,
    traffic: Traffic = "scaled",
    draws: int = 200,
    quantile: float = 0.95,
    crew: Crew | None = None,
) -> Answer:
    """How many units of the row `counted` fit under the rating of `under`, or `limit_w`.

    - `rule="breaker"`: full simulation. No run trips a breaker or has a mean over `window_s` above
      what `under` and all that feeds it may carry: with `fill="continuous"` their allowances for
      continuous loads, unless `limit_w` is given, with `"rating"` their ratings. With 95 %
      confidence such a mean is above a rating at most `max_trips_per_year` times in the
      `busy_hours` of a year, by the tail of the runs' highest means (`dcsim.studies.tail`); the SLO
      loss is at most `max_slo_loss`. `seeds`: None for 20. With `max_trip`, the probability that a
      run fails is at most that by counting, and years are left out of it; `seeds`: None for as many
      as show it. A screen of recorded units says where to start. Loads are judged as if they
      were higher by `level_error` (a share: the power model's error), and each run a day of its own
      that differs from others by `day_spread` (standard deviation of its logarithm).
    - `rule="paper"`: of `draws` random subsets of the recorded units, the `quantile` of the
      highest 1 s mean is at most the limit. Nothing is simulated beyond the scenario as it is.

    `traffic`: each server keeps its share ("scaled") or the site's stays ("fixed"); rule
    "breaker" only. `policies`: control blocks by name; None as a block is the scenario's own.
    Raises StudyError, RunFailed.
    """
    base = opened(scenario)
    check_models(models)
    target = find_target(base, under, counted, limit_w)
    used = _seeds(base, rule, seeds, max_trip)
    _check(draws, quantile, max_slo_loss, window_s, max_trips_per_year, busy_hours)
    if not (0.0 <= level_error < 1.0 and 0.0 <= day_spread < 1.0):
        raise StudyError("--level-error, --day-spread: shares from 0 to below 1, such as 0.05")
    allowed_w: dict[str, float] = {}
    if rule == "breaker" and fill == "continuous" and limit_w is None:
        allowed_w = continuous_w(base)
        held_w = allowed_w.get(target.watched[0], target.limit_w)
        target = replace(target, limit_w=held_w)
        limited = base
    else:
        limited = target.limited() if rule == "breaker" else base
    asked = policies or {OWN: None}
    cases = [
        Case(model, policy, with_model(with_policy(limited, policy, block), model))
        for model in models
        if model != NAMEPLATE
        for policy, block in asked.items()
    ]
    crew = Crew(workers=1) if crew is None else crew
    by_nameplate = target.nameplate_count()
    found = Findings(target, by_nameplate, max_trip is not None)
    if NAMEPLATE in models:
        found.nameplate()
    measured_s = base.duration_s - warm_up_of(base).cut_s
    bounds = Bounds(
        max_trip,
        max_slo_loss,
        _whole_window_s(base, min(window_s, measured_s)),
        max_trips_per_year,
        busy_hours,
        measured_s / 3600.0,
        allowed_w,
        level_error,
        day_spread,
    )
    for case in cases:
        if rule == "paper":
            _by_paper(found, case, used, draws, quantile, crew)
        else:
            _by_breaker(found, case, used, bounds, traffic, draws, quantile, crew)
    evidence = power_evidence(found.outcomes)
    return Answer(
        study="oversubscription",
        headline=(*found.headline(), *_told_far(base, cases, found)),
        reasons=(
            told_nameplate(target, by_nameplate),
            *told_rule(rule, bounds, draws, quantile, base, traffic),
            *found.reasons,
            *told_busy(found.outcomes),
        ),
        uncertainty=(
            *told_doubt(rule, used, base, bounds, draws, quantile),
            *told_evidence(evidence),
            *told_watts(found.outcomes),
        ),
        inputs={
            "under": target.under_name,
            "counted": target.counted_name,
            "limit_w": target.limit_w,
            "rule": rule,
            "models": list(models),
            "policies": {
                name: "the scenario's own" if block is None else list(block)
                for name, block in asked.items()
            },
            "seeds": list(used),
            "fill": "given" if limit_w is not None else fill,
            "max_trips_per_year": max_trips_per_year,
            "busy_hours": busy_hours,
            "level_error": level_error,
            "day_spread": day_spread,
            "max_trip": max_trip,
            "max_slo_loss": max_slo_loss,
            "window_s": window_s,
            "traffic": traffic,
            "draws": draws,
            "quantile": quantile,
        },
        figures=found.figures(),
        cards=found.cards(),
        tables=found.tables(),
        plots=found.plots(),
        evidence=evidence,
    )


def _told_far(base: Scenario, cases: Sequence[Case], found: Findings) -> tuple[str, ...]:
    """Of the first case's recording."""
    return told_far_from_busy(cases[0].scenario if cases else base, found.outcomes)


def _by_paper(
    found: Findings,
    case: Case,
    seeds: Sequence[int],
    draws: int,
    quantile: float,
    crew: Crew,
) -> None:
    target = found.target
    outcomes, pools, overhead, site_overhead = _recorded(target, case.scenario, seeds, crew)
    found.outcomes.extend(outcomes)
    trips = sum(outcome.summary["events"]["trip"] for outcome in outcomes)
    if trips:
        found.reasons.append(
            f"{case.model}, {case.policy}: {trips} breakers tripped in the recording, and what is "
            "dark draws nothing: the count is too high. Raise the ratings, or use --rule breaker."
        )
    first = screen(
        pools, target.limit_w, draws=draws, quantile=quantile, seed=seeds[0], overhead=overhead
    )
    count = first.fits()
    low, high = first.fits_between()
    found.screened(case, first)
    at_site = screen(
        pools, target.limit_w, draws=draws, quantile=quantile, seed=seeds[0], overhead=site_overhead
    )
    low_w, high_w = first.interval_w(count) if count else (NAN, NAN)
    if count == first.longest:
        found.reasons.append(
            f"{case.model}, {case.policy}: {count} is all that was tried, twice what was recorded: "
            "more may fit. Record a larger site."
        )
    found.answer(
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
    )


def _by_breaker(
    found: Findings,
    case: Case,
    seeds: Sequence[int],
    bounds: Bounds,
    traffic: Traffic,
    draws: int,
    quantile: float,
    crew: Crew,
) -> None:
    target = found.target
    # A site by nameplate trips nothing, so that what is recorded there is whole.
    safe = max(target.each, found.by_nameplate)
    recorded = target.resized(case.scenario, safe, traffic)
    outcomes, pools, overhead, _ = _recorded(target, recorded, seeds[:SCREEN_SEEDS], crew)
    found.outcomes.extend(outcomes)
    found.safe(case, safe, outcomes, bounds.window_s)
    # By label alone, where all else that hangs there leaves no room by nameplate.
    most = MOST_TIMES * max(safe, floor_units(target.limit_w, target.unit_nameplate_w()))
    most -= most % target.each
    first = screen(
        pools,
        target.limit_w,
        longest=most,
        draws=min(draws, 50),
        quantile=quantile,
        seed=seeds[0],
        overhead=overhead,
    )
    found.screened(case, first)
    width = max(1, min(len(pools[0]), round(bounds.window_s / STEP_S)))
    means = [window_means(pool, width) for pool in pools]
    guess = screen(
        means,
        target.limit_w,
        longest=most,
        draws=min(draws, 50),
        quantile=0.5,
        seed=seeds[0],
        overhead=overhead,
    ).fits()
    tried: dict[int, Candidate] = {}

    def passes(count: int) -> bool:
        if count not in tried:
            tried[count] = try_count(target, case.scenario, count, seeds, bounds, traffic, crew)
            found.candidate(case, tried[count])
        return tried[count].passes

    count = most_that_passes(passes, guess, target.each, most, target.each)
    failing = [one for one in tried.values() if not one.passes]
    shown = [
        one.count
        for one in failing
        if (one.failed if bounds.max_trip is None else one.failing.low > bounds.max_trip)
    ]
    more = min((one for one in failing if one.count > count), key=lambda c: c.count, default=None)
    best = tried.get(count)
    if more is None:
        found.reasons.append(
            f"{case.model}, {case.policy}: more than {most} {target.kind}s, {MOST_TIMES} times "
            "what their labels allow, were not tried. A policy that slows servers holds any "
            "number of them unless the scenario promises a speed: give its tenants an `slo`."
        )
    else:
        found.reasons.append(
            f"{case.model}, {case.policy}: {more.count} do not fit: {more.why}; nearest to its "
            f"limit is {more.binding}."
        )
    peak = {} if best is None else {"peak_w": best.peak_w}
    if best is not None:
        low, high = best.failing
        peak |= {
            "trip_probability": best.failed / best.runs,
            "trip_low": low,
            "trip_high": high,
            "trip_at_most": best.failing_at_most,
            "trips_per_year_at_most": best.trips_per_year_at_most,
            "slo_loss": best.slo_loss,
            "slo_loss_at_most": best.slo_loss_at_most,
            "runs": best.runs,
        }
    found.answer(
        case.model,
        case.policy,
        count,
        (count, min(shown) - target.each if shown else NAN),
        next_fails=None if more is None else more.why,
        open_ended=more is None,
        **peak,
    )


def _recorded(
    target: Target, scenario: Scenario, seeds: Sequence[int], crew: Crew
) -> tuple[list[Outcome], list[np.ndarray], float, float]:
    """Runs with their units' loads, and what the limit's nodes, and the site, draw for each watt
    of their units."""
    jobs = [job(scenario, seed, (Keep(target.kind, STEP_S),)) for seed in seeds]
    outcomes = crew.play(jobs, "recording")
    pools = []
    ratios = []
    for outcome in outcomes:
        series = crew.series(outcome).series[target.kind]
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
    """1 where only rounding stands between: recorded loads are float32."""
    return 1.0 if abs(ratio - 1.0) < 1e-4 else float(ratio)


def _is_copy(name: str, row: str) -> bool:
    """Whether a node's name is that of a copy of a row: `row-2/rack-3` of `rack`."""
    last = name.rsplit("/", 1)[-1]
    head, _, number = last.rpartition("-")
    return last == row or (head == row and number.isdigit())


def _seeds(
    base: Scenario, rule: Rule, seeds: int | Sequence[int] | None, max_trip: float | None
) -> tuple[int, ...]:
    """Raises StudyError where the seeds cannot show the bound."""
    if rule == "paper":
        return seeds_of(base, 1 if seeds is None else seeds)
    if max_trip is None:
        return seeds_of(base, SEEDS if seeds is None else seeds)
    if not 0.0 < max_trip < 1.0:
        raise StudyError(
            f"--max-trip: no number of runs shows a probability of {max_trip:g}: give a bound "
            "between 0 and 1, such as 0.05, which 59 seeds without a trip show"
        )
    needed = trials_to_show(max_trip)
    used = seeds_of(base, needed if seeds is None else seeds)
    if len(used) < needed:
        best = 1.0 - 0.05 ** (1.0 / len(used))
        raise StudyError(
            f"--seeds: {len(used)} runs without a trip do not show a probability of at most "
            f"{max_trip:g}: give --seeds {needed}, or --max-trip {math.ceil(100 * best) / 100:g}"
        )
    return used


def _check(
    draws: int,
    quantile: float,
    max_slo_loss: float,
    window_s: float,
    max_trips_per_year: float,
    busy_hours: float,
) -> None:
    problems = []
    if not 0.0 < max_trips_per_year < math.inf:
        problems.append("--max-trips-per-year: more than 0, such as 0.1 for one in ten years")
    if not 0.0 < busy_hours <= HOURS_A_YEAR:
        problems.append("--busy-hours: hours of a year, more than 0 and at most 8760")
    if draws < 1:
        problems.append("--draws: one or more; the paper's are 200")
    if not 0.0 < quantile < 1.0:
        problems.append("--quantile: between 0 and 1, such as 0.95")
    if not 0.0 <= max_slo_loss <= 1.0:
        problems.append("--max-slo-loss: a share of requests, such as 0.01")
    if not window_s > 0:
        problems.append("--window: more than 0, such as '15 min'")
    if problems:
        raise StudyError(*problems)


def _whole_window_s(base: Scenario, window_s: float) -> float:
    """The averaging time, or all of a shorter run: whole power steps either way."""
    step_s = base.power_step_s
    return max(step_s, math.floor(min(window_s, base.duration_s) / step_s + 1e-9) * step_s)
