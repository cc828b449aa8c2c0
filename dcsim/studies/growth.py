"""Growth: when does more traffic meet a limit, which one first, and what would put it off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dcsim.errors import StudyError
from dcsim.scenario.models import Scenario
from dcsim.spec.units import SECOND
from dcsim.studies.answer import Answer, Card, Plot, Table
from dcsim.studies.ask import (
    opened,
    power_evidence,
    promise,
    seeds_of,
    slo_loss,
    told_evidence,
    variant,
    with_traffic,
)
from dcsim.studies.busy import told_busy, told_far_from_busy, told_watts
from dcsim.studies.doubt import doubt_of, told_doubt_of
from dcsim.studies.fixes import Fix
from dcsim.studies.growth_rows import (
    BREACH_COLUMNS,
    BREACH_SHOWN,
    FIX_COLUMNS,
    FIX_SHOWN,
    LEVEL_COLUMNS,
    LOAD_COLUMNS,
    NAN,
    SERVICE_COLUMNS,
    SERVICE_SHOWN,
    Pace,
    breach_rows,
    level_rows,
    load_rows_by_factor,
    not_met,
    sentences,
    service_rows,
    window_played,
)
from dcsim.studies.jobs import Job, job
from dcsim.studies.limits import left_out, limits_met
from dcsim.studies.outcome import Outcome
from dcsim.studies.runner import Runner

FACTORS = tuple(1.0 + 0.1 * step for step in range(11))


def growth(
    scenario: Scenario | str | Path,
    factors: Sequence[float] = FACTORS,
    *,
    per_month: float | None = None,
    start: date | None = None,
    seeds: int | Sequence[int] = 3,
    window_s: float = 60.0,
    max_slo_loss: float = 0.01,
    fixes: Sequence[Fix] = (),
    runner: Runner | None = None,
) -> Answer:
    """Play the scenario at every traffic factor, and find where each limit of the site is met.

    Limits of all kinds count: ratings (where the highest mean over `window_s` reaches them),
    continuous allowances, demand windows and ramps. Between two factors, the peak is taken to
    run straight. `per_month` turns factors into months, `start` into dates.
    Each of `fixes` is played from the factor of the first breach on.

    Raises StudyError, RunFailedError.
    """
    base = opened(scenario)
    grid = _grid(factors)
    _check(grid, per_month, start, window_s)
    pace = Pace(per_month, start)
    used = seeds_of(base, seeds)
    runner = Runner(workers=1) if runner is None else runner
    windows_s = tuple(sorted({1.0, 60.0, 900.0, window_s}))

    def jobs(of: Scenario, at: Sequence[float]) -> list[Job]:
        return [
            job(with_traffic(of, factor), seed, windows_s=windows_s)
            for factor in at
            for seed in used
        ]

    # Fixes are checked before hours are spent.
    mended = {fix.name: variant(base, fix.changes, f"--fix {fix.name}") for fix in fixes}
    if len(mended) < len(fixes):
        raise StudyError("--fix: two fixes have the same name")
    outcomes = _by_factor(runner.play(jobs(base, grid), "growth"), grid, len(used))
    window_s = window_played(outcomes[grid[0]][0], window_s)
    loads = load_rows_by_factor(outcomes, window_s, pace)
    breaches = breach_rows(outcomes, window_s, pace)
    played = [run for runs in outcomes.values() for run in runs]
    unjudged = left_out(played)
    if breaches.empty:
        raise StudyError(*unjudged or _unlimited())
    service = service_rows(outcomes, pace)
    first = breaches.iloc[0]
    table = None
    if fixes and math.isfinite(first["factor"]):
        table = _try_fixes(fixes, mended, grid, first, jobs, runner, window_s, pace, len(used))
    evidence = power_evidence(played)
    slo_at = service.loc[service["slo_loss"] > max_slo_loss, "factor"].min()
    tables = {
        "breaches": Table(
            breaches,
            "where each limit is met, the first on top",
            BREACH_COLUMNS,
            BREACH_SHOWN,
            brief=int((breaches["reached"] > 0).sum()),
            rest=not_met(breaches, grid),
        ),
        "levels": Table(
            level_rows(outcomes, window_s, pace),
            "of each level the node nearest to its limit",
            LEVEL_COLUMNS,
        ),
        "loads": Table(loads, "load of every node at every factor", LOAD_COLUMNS),
        "service": Table(service, "what requests felt", SERVICE_COLUMNS, SERVICE_SHOWN),
    }
    if table is not None:
        tables["fixes"] = Table(
            table, "what would put it off, the cheapest on top", FIX_COLUMNS, FIX_SHOWN
        )
    headline, reasons = sentences(first, slo_at, max_slo_loss, grid, breaches, table, pace)
    return Answer(
        study="growth",
        headline=headline,
        reasons=(
            *reasons,
            f"SLO loss is the {promise(base)}.",
            *told_busy(outcomes[grid[0]]),
        ),
        uncertainty=(
            f"Ratings are held to the highest mean over {SECOND.format(window_s)} in "
            f"{SECOND.format(base.duration_s)}, other limits to their own; a longer run has a "
            "higher peak.",
            *unjudged,
            f"Intervals are 95 % of the mean factor over {len(used)} seeds (Student): a further "
            f"run meets a limit earlier than each of them with a chance of 1 in {len(used) + 1}."
            if len(used) > 1
            else "One seed: the spread of a breach is unknown; give --seeds 5.",
            *told_doubt_of(doubt_of(outcomes[grid[0]][0].summary)),
            *_told_early(breaches),
            "Between two factors the peak is interpolated linearly.",
            *(["Growth is taken to be the same for all streams and to keep its pace."]),
            *told_evidence(evidence),
            *told_watts(outcomes[grid[0]]),
            *told_far_from_busy(base, outcomes[grid[0]]),
        ),
        inputs={
            "factors": list(grid),
            "per_month": per_month,
            "start": None if start is None else start.isoformat(),
            "seeds": list(used),
            "window_s": window_s,
            "max_slo_loss": max_slo_loss,
            "fixes": [
                {"name": fix.name, "cost": fix.cost, "changes": dict(fix.changes)} for fix in fixes
            ],
        },
        figures={
            "first_breach_node": first["node"] if math.isfinite(first["factor"]) else None,
            "first_breach_limit": first["limit"] if math.isfinite(first["factor"]) else None,
            "first_breach_kind": first["limit_kind"] if math.isfinite(first["factor"]) else None,
            "first_breach_factor": first["factor"],
            "first_breach_factor_low": first["factor_low"],
            "first_breach_factor_high": first["factor_high"],
            "first_breach_factor_in_doubt": breaches["factor_in_doubt"].min(),
            "first_breach_month": first["month"],
            "first_breach_date": first["date"],
            "slo_breach_factor": slo_at,
            "cheapest_fix": None
            if table is None or not table["removes"].any()
            else table.loc[table["removes"], "fix"].iloc[0],
        },
        cards=(
            Card("first_breach_node", "limit met first"),
            Card("first_breach_factor", "times the traffic of the file, when it is met"),
            Card("first_breach_month", "months until then"),
            Card("first_breach_date", "the day"),
            Card("slo_breach_factor", "times the traffic, when the SLO is lost"),
            Card("cheapest_fix", "cheapest fix listed that helps"),
        ),
        tables=tables,
        plots=(
            Plot(
                "levels",
                "highest load as a share of the limit: of each level the node nearest to its own",
                "factor",
                ["of_limit"],
                "line",
            ),
            *(
                [Plot("service", "SLO loss", "factor", ["slo_loss"])]
                if (service["slo_loss"] > 0).any()
                else []
            ),
        ),
        evidence=evidence,
    )


def _told_early(breaches: pd.DataFrame) -> tuple[str, ...]:
    """Of the limit met first with what is uncertain besides seeds, the factor."""
    reached = breaches[breaches["factor_in_doubt"].notna()]
    if reached.empty:
        return ()
    early = reached.sort_values("factor_in_doubt", kind="stable").iloc[0]
    return (
        f"With both, {early['node']}, {early['limit']}, is met at x{early['factor_in_doubt']:.2f} "
        "already with a chance of 5 %.",
    )


def _unlimited() -> tuple[str]:
    return (
        "the facility has no limit that traffic could meet: give a node the key `rating`, or "
        "the site a `demand` limit",
    )


def _grid(factors: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(factor), 9) for factor in sorted(set(factors)))


def _check(
    grid: Sequence[float], per_month: float | None, start: date | None, window_s: float
) -> None:
    problems = []
    if len(grid) < 2:
        problems.append("--factors: give two or more, such as 1.0:2.0:0.1")
    if grid and not (grid[0] > 0 and grid[-1] <= 1000):
        problems.append("--factors: must be above 0 and at most 1000")
    if per_month is not None and not per_month > 1:
        problems.append("--per-month: give the factor of growth, above 1: 1.05 for 5 % a month")
    if start is not None and per_month is None:
        problems.append("--start: a date needs a pace: give --per-month 1.05 too")
    if not window_s > 0:
        problems.append("--window: must be above 0")
    if problems:
        raise StudyError(*problems)


def _by_factor(
    outcomes: list[Outcome], grid: Sequence[float], seeds: int
) -> dict[float, list[Outcome]]:
    return {f: outcomes[i * seeds : (i + 1) * seeds] for i, f in enumerate(grid)}


def _try_fixes(
    fixes: Sequence[Fix],
    mended: dict[str, Scenario],
    grid: Sequence[float],
    first: Any,
    jobs: Any,
    runner: Runner,
    window_s: float,
    pace: Pace,
    seeds: int,
) -> pd.DataFrame:
    """Each fix, from the last factor that was well on."""
    breach = float(first["factor"])
    tried = [factor for factor in grid if factor >= breach]
    tried = [*[factor for factor in grid if factor < breach][-1:], *tried]
    at = next(factor for factor in tried if factor >= breach)
    rows = []
    for fix in fixes:
        found = runner.play(jobs(mended[fix.name], tried), f"fix: {fix.name}")
        outcomes = _by_factor(found, tried, seeds)
        breaches = breach_rows(outcomes, window_s, pace)
        removes = not any(limits_met(run, rating_window_s=window_s) for run in outcomes[at])
        new = breaches.iloc[0]
        later = NAN
        if not math.isfinite(new["factor"]):
            later = pace.months(tried[-1]) - pace.months(breach)  # at least
        else:
            later = pace.months(new["factor"]) - pace.months(breach)
        rows.append(
            {
                "fix": fix.name,
                "cost": fix.cost,
                "removes": removes,
                "factor": new["factor"],
                "binding": f"{new['node']}, {new['limit']}"
                if math.isfinite(new["factor"])
                else None,
                "gained_months": later,
                "cost_per_month": fix.cost / later if later > 0 else NAN,
                "slo_loss": float(np.mean([slo_loss(run.summary) for run in outcomes[at]])),
            }
        )
    table = pd.DataFrame(rows, columns=list(FIX_COLUMNS))
    order = table.assign(last=~table["removes"]).sort_values(["last", "cost"], kind="stable").index
    return table.loc[order].reset_index(drop=True)
