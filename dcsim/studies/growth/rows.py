"""What a growth study finds, as it finds it: loads, breaches, service, and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from dcsim.arrays import FloatArray
from dcsim.studies.ask import load_rows, slo_loss
from dcsim.studies.figures import NAN, mean
from dcsim.studies.limits import LimitFigure, limits_of
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.statistics import mean_interval
from dcsim.studies.uncertainty import peak_band_w, uncertainty_of

MONTH_DAYS = 365.25 / 12
BREACH_SHOWN = ("node", "limit", "factor", "met_in", "month", "date")
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
    "limit": "what is limited, and to how much: rating, continuous load, demand window, ramp",
    "limit_kind": "rating, continuous, demand or ramp",
    "limit_w": "the limit, W",
    "rule": "what it is by",
    "share": "highest figure over the limit at the first factor, mean over seeds",
    "share_last": "the same at the last factor",
    "factor": "traffic at which the limit is met: mean over seeds; empty: not within reach",
    "factor_low": "95 % interval of that mean",
    "factor_in_doubt": "the factor if loads are as much higher as 95 % of the level's error and of "
    "days allow",
    "factor_high": "95 % interval of that mean",
    "reached": "share of the seeds in which the limit was met",
    "met_in": "the same in words",
    "month": "months until then",
    "date": "the day",
    "date_early": "at `factor_low`",
    "date_late": "at `factor_high`",
}
LEVEL_COLUMNS = {
    "factor": "traffic, as a multiple of the scenario's",
    "month": "months from the start",
    "line": "level and kind of limit",
    "node": "the node of that level nearest to such a limit",
    "of_limit": "share of the limit that its highest load is, mean over seeds",
    "limit_w": "its limit, W",
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
    "binding": "the node and the limit that is met then",
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
        """Return the months until traffic has grown so far; NaN without a pace."""
        if self.per_month is None or not factor > 0:
            return NAN
        return math.log(factor) / math.log(self.per_month)

    def day(self, factor: float) -> str | None:
        """Return the date at which traffic has grown so far; None without a start."""
        months = self.months(factor)
        if self.start is None or not math.isfinite(months):
            return None
        return (self.start + timedelta(days=months * MONTH_DAYS)).isoformat()


def load_rows_by_factor(
    outcomes: dict[float, list[RunOutcome]], window_s: float, pace: Pace
) -> pd.DataFrame:
    """Return a row for each factor and node above the servers: mean and peak load over the seeds,
    W."""
    rows = []
    for factor, runs in outcomes.items():
        tables = [load_rows(run, window_s) for run in runs]
        for at, node in enumerate(runs[0].summary["nodes"]):
            if node["kind"] == "server":
                continue
            loads = [table[node["name"]] for table in tables]
            limit_w = NAN if node["limit_w"] is None else node["limit_w"]
            peaks_w = np.array([row["peak_w"] for row in loads])
            trips = [run.summary["nodes"][at]["trips"] for run in runs]
            rows.append(
                {
                    "factor": factor,
                    "month": pace.months(factor),
                    "node": node["name"],
                    "kind": node["kind"],
                    "limit_w": limit_w,
                    "mean_w": np.mean([row["mean_w"] for row in loads]),
                    "p95_w": np.mean([row["p95_w"] for row in loads]),
                    "p99_w": np.mean([row["p99_w"] for row in loads]),
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


def breach_rows(
    outcomes: dict[float, list[RunOutcome]], window_s: float, pace: Pace
) -> pd.DataFrame:
    """Where each limit of the site is met, the first on top. Ratings are held to means over
    `window_s`, all other limits to their own; what no run could judge is left out.
    `factor_in_doubt` is where it is met if loads are as much higher as 95 % of what is uncertain
    besides seeds allow (`dcsim.studies.uncertainty`)."""
    grid = list(outcomes)
    seeds = len(outcomes[grid[0]])
    figures = {
        (factor, seed): {figure.key: figure for figure in limits_of(run, rating_window_s=window_s)}
        for factor, runs in outcomes.items()
        for seed, run in enumerate(runs)
    }
    higher = peak_band_w(1.0, uncertainty_of(outcomes[grid[0]][0].summary))[1]
    rows = []
    for key, limit in figures[grid[0], 0].items():
        shares = [_shares(figures, key, grid, seed) for seed in range(seeds)]
        if any(share is None for line in shares for share in line):
            continue
        crossings = np.array([crossing(grid, line, 1.0) for line in shares])  # type: ignore[arg-type]
        first, last = (float(np.mean([line[at] for line in shares])) for at in (0, -1))
        early = float(np.mean([crossing(grid, line, 1.0 / higher) for line in shares]))  # type: ignore[arg-type]
        rows.append(_breach(limit, crossings, first, last, pace) | {"factor_in_doubt": early})
    frame = pd.DataFrame(rows, columns=list(BREACH_COLUMNS))
    # Of limits that are met at once, the one that is broken the most.
    order = frame.assign(near=-frame["reached"], worst=-frame["share"]).sort_values(
        ["factor", "near", "worst"], na_position="last", kind="stable"
    )
    return frame.loc[order.index].reset_index(drop=True)


def not_met(breaches: pd.DataFrame, grid: Sequence[float]) -> str:
    """Say which limits no seed met."""
    left = breaches[breaches["reached"] == 0]
    if not len(left):
        return ""
    count = "1 limit is" if len(left) == 1 else f"{len(left)} limits are"
    near = left.sort_values("share_last", ascending=False, kind="stable").iloc[0]
    percent = f"{100 * near['share_last']:.1f} %"
    where = f"; nearest is {near['node']}, {near['limit']}, at {percent} of it"
    return f"{count} not met up to x{grid[-1]:g}{where}."


def level_rows(
    outcomes: dict[float, list[RunOutcome]], window_s: float, pace: Pace
) -> pd.DataFrame:
    """Of each level and kind of limit the node nearest to it, at every factor: a line each to draw,
    the nearest on top."""
    rows = []
    for factor, runs in outcomes.items():
        shares: dict[tuple[str, str], dict[Any, list[LimitFigure]]] = {}
        for run in runs:
            for figure in limits_of(run, rating_window_s=window_s):
                if figure.share is not None:
                    level = shares.setdefault((figure.node_kind, figure.kind_label), {})
                    level.setdefault(figure.key, []).append(figure)
        for (kind, limit), level in shares.items():
            means = {
                key: float(np.mean([figure.share for figure in figures]))
                for key, figures in level.items()
            }
            worst = max(means, key=means.__getitem__)
            first = level[worst][0]
            rows.append(
                {
                    "factor": factor,
                    "month": pace.months(factor),
                    "line": f"{kind}, {limit}",
                    "node": first.node,
                    "of_limit": means[worst],
                    "limit_w": first.limit_w,
                }
            )
    frame = pd.DataFrame(rows, columns=list(LEVEL_COLUMNS))
    order = frame.groupby("line")["of_limit"].max().sort_values(ascending=False, kind="stable")
    place = {line: at for at, line in enumerate(order.index)}
    ordered = frame.assign(place=frame["line"].map(place)).sort_values(
        ["factor", "place"], kind="stable"
    )
    return ordered.drop(columns="place").reset_index(drop=True)


def _shares(
    figures: dict[tuple[float, int], dict[Any, LimitFigure]],
    key: Any,
    grid: Sequence[float],
    seed: int,
) -> list[float | None]:
    at_factors = [figures[factor, seed].get(key) for factor in grid]
    return [None if figure is None else figure.share for figure in at_factors]


def _breach(
    limit: LimitFigure, crossings: FloatArray, share: float, last: float, pace: Pace
) -> dict[str, Any]:
    reached = np.isfinite(crossings)
    # A mean over the seeds that got there would flatter: all must have.
    factor = float(crossings.mean()) if reached.all() else NAN
    low, high = mean_interval(crossings) if reached.all() else (NAN, NAN)
    return {
        "node": limit.node,
        "kind": limit.node_kind,
        "limit": limit.label,
        "limit_kind": limit.kind,
        "limit_w": limit.limit_w,
        "rule": limit.rule,
        "share": share,
        "share_last": last,
        "factor": factor,
        "factor_low": low,
        "factor_high": high,
        "reached": float(reached.mean()),
        "met_in": f"{int(reached.sum())} of {len(crossings)} seed{'s' * (len(crossings) != 1)}",
        "month": pace.months(factor),
        "date": pace.day(factor),
        "date_early": pace.day(low),
        "date_late": pace.day(high),
    }


def service_rows(outcomes: dict[float, list[RunOutcome]], pace: Pace) -> pd.DataFrame:
    """Return a row for each factor: SLO loss, latency in s and tokens a second, means over the
    seeds."""
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
                "ttft_p95_s": mean([latencies["ttft_s"]["p95"] for latencies in latency]),
                "tpot_p95_s": mean([latencies["tpot_s"]["p95"] for latencies in latency]),
                "generated_per_s": np.mean(
                    [run.summary["tokens"]["generated"] / seconds for run in runs]
                ),
                "trips": np.mean([run.summary["events"]["trip"] for run in runs]),
            }
        )
    return pd.DataFrame(rows)


def sentences(
    first: Any,
    slo_at: float,
    max_slo_loss: float,
    grid: Sequence[float],
    breaches: pd.DataFrame,
    fixes: pd.DataFrame | None,
    pace: Pace,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write the headline (the first limit met, the SLO, the cheapest fix) and its reasons."""
    reasons = []
    if math.isfinite(first["factor"]):
        where = f"x{first['factor']:.2f}"
        if math.isfinite(first["factor_low"]):
            where += f" (95 %: {first['factor_low']:.2f} to {first['factor_high']:.2f})"
        when = "" if math.isnan(first["month"]) else f", in {first['month']:.1f} months"
        when += "" if first["date"] is None else f", on {first['date']}"
        at_start = first["factor"] <= grid[0]
        head = [
            f"First limit met: {first['node']}, {first['limit']}, "
            + (
                f"at the traffic of x{grid[0]:g} already: {100 * first['share']:.1f} % of it."
                if at_start
                else f"at traffic {where}{when}."
            )
        ]
        others = breaches[breaches["factor"].notna()].iloc[1:4]
        for other in others.itertuples():
            reasons.append(f"Next: {other.node}, {other.limit}, at x{other.factor:.2f}.")
    else:
        partly = breaches[breaches["reached"] > 0]
        head = [f"No limit is met up to x{grid[-1]:g} in all seeds."]
        if len(partly):
            reasons.append(
                f"{partly.iloc[0]['node']}, {partly.iloc[0]['limit']}, is met in "
                f"{100 * partly.iloc[0]['reached']:.0f} % of the seeds."
            )
    if math.isfinite(slo_at):
        head.append(f"SLO loss goes above {100 * max_slo_loss:.1f} % at x{slo_at:g}.")
    else:
        head.append(f"SLO loss stays at or below {100 * max_slo_loss:.1f} % up to x{grid[-1]:g}.")
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
