"""Oversubscription: how many racks fit under a limit, by power model and by policy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from dcsim.errors import StudyError
from dcsim.plant import Plant
from dcsim.results.fill_time import warm_up_of
from dcsim.scenario.models import Scenario
from dcsim.studies.answer import Answer
from dcsim.studies.ask import opened, power_evidence, seeds_of, told_evidence
from dcsim.studies.busy import told_busy, told_far_from_busy, told_watts
from dcsim.studies.candidates import Bounds
from dcsim.studies.limits import continuous_w
from dcsim.studies.oversubscription_cases import by_breaker, by_paper
from dcsim.studies.oversubscription_rows import Case, Findings, told_nameplate
from dcsim.studies.oversubscription_words import Rule, told_doubt, told_rule
from dcsim.studies.runner import Runner
from dcsim.studies.statistics import trials_to_show
from dcsim.studies.target import find_target
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
"""Runs that are carried on to years."""
NAN = float("nan")


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
    level_error: float | None = None,
    day_spread: float | None = None,
    max_trip: float | None = None,
    max_slo_loss: float = 0.01,
    window_s: float = 900.0,
    traffic: Traffic = "scaled",
    draws: int = 200,
    quantile: float = 0.95,
    runner: Runner | None = None,
) -> Answer:
    """How many units of the row `counted` fit under the rating of `under`, or `limit_w`.

    - `rule="breaker"`: full simulation. No run trips a breaker or has a mean over `window_s` above
      what `under` and all that feeds it may carry: with `fill="continuous"` their allowances for
      continuous loads, unless `limit_w` is given, with `"rating"` their ratings. With 95 %
      confidence breakers trip at most `max_trips_per_year` times in the `busy_hours` of a year
      (`dcsim.studies.risk`); the SLO loss is at most `max_slo_loss`. `seeds`: None for 20. With
      `max_trip`, the probability that a run fails is at most that by counting, and years are left
      out of it; `seeds`: None for as many as show it. A screen of recorded units says where to
      start. `count_all` is the count with
      what else is uncertain: loads that may be higher by `level_error` (a share, 95 % sure; None:
      by what the site's watts stand on), and days that differ by `day_spread` (standard deviation
      of a day's logarithm; None: of weekdays in a public trace); see `dcsim.studies.doubt`.
    - `rule="paper"`: of `draws` random subsets of the recorded units, the `quantile` of the
      highest 1 s mean is at most the limit. Nothing is simulated beyond the scenario as it is.

    `traffic`: each server keeps its share ("scaled") or the site's stays ("fixed"); rule
    "breaker" only. `policies`: control blocks by name; None as a block is the scenario's own.
    Raises StudyError, RunFailedError.
    """
    base = opened(scenario)
    check_models(models)
    target = find_target(base, under, counted, limit_w)
    used = _seeds(base, rule, seeds, max_trip)
    _check(draws, quantile, max_slo_loss, window_s, max_trips_per_year, busy_hours)
    given = level_error, day_spread
    if not all(share is None or 0.0 <= share < 1.0 for share in given):
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
    runner = Runner(workers=1) if runner is None else runner
    by_nameplate = target.nameplate_count()
    found = Findings(target, by_nameplate, max_trip is not None)
    if NAMEPLATE in models:
        found.nameplate()
    measured_s = base.duration_s - warm_up_of(Plant.build(base)).cut_s
    bounds = Bounds(
        max_trip,
        max_slo_loss,
        _whole_window_s(base, min(window_s, measured_s)),
        max_trips_per_year,
        busy_hours,
        measured_s / 3600.0,
        allowed_w,
    )
    for case in cases:
        if rule == "paper":
            by_paper(found, case, used, given, draws, quantile, runner)
        else:
            by_breaker(found, case, used, bounds, given, traffic, draws, runner)
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
            *told_doubt(rule, used, base, bounds, draws, quantile, found.doubts),
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
