"""Growth: when does more traffic meet a limit, which one first, and what would put it off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dcsim.scenario.models import Scenario
from dcsim.scenario.units import SECOND
from dcsim.studies.answer import Answer, Plot, StudyError, Table
from dcsim.studies.ask import (
    load_rows,
    opened,
    power_evidence,
    promise,
    seeds_of,
    slo_loss,
    told_evidence,
    variant,
    with_traffic,
)
from dcsim.studies.crew import Crew
from dcsim.studies.fixes import Fix
from dcsim.studies.jobs import Job, job
from dcsim.studies.outcome import Outcome
from dcsim.studies.statistics import mean_interval

MONTH_DAYS = 365.25 / 12
FACTORS = tuple(1.0 + 0.1 * step for step in range(11))
NAN = float("nan")
BREACH_SHOWN = ("node", "kind", "limit_w", "factor", "reached", "month", "date")
SERVICE_SHOWN = ("factor", "slo_loss", "ttft_p95_s", "tpot_p95_s", "generated_per_s", "trips")
FIX_SHOWN = ("fix", "cost", "removes", "factor", "binding", "gained_months", "cost_per_month")
LOAD_COLUMNS = {
    "factor": "traffic, as a multiple of the scenario's",
    "month": "months from the start at the stated growth; empty without one",
    "node": "node of the site",
    "kind": "its kind",
    "limit_w": "its rating, W",
    "mean_w": "mean load, over seeds, W",
    "p95_w": "exceeded 5 % of the time, by means over `window_s`, over seeds, W",
    "p99_w": "exceeded 1 % of the time, W",
    "peak_w": "highest mean over `window_s`: mean over seeds, W",
    "peak_highest_w": "the highest among the seeds, W",
    "window_s": "averaging time, s",
    "of_limit": "`peak_w` as a share of the limit",
    "overloaded_runs": "share of the seeds in which the peak was above the limit",
    "trips": "trips of its breaker a run",
}
BREACH_COLUMNS = {
    "node": "node of the site",
    "kind": "its kind",
    "limit_w": "its rating, W",
    "factor": "traffic at which its peak meets the limit: mean over seeds; empty: not within reach",
    "factor_low": "95 % interval of that mean",
    "factor_high": "95 % interval of that mean",
    "reached": "share of the seeds in which the limit was met",
    "month": "months until then",
    "date": "the day",
    "date_early": "at `factor_low`",
    "date_late": "at `factor_high`",
}
SERVICE_COLUMNS = {
    "factor": "traffic, as a multiple of the scenario's",
    "month": "months from the start",
    "slo_loss": "share of requests not served as promised, mean over seeds",
    "slo_loss_highest": "the highest among the seeds",
    "ttft_p95_s": "95th percentile of the time to the first token, mean over seeds, s",
    "tpot_p95_s": "95th percentile of the time per further token, mean over seeds, s",
    "generated_per_s": "tokens generated a second",
    "trips": "trips a run, of all breakers",
}
FIX_COLUMNS = {
    "fix": "name",
    "cost": "as stated",
    "removes": "whether no limit is met any more at the traffic of the first breach",
    "factor": "traffic at which a limit is met with the fix; empty: not within reach",
    "binding": "the node whose limit that is",
    "gained_months": "later than without; at least so much where `factor` is empty",
    "cost_per_month": "cost by month gained; at most so much where `factor` is empty",
    "slo_loss": "at the traffic of the first breach, with the fix",
}


@dataclass(frozen=True)
class Pace:
    """From traffic to time: `per_month` is a factor, such as 1.05; None: no time is stated."""

    per_month: float | None
    start: date | None

    def months(self, factor: float) -> float:
        """Months until the traffic has grown so far; NaN without a pace."""
        if self.per_month is None or not factor > 0:
            return NAN
        return math.log(factor) / math.log(self.per_month)

    def day(self, factor: float) -> str | None:
        """The date of that, or None."""
        months = self.months(factor)
        if self.start is None or not math.isfinite(months):
            return None
        return (self.start + timedelta(days=months * MONTH_DAYS)).isoformat()


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
    crew: Crew | None = None,
) -> Answer:
    """Play the scenario at every traffic factor, and find where each node's load meets its limit.

    A limit is met where the highest mean over `window_s` reaches it; between two factors, the
    peak is taken to run straight. `per_month` turns factors into months, `start` into dates.
    Each of `fixes` is played from the factor of the first breach on.

    Raises StudyError, RunFailed.
    """
    base = opened(scenario)
    grid = _grid(factors)
    _check(grid, per_month, start, window_s)
    pace = Pace(per_month, start)
    used = seeds_of(base, seeds)
    crew = Crew(workers=1) if crew is None else crew
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
    outcomes = _by_factor(crew.play(jobs(base, grid), "growth"), grid, len(used))
    window_s = _window(outcomes[grid[0]][0], window_s)
    loads = _loads(outcomes, window_s, pace)
    if loads["limit_w"].isna().all():
        raise StudyError("no node of the facility has a rating: give one the key `rating`")
    breaches = _breaches(loads, outcomes, window_s, pace)
    service = _service(outcomes, pace)
    first = breaches.iloc[0]
    table = None
    if fixes and math.isfinite(first["factor"]):
        table = _try_fixes(fixes, mended, grid, first, jobs, crew, window_s, pace, len(used))
    evidence = power_evidence([one for some in outcomes.values() for one in some])
    slo_at = service.loc[service["slo_loss"] > max_slo_loss, "factor"].min()
    tables = {
        "breaches": Table(
            breaches, "where each limit is met, the first on top", BREACH_COLUMNS, BREACH_SHOWN
        ),
        "loads": Table(loads, "load of every node at every factor", LOAD_COLUMNS),
        "service": Table(service, "what requests felt", SERVICE_COLUMNS, SERVICE_SHOWN),
    }
    if table is not None:
        tables["fixes"] = Table(
            table, "what would put it off, the cheapest on top", FIX_COLUMNS, FIX_SHOWN
        )
    headline, reasons = _told(first, slo_at, max_slo_loss, grid, breaches, table, pace)
    return Answer(
        study="growth",
        headline=headline,
        reasons=(*reasons, f"SLO loss is the {promise(base)}."),
        uncertainty=(
            f"Peaks are the highest mean over {window_s:g} s in {SECOND.format(base.duration_s)}; "
            "a longer run has a higher peak.",
            f"Intervals are 95 % of the mean over {len(used)} seeds (Student)."
            if len(used) > 1
            else "One seed: the spread of a breach is unknown; give --seeds 5.",
            "Between two factors the peak is taken to run straight.",
            *(["Growth is taken to be the same for all streams and to keep its pace."]),
            *told_evidence(evidence),
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
            "first_breach_factor": first["factor"],
            "first_breach_factor_low": first["factor_low"],
            "first_breach_factor_high": first["factor_high"],
            "first_breach_month": first["month"],
            "first_breach_date": first["date"],
            "slo_breach_factor": slo_at,
            "cheapest_fix": None
            if table is None or not table["removes"].any()
            else table.loc[table["removes"], "fix"].iloc[0],
        },
        tables=tables,
        plots=(
            Plot(
                "loads", "peak of each node as a share of its limit", "factor", ["of_limit"], "node"
            ),
            Plot("service", "SLO loss", "factor", ["slo_loss"]),
        ),
        evidence=evidence,
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


def _window(outcome: Outcome, wanted_s: float) -> float:
    """The longest averaging time up to the one wanted that the run is long enough for."""
    return float(
        max(row["resolution_s"] for row in outcome.loads if row["resolution_s"] <= wanted_s)
    )


def _loads(outcomes: dict[float, list[Outcome]], window_s: float, pace: Pace) -> pd.DataFrame:
    rows = []
    for factor, runs in outcomes.items():
        tables = [load_rows(run, window_s) for run in runs]
        for at, node in enumerate(runs[0].summary["nodes"]):
            if node["kind"] == "server":
                continue
            found = [table[node["name"]] for table in tables]
            limit_w = NAN if node["limit_w"] is None else node["limit_w"]
            peaks_w = np.array([row["peak_w"] for row in found])
            trips = [run.summary["nodes"][at]["trips"] for run in runs]
            rows.append(
                {
                    "factor": factor,
                    "month": pace.months(factor),
                    "node": node["name"],
                    "kind": node["kind"],
                    "limit_w": limit_w,
                    "mean_w": np.mean([row["mean_w"] for row in found]),
                    "p95_w": np.mean([row["p95_w"] for row in found]),
                    "p99_w": np.mean([row["p99_w"] for row in found]),
                    "peak_w": peaks_w.mean(),
                    "peak_highest_w": peaks_w.max(),
                    "window_s": window_s,
                    "of_limit": peaks_w.mean() / limit_w,
                    "overloaded_runs": np.mean(peaks_w > limit_w)
                    if math.isfinite(limit_w)
                    else NAN,
                    "trips": np.mean(trips),
                }
            )
    return pd.DataFrame(rows)


def crossing(factors: Sequence[float], peaks_w: Sequence[float], limit_w: float) -> float:
    """Where the peak first reaches the limit, in straight lines between the factors; NaN where it
    does not, the first factor where it is there already.

    A tripped node draws less afterwards: only the first crossing counts.
    """
    over = [peak_w >= limit_w for peak_w in peaks_w]
    if not any(over):
        return NAN
    at = over.index(True)
    if at == 0:
        return factors[0]
    low_w, high_w = peaks_w[at - 1], peaks_w[at]
    part = (limit_w - low_w) / (high_w - low_w)
    return factors[at - 1] + part * (factors[at] - factors[at - 1])


def _breaches(
    loads: pd.DataFrame, outcomes: dict[float, list[Outcome]], window_s: float, pace: Pace
) -> pd.DataFrame:
    grid = list(outcomes)
    seeds = len(outcomes[grid[0]])
    peaks = {
        (factor, seed): load_rows(run, window_s)
        for factor, runs in outcomes.items()
        for seed, run in enumerate(runs)
    }
    rows = []
    rated = loads[(loads["factor"] == grid[0]) & loads["limit_w"].notna()]
    for node in rated.itertuples():
        limit_w = float(node.limit_w)  # type: ignore[arg-type]
        found = np.array(
            [
                crossing(grid, [peaks[f, seed][str(node.node)]["peak_w"] for f in grid], limit_w)
                for seed in range(seeds)
            ]
        )
        reached = np.isfinite(found)
        # A mean over the seeds that got there would flatter: all must have.
        factor = float(found.mean()) if reached.all() else NAN
        low, high = mean_interval(found) if reached.all() else (NAN, NAN)
        rows.append(
            {
                "node": node.node,
                "kind": node.kind,
                "limit_w": limit_w,
                "factor": factor,
                "factor_low": low,
                "factor_high": high,
                "reached": float(reached.mean()),
                "month": pace.months(factor),
                "date": pace.day(factor),
                "date_early": pace.day(low),
                "date_late": pace.day(high),
            }
        )
    frame = pd.DataFrame(rows, columns=list(BREACH_COLUMNS))
    order = frame.assign(near=-frame["reached"]).sort_values(
        ["factor", "near"], na_position="last", kind="stable"
    )
    return frame.loc[order.index].reset_index(drop=True)


def _service(outcomes: dict[float, list[Outcome]], pace: Pace) -> pd.DataFrame:
    rows = []
    for factor, runs in outcomes.items():
        losses = np.array([slo_loss(run.summary) for run in runs])
        latency = [run.summary["latency"] for run in runs]
        seconds = runs[0].summary["simulated_s"]
        rows.append(
            {
                "factor": factor,
                "month": pace.months(factor),
                "slo_loss": losses.mean(),
                "slo_loss_highest": losses.max(),
                "ttft_p95_s": _mean([one["ttft_s"]["p95"] for one in latency]),
                "tpot_p95_s": _mean([one["tpot_s"]["p95"] for one in latency]),
                "generated_per_s": np.mean(
                    [run.summary["tokens"]["generated"] / seconds for run in runs]
                ),
                "trips": np.mean([run.summary["events"]["trip"] for run in runs]),
            }
        )
    return pd.DataFrame(rows)


def _mean(values: list[float | None]) -> float:
    """NaN where one is unknown."""
    return float(np.mean([NAN if value is None else value for value in values]))


def _try_fixes(
    fixes: Sequence[Fix],
    mended: dict[str, Scenario],
    grid: Sequence[float],
    first: Any,
    jobs: Any,
    crew: Crew,
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
        found = crew.play(jobs(mended[fix.name], tried), f"fix: {fix.name}")
        outcomes = _by_factor(found, tried, seeds)
        loads = _loads(outcomes, window_s, pace)
        breaches = _breaches(loads, outcomes, window_s, pace)
        here = loads[loads["factor"] == at]
        removes = not (here["overloaded_runs"] > 0).any()
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
                "binding": new["node"] if math.isfinite(new["factor"]) else None,
                "gained_months": later,
                "cost_per_month": fix.cost / later if later > 0 else NAN,
                "slo_loss": float(np.mean([slo_loss(run.summary) for run in outcomes[at]])),
            }
        )
    table = pd.DataFrame(rows, columns=list(FIX_COLUMNS))
    order = table.assign(last=~table["removes"]).sort_values(["last", "cost"], kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _told(
    first: Any,
    slo_at: float,
    max_slo_loss: float,
    grid: Sequence[float],
    breaches: pd.DataFrame,
    fixes: pd.DataFrame | None,
    pace: Pace,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    reasons = []
    if math.isfinite(first["factor"]):
        where = f"x{first['factor']:.2f}"
        if math.isfinite(first["factor_low"]):
            where += f" (95 %: {first['factor_low']:.2f} to {first['factor_high']:.2f})"
        when = "" if math.isnan(first["month"]) else f", in {first['month']:.1f} months"
        when += "" if first["date"] is None else f", on {first['date']}"
        at_start = first["factor"] <= grid[0]
        head = [
            f"First limit met: {first['node']} ({first['limit_w'] / 1e3:.1f} kW) "
            + (
                f"at the traffic of x{grid[0]:g} already."
                if at_start
                else f"at traffic {where}{when}."
            )
        ]
        others = breaches[breaches["factor"].notna()].iloc[1:4]
        for other in others.itertuples():
            reasons.append(f"Next: {other.node} at x{other.factor:.2f}.")
    else:
        partly = breaches[breaches["reached"] > 0]
        head = [f"No limit is met up to x{grid[-1]:g} in all seeds."]
        if len(partly):
            reasons.append(
                f"{partly.iloc[0]['node']} meets its limit in "
                f"{partly.iloc[0]['reached']:.0%} of the seeds."
            )
    if math.isfinite(slo_at):
        head.append(f"SLO loss goes above {max_slo_loss:.1%} at x{slo_at:g}.")
    else:
        head.append(f"SLO loss stays at or below {max_slo_loss:.1%} up to x{grid[-1]:g}.")
    if fixes is not None:
        good = fixes[fixes["removes"]]
        if len(good):
            best = good.iloc[0]
            until = (
                f"until x{best['factor']:.2f}, when {best['binding']} binds"
                if math.isfinite(best["factor"])
                else f"up to x{grid[-1]:g} at least, the most that was played"
            )
            head.append(f"Cheapest fix listed: {best['fix']} ({best['cost']:,.0f}), good {until}.")
        else:
            head.append("None of the fixes listed removes it.")
    return tuple(head), tuple(reasons)
