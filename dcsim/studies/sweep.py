"""Sweep: any paths of a scenario over lists, every seed, one tidy table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from dcsim.errors import StudyError
from dcsim.scenario.models import Scenario
from dcsim.spec.units import Seconds
from dcsim.studies.answer import Answer, Plot, Table
from dcsim.studies.ask import (
    averaging_times_s,
    load_rows,
    promise,
    seeds_of,
    slo_loss,
    variant,
)
from dcsim.studies.figures import NAN, fitting_window_s, or_nan
from dcsim.studies.jobs import job
from dcsim.studies.limit_rows import OVER_COLUMNS, over_figures
from dcsim.studies.limits import left_out
from dcsim.studies.options import Seeds, ValueLists
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.runner import Runner
from dcsim.studies.statistics import mean_interval, share_mean_interval
from dcsim.studies.study import Study

MOST_RUNS = 100_000
RUN_COLUMNS = {
    "run": "number of the variant, from 1",
    "seed": "seed of the run",
    "site_mean_w": "mean load of the site, W",
    "site_peak_w": "highest power step of the site, W",
    "site_peak_window_w": "highest mean of the site over `window_s`, W",
    "window_s": "averaging time of `site_peak_window_w` and `worst_of_limit`, s",
    "energy_wh": "energy of the site over the run, Wh",
    "worst_node": "node nearest to its limit, by means over `window_s`",
    "worst_of_limit": "its load as a share of its limit",
    **OVER_COLUMNS,
    "overloads": "loads flagged above their rating",
    "trips": "breakers tripped",
    "completed": "requests completed",
    "lost": "requests rejected, failed or timed out",
    "slo_loss": "share of requests not served as promised",
    "generated_tokens": "tokens generated",
    "ttft_p95_s": "95th percentile of the time to the first token, s",
    "tpot_p95_s": "95th percentile of the time per further token, s",
    "wh_per_1000_tokens": "energy of the site per thousand tokens generated, Wh",
}
"""What the columns of the table of runs mean; before them stands one column a path."""
SHOWN = (
    "site_mean_w",
    "site_peak_window_w",
    "worst_of_limit",
    "worst_limit_share",
    "slo_loss",
    "wh_per_1000_tokens",
    "runs_over_a_limit",
    "runs_with_trips",
)
SPREAD = ("site_mean_w", "site_peak_window_w", "worst_of_limit", "slo_loss", "wh_per_1000_tokens")


class SweepStudy(Study):
    """Play a scenario over lists of values, every seed; one tidy table."""

    over: ValueLists
    """A key and a YAML list of values, of whole blocks too, or a range of bare numbers:
    power_step=[250 ms, 1 s], workload.chat.arrivals.rate=[1 req/s, 2 req/s], seed=1:5:1. The
    values of several keys are combined."""
    paired: bool = False
    """Pair the lists by position instead of combining all values."""
    seeds: Seeds = 1
    """Number of seeds, counting up from the file's, or a list of them (1,2,9)."""
    window_s: Seconds = 60.0
    """Averaging time of the loads compared with limits."""

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """Check all variants, then play each with the same seeds; with its own where `seed` is one
        of the swept keys."""
        over, window_s = self.over, self.window_s
        seed_is_swept = "seed" in over
        if seed_is_swept and self.seeds != 1:
            raise StudyError(
                "--over: seed and --seeds both say which seeds: leave seed out of --over, and give "
                "--seeds 1,2,3 (or their number)"
            )
        seeds = seeds_of(scenario, self.seeds)
        variants = [
            (values, variant(scenario, dict(values), "--over"))
            for values in combine(over, paired=self.paired)
        ]
        if len(variants) * len(seeds) > MOST_RUNS:
            raise StudyError(
                f"--over: {len(variants)} variants with {len(seeds)} seeds are more than "
                f"{MOST_RUNS:,} runs: give shorter lists, or pair them"
            )
        # A job's seed stands above its scenario's: a swept one has to be handed on.
        plan = [
            (number, values, changed, seed)
            for number, (values, changed) in enumerate(variants, 1)
            for seed in ((changed.seed,) if seed_is_swept else seeds)
        ]
        windows_s = averaging_times_s(window_s)
        jobs = [job(changed, seed, windows_s=windows_s) for _, _, changed, seed in plan]
        outcomes = runner.play(jobs, "sweep")
        rows = []
        for (number, values, _, seed), outcome in zip(plan, outcomes, strict=True):
            settings = {path: shown(value) for path, value in values.items()}
            rows.append({"run": number, **settings, "seed": seed, **run_figures(outcome, window_s)})
        runs = pd.DataFrame(rows)
        summary = _summary(runs, list(over))
        paths = ", ".join(over) or "nothing"
        return Answer(
            headline=(
                f"{len(variants)} variants over {paths}, {len(seeds)} "
                f"seed{'s' if len(seeds) > 1 else ''} each: {len(rows)} runs.",
            ),
            reasons=(f"SLO loss is the {promise(scenario)}.",),
            uncertainty=(
                (
                    f"low and high are 95 % intervals of the mean over {len(seeds)} seeds "
                    "(Student)."
                    if len(seeds) > 1
                    else "One seed: a single run says nothing of the spread; give --seeds 5."
                ),
                *left_out(outcomes),
            ),
            inputs={"seeds": sorted({seed for *_, seed in plan})},
            figures={"variants": len(variants), "runs": len(rows)},
            tables={
                "runs": Table(
                    runs,
                    "every run",
                    RUN_COLUMNS | {path: f"value of {path}" for path in over},
                ),
                "variants": Table(
                    summary,
                    "every variant, over its seeds",
                    {path: f"value of {path}" for path in over},
                    (*over, *SHOWN),
                ),
            },
            plots=_plots(summary, over),
            runs=outcomes,
        )


def combine(over: Mapping[str, Sequence[Any]], *, paired: bool) -> list[dict[str, Any]]:
    """All variants as changes: every combination of values, or the first of each list, the second
    of each, and so on. Raises StudyError."""
    empty = [path for path, values in over.items() if not values]
    if empty:
        raise StudyError(*(f"--over: {path} has no values" for path in empty))
    if not paired:
        return [dict(zip(over, values, strict=True)) for values in product(*over.values())]
    lengths = {path: len(values) for path, values in over.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{path} has {count}" for path, count in lengths.items())
        raise StudyError(f"--paired: the lists must be of one length: {counts}")
    return [dict(zip(over, values, strict=True)) for values in zip(*over.values(), strict=True)]


def shown(value: Any) -> Any:
    """Write a value as a cell: what is no number or text, as JSON."""
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)


def run_figures(outcome: RunOutcome, window_s: float) -> dict[str, Any]:
    """One run's row: the columns of RUN_COLUMNS after `seed`. NaN and None where unknown; a
    `window_s` longer than the run gives way to the longest averaging time that fits."""
    summary = outcome.summary
    used_s = fitting_window_s(outcome, window_s)
    loads = load_rows(outcome, used_s)
    nodes = summary["nodes"]
    worst, of_limit = None, float("nan")
    for node in nodes:
        row = loads.get(node["name"])
        if row is None or node["limit_w"] is None:
            continue
        share = row["peak_w"] / node["limit_w"]
        if not share <= of_limit:
            worst, of_limit = node["name"], share
    counts, tokens = summary["requests"], summary["tokens"]
    energy_wh = nodes[0]["energy_wh"]
    generated = tokens["generated"]
    return {
        "site_mean_w": or_nan(nodes[0]["mean_w"]),
        "site_peak_w": or_nan(nodes[0]["peak_w"]),
        "site_peak_window_w": loads[nodes[0]["name"]]["peak_w"],
        "window_s": used_s,
        "energy_wh": or_nan(energy_wh),
        "worst_node": worst,
        "worst_of_limit": of_limit,
        **over_figures(outcome),
        "overloads": summary["events"]["overload"],
        "trips": summary["events"]["trip"],
        "completed": counts["completed"],
        "lost": counts["rejected"] + counts["failed"] + counts["timed_out"],
        "slo_loss": slo_loss(summary),
        "generated_tokens": generated,
        "ttft_p95_s": or_nan(summary["latency"]["ttft_s"]["p95"]),
        "tpot_p95_s": or_nan(summary["latency"]["tpot_s"]["p95"]),
        "wh_per_1000_tokens": 1000.0 * energy_wh / generated
        if generated and energy_wh is not None
        else NAN,
    }


def _summary(runs: pd.DataFrame, paths: list[str]) -> pd.DataFrame:
    """A row a variant: means over the seeds, and the interval of some."""
    rows = []
    for number, group in runs.groupby("run", sort=True):
        row: dict[str, Any] = {"run": number, **{path: group[path].iloc[0] for path in paths}}
        row["seeds"] = len(group)
        for column in SPREAD:
            row[column] = group[column].mean()
            bounded = column == "slo_loss"  # a share: no normal law
            interval = share_mean_interval if bounded else mean_interval
            low, high = interval(group[column].to_numpy())
            row[f"{column}_low"], row[f"{column}_high"] = low, high
        for column in ("worst_limit_share", *(key for key in OVER_COLUMNS if key.endswith("_s"))):
            row[column] = group[column].mean()
        row["runs_over_a_limit"] = int((group["worst_limit_share"] > 1.0).sum())
        row["runs_with_trips"] = int((group["trips"] > 0).sum())
        row["runs_with_overloads"] = int((group["overloads"] > 0).sum())
        rows.append(row)
    return pd.DataFrame(rows)


def _plots(summary: pd.DataFrame, over: Mapping[str, Sequence[Any]]) -> tuple[Plot, ...]:
    numeric = [path for path in over if pd.api.types.is_numeric_dtype(summary[path].dtype)]
    x = numeric[0] if numeric else "run"
    by = next((path for path in over if path != x), None)
    return (
        Plot("variants", "peak of the site", x, ["site_peak_window_w"], by),
        Plot("variants", "SLO loss", x, ["slo_loss"], by),
    )
