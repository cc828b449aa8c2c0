"""Policies side by side: the same days under each, and who pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd

from dcsim.scenario.models import Scenario
from dcsim.spec.units import SECOND, Seconds
from dcsim.studies.answer import Answer, Card, Plot, Table
from dcsim.studies.ask import (
    averaging_times_s,
    load_rows,
    play_cases,
    promise,
    seeds_of,
    slo_loss,
)
from dcsim.studies.figures import NAN, fitting_window_s, mean, or_nan
from dcsim.studies.limit_rows import (
    LIMIT_COLUMNS,
    LIMIT_SHOWN,
    limit_frame,
    limit_sentences,
)
from dcsim.studies.limits import left_out
from dcsim.studies.options import Seeds, must
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.runner import Runner
from dcsim.studies.statistics import mean_interval, share_interval, share_mean_interval
from dcsim.studies.study import Study
from dcsim.studies.sweep import run_figures
from dcsim.studies.variants import SCENARIO_CHOICE, Policies, as_inputs, with_policy

POLICY_COLUMNS = {
    "policy": "name of the control block",
    "runs": "seeds",
    "site_peak_w": "highest power step of the site: mean over seeds, W",
    "site_peak_low_w": "95 % interval of that mean (Student), W",
    "site_peak_high_w": "95 % interval of that mean, W",
    "site_peak_window_w": "highest mean of the site over `window_s`: mean over seeds, W",
    "window_s": "averaging time, s",
    "over_limit_s": "time that the worst node was above its rating, mean over seeds, s",
    "worst_node": "that node",
    "over_continuous_s": "time that the worst node was above its continuous allowance, s",
    "over_demand_s": "time that the worst demand limit was passed, s; empty: none, or not judged",
    "over_ramp_s": "time that the worst ramp limit was passed, s",
    "trips": "breakers tripped a run",
    "trip_probability": "share of runs with a trip",
    "trip_low": "95 % interval of its probability (Clopper and Pearson)",
    "trip_high": "95 % interval of its probability",
    "capped_server_h": "server-hours slowed by a clock or a cap, a run",
    "limited_s": "time that any limit of a policy was in force, summed over policies, a run, s",
    "ttft_p50_s": "median time to the first token, mean over seeds, s",
    "ttft_p95_s": "its 95th percentile, s",
    "ttft_p99_s": "its 99th percentile, s",
    "tpot_p50_s": "median time per further token, s",
    "tpot_p95_s": "its 95th percentile, s",
    "tpot_p99_s": "its 99th percentile, s",
    "completed_per_s": "requests completed a second",
    "lost": "share of the requests that were rejected, failed or timed out",
    "slo_loss": "share of requests not served as promised, mean over seeds",
    "slo_loss_low": "95 % interval of that mean",
    "slo_loss_high": "95 % interval of that mean",
    "generated_per_s": "tokens generated a second",
    "energy_wh": "of the site, Wh a run",
    "wh_per_1000_tokens": "energy of the site per thousand tokens generated, Wh",
}
MEAN_COLUMNS = (
    *("site_peak_w", "site_peak_window_w", "over_continuous_s", "over_demand_s", "over_ramp_s"),
    *("trips", "capped_server_h", "limited_s", "ttft_p50_s", "ttft_p95_s", "ttft_p99_s"),
    *("tpot_p50_s", "tpot_p95_s", "tpot_p99_s", "completed_per_s", "lost", "slo_loss"),
    *("generated_per_s", "energy_wh", "wh_per_1000_tokens"),
)
"""Columns that are means over a policy's runs."""
NODE_COLUMNS = {
    "policy": "name of the control block",
    "node": "node with a rating",
    "limit_w": "its rating, W",
    "peak_w": "highest mean over the window: mean over seeds, W",
    "over_limit_s": "time above the rating, mean over seeds, s",
    "trips": "of its breaker, a run",
}
TENANT_COLUMNS = {
    "policy": "name of the control block",
    "tenant": "whose requests",
    "completed_per_s": "requests completed a second",
    "goodput_per_s": "requests completed within the SLO a second",
    "slo_attainment": "share of the requests that ended within it",
}
SHOWN = (
    "policy",
    "site_peak_w",
    "over_limit_s",
    "over_continuous_s",
    "over_demand_s",
    "trip_probability",
    "trip_high",
    "capped_server_h",
    "ttft_p95_s",
    "tpot_p95_s",
    "slo_loss",
    "lost",
    "wh_per_1000_tokens",
)


class PoliciesStudy(Study):
    """What does each policy hold, and who pays for it?"""

    policies: Annotated[
        Policies,
        must(bool, "name one or more, such as --policy none --policy NAME=FILE"),
    ]
    """A policy to compare: none, scenario (the file's), NAME=FILE.yaml with a control block or
    NAME='[{policy: admission-throttle, nodes: row}]'. Differences are to the first, seed by
    seed."""
    seeds: Seeds = 3
    """Number of seeds, counting up from the file's, or a list of them (1,2,9)."""
    window_s: Seconds = 60.0
    """Averaging time of the loads compared with limits."""

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """Play the same days under each control block."""
        window_s = self.window_s
        seeds = seeds_of(scenario, self.seeds)
        cases = {name: with_policy(scenario, name, block) for name, block in self.policies.items()}
        runs = play_cases(runner, cases, seeds, "policies", averaging_times_s(window_s))
        outcomes = [run for same in runs.values() for run in same]
        table = pd.DataFrame(
            [_row(name, same, window_s) for name, same in runs.items()],
            columns=list(POLICY_COLUMNS),
        )
        nodes = pd.DataFrame(
            [row for name, same in runs.items() for row in _nodes(name, same, window_s)],
            columns=list(NODE_COLUMNS),
        )
        tenants = pd.DataFrame(
            [row for name, same in runs.items() for row in _tenants(name, same)],
            columns=list(TENANT_COLUMNS),
        )
        tables = {
            "policies": Table(table, "each policy", POLICY_COLUMNS, SHOWN),
            "nodes": Table(nodes, "each node with a rating", NODE_COLUMNS),
        }
        limits = pd.concat(
            [limit_frame(same).assign(policy=name) for name, same in runs.items()],
            ignore_index=True,
        )
        limits = limits.sort_values("of_limit", ascending=False, kind="stable", ignore_index=True)
        columns = {"policy": "name of the control block", **LIMIT_COLUMNS}
        tables["limits"] = Table(
            limits[list(columns)],
            "limits of all kinds",
            columns,
            ("policy", *LIMIT_SHOWN),
            brief=max(5, int((limits["runs_over"] > 0).sum())),
        )
        if len(tenants):
            tables["tenants"] = Table(tenants, "who pays", TENANT_COLUMNS, tuple(TENANT_COLUMNS))
        return Answer(
            headline=tuple(_sentence(row) for row in table.to_dict("records")),
            reasons=(
                *(
                    line
                    for name, same in runs.items()
                    for line in limit_sentences(
                        same, "the file" if name == SCENARIO_CHOICE else name
                    )
                ),
                *_differences(runs),
                f"SLO loss is the {promise(scenario)}.",
            ),
            uncertainty=(
                f"All policies met the same {len(seeds)} seed{'s' if len(seeds) > 1 else ''}; a "
                f"probability is per run of {SECOND.format(scenario.duration_s)}.",
                *(
                    []
                    if len(seeds) > 1
                    else ["One seed says nothing of the spread: give --seeds 5 or more."]
                ),
                *left_out(outcomes),
            ),
            inputs={"policies": as_inputs(self.policies), "seeds": seeds},
            figures={
                f"{row['policy']}_{key}": row[key]
                for row in table.to_dict("records")
                for key in ("site_peak_w", "trip_probability", "slo_loss", "capped_server_h")
            },
            cards=tuple(
                Card(f"{row['policy']}_{key}", f"{row['policy']}: {words}")
                for row in table.to_dict("records")
                for key, words in (
                    ("site_peak_w", "peak of the site"),
                    ("trip_probability", "of the runs tripped a breaker"),
                    ("slo_loss", "of the requests not served as promised"),
                )
            ),
            tables=tables,
            plots=(
                Plot("policies", "peak of the site", "policy", ["site_peak_w"], kind="bar"),
                Plot("policies", "SLO loss", "policy", ["slo_loss"], kind="bar"),
                Plot("policies", "time above a rating", "policy", ["over_limit_s"], kind="bar"),
            ),
            runs=outcomes,
        )


def _row(name: str, runs: Sequence[RunOutcome], window_s: float) -> dict[str, Any]:
    rows = [_run_row(run, window_s) for run in runs]
    peaks_w, losses = ([row[key] for row in rows] for key in ("site_peak_w", "slo_loss"))
    tripped = sum(row["trips"] > 0 for row in rows)
    node, over_s = _worst_over([run.summary for run in runs])
    return {
        **{key: mean(row[key] for row in rows) for key in MEAN_COLUMNS},
        "policy": name,
        "runs": len(runs),
        "window_s": rows[0]["window_s"],
        "over_limit_s": over_s,
        "worst_node": node,
        "trip_probability": tripped / len(runs),
        **dict(zip(("site_peak_low_w", "site_peak_high_w"), mean_interval(peaks_w), strict=True)),
        **dict(zip(("trip_low", "trip_high"), share_interval(tripped, len(runs)), strict=True)),
        **dict(zip(("slo_loss_low", "slo_loss_high"), share_mean_interval(losses), strict=True)),
    }


def _run_row(run: RunOutcome, window_s: float) -> dict[str, Any]:
    """Figures of one run, of which a policy's row has the means."""
    row, summary = run_figures(run, window_s), run.summary
    seconds, arrived = summary["simulated_s"], summary["requests"]["arrived"]
    control = summary.get("control") or {}
    return row | {
        **{
            f"{what}_p{percent}_s": summary["latency"][f"{what}_s"][f"p{percent}"]
            for what in ("ttft", "tpot")
            for percent in (50, 95, 99)
        },
        "completed_per_s": row["completed"] / seconds,
        "generated_per_s": row["generated_tokens"] / seconds,
        "lost": row["lost"] / arrived if arrived else NAN,
        "capped_server_h": control.get("capped_server_h"),
        "limited_s": sum(or_nan(policy.get("limited_s")) for policy in control.get("policies", ())),
    }


def _worst_over(summaries: Sequence[Mapping[str, Any]]) -> tuple[str | None, float]:
    """The node longest above its rating, and for how long, mean over seeds; NaN without one."""
    worst, longest_s = None, NAN
    for place, node in enumerate(summaries[0]["nodes"]):
        if node["limit_w"] is None:
            continue
        over_s = mean(s["nodes"][place].get("time_over_limit_s") for s in summaries)
        if not over_s <= longest_s:
            worst, longest_s = node["name"], over_s
    return worst, longest_s


def _nodes(name: str, runs: Sequence[RunOutcome], window_s: float) -> list[dict[str, Any]]:
    """Return a row for each node above the servers that has a rating."""
    used_s = fitting_window_s(runs[0], window_s)
    loads = [load_rows(run, used_s) for run in runs]
    rows = []
    for place, node in enumerate(runs[0].summary["nodes"]):
        if node["limit_w"] is None or node["name"] not in loads[0]:
            continue
        same = [run.summary["nodes"][place] for run in runs]
        rows.append(
            {
                "policy": name,
                "node": node["name"],
                "limit_w": node["limit_w"],
                "peak_w": np.mean([row[node["name"]]["peak_w"] for row in loads]),
                "over_limit_s": mean(n.get("time_over_limit_s") for n in same),
                "trips": mean(n.get("trips") for n in same),
            }
        )
    return rows


def _tenants(name: str, runs: Sequence[RunOutcome]) -> list[dict[str, Any]]:
    rows = []
    for place, tenant in enumerate(runs[0].summary["tenants"]):
        same = [run.summary["tenants"][place] for run in runs]
        rows.append(
            {
                "policy": name,
                "tenant": tenant["name"],
                "completed_per_s": np.mean(
                    [
                        row["completed"] / run.summary["measured_s"]
                        for row, run in zip(same, runs, strict=True)
                    ]
                ),
                "goodput_per_s": np.mean([row["goodput_per_s"] for row in same]),
                "slo_attainment": mean(row["slo_attainment"] for row in same),
            }
        )
    return rows


def _sentence(row: Mapping[Any, Any]) -> str:
    over = row["over_limit_s"]
    return (
        f"{'the file' if row['policy'] == SCENARIO_CHOICE else row['policy']}: site peak "
        f"{row['site_peak_w'] / 1e3:,.1f} kW, "
        + ("no node has a rating" if np.isnan(over) else f"{over:,.1f} s above a rating")
        + f", {100 * row['trip_probability']:.0f} % of runs tripped "
        f"(95 %: {100 * row['trip_low']:.0f} % to {100 * row['trip_high']:.0f} %), "
        f"SLO loss {100 * row['slo_loss']:.2f} %."
    )


def _differences(runs: Mapping[str, Sequence[RunOutcome]]) -> list[str]:
    """Say how each policy differs from the first, seed by seed."""
    first, *others = runs
    sentences = []
    for name in others:
        pairs = list(zip(runs[name], runs[first], strict=True))
        watts = [
            (or_nan(a.summary["nodes"][0]["peak_w"]) - or_nan(b.summary["nodes"][0]["peak_w"]))
            / 1e3
            for a, b in pairs
        ]
        losses = [100.0 * (slo_loss(a.summary) - slo_loss(b.summary)) for a, b in pairs]
        low, high = mean_interval(watts)
        sentences.append(
            f"{name} against {first}, the same seeds: peak {np.mean(watts):+,.1f} kW"
            + ("" if np.isnan(low) else f" (95 %: {low:+,.1f} to {high:+,.1f})")
            + f", SLO loss {np.mean(losses):+.2f} points."
        )
    return sentences
