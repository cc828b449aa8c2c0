"""Refresh: other GPUs, other models, another tensor parallelism in all or part of the fleet, and
the same questions before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dcsim.errors import StudyError
from dcsim.plant.topology import Topology
from dcsim.scenario.dump import resolved
from dcsim.scenario.models import Scenario
from dcsim.spec.nearest import suggestion
from dcsim.spec.units import Seconds
from dcsim.studies.answer import Answer, Card, Plot, Table
from dcsim.studies.ask import (
    averaging_times_s,
    play_cases,
    promise,
    seeds_of,
    variant,
)
from dcsim.studies.busy import far_from_busy_sentences
from dcsim.studies.figures import NAN
from dcsim.studies.fixes import parse_named, refuse_seed
from dcsim.studies.limit_rows import limit_sentences
from dcsim.studies.limits import left_out
from dcsim.studies.options import Seeds, Shares, Typed, from_text, must
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.runner import Runner
from dcsim.studies.statistics import mean_interval
from dcsim.studies.study import Study
from dcsim.studies.sweep import run_figures
from dcsim.studies.uncertainty import (
    change_band,
    change_deviation,
    peak_band_w,
    uncertainty_of,
    uncertainty_sentences,
)

AS_IS = "as it is"
NEW = "-new"
"""Ends the name of the group that a part of another becomes."""
FIGURES = {
    "site_mean_w": "mean load of the site, W: mean over seeds, as all that follows",
    "site_peak_window_w": "highest mean of the site over the averaging time, W",
    "worst_of_limit": "the worst node's load by its rating",
    "worst_limit_share": "the worst limit of any kind: its highest figure over it",
    "over_rating_s": "time above a rating, of the node longest above its own, s",
    "over_continuous_s": "time above a continuous allowance, the same, s",
    "over_demand_s": "time above a demand limit, the same, s",
    "over_ramp_s": "time with a move above a ramp limit, the same, s",
    "generated_per_s": "tokens generated a second",
    "wh_per_1000_tokens": "energy of the site per thousand tokens generated, Wh",
    "ttft_p95_s": "95th percentile of the time to the first token, s",
    "tpot_p95_s": "95th percentile of the time per further token, s",
    "slo_loss": "share of requests not served as promised",
    "trips": "breakers tripped a run",
}
OF_WATTS = ("site_mean_w", "site_peak_window_w", "wh_per_1000_tokens")
"""Figures that are off by the same share as the site's watts."""
COLUMNS = {
    "fleet": "which fleet",
    "servers": "servers by group",
    "nameplate_w": "nameplate of all servers, W",
    **FIGURES,
    "peak_band_low_w": "below it the site's peak is with 5 %: the level's error and days, W",
    "peak_band_high_w": "above it the site's peak is with 5 %: the level's error and days, W",
    "worst_node": "the node nearest to its limit, of the first seed",
}
CHANGE_COLUMNS = {
    "fleet": "which fleet",
    "figure": "column of the first table",
    "before": "of the fleet as it is",
    "after": "of this one",
    "change": "after less before, seed by seed: mean",
    "change_low": "95 % interval of that mean (Student)",
    "change_high": "95 % interval of that mean",
    "change_share": "change over before",
    "change_band_low": "below it the change over before is with 5 %: the level's errors of both "
    "fleets; empty: no figure of watts",
    "change_band_high": "above it the change over before is with 5 %: the level's errors of both "
    "fleets",
}
SHOWN = (
    "fleet",
    "site_mean_w",
    "site_peak_window_w",
    "worst_of_limit",
    "worst_limit_share",
    "generated_per_s",
    "wh_per_1000_tokens",
    "ttft_p95_s",
    "tpot_p95_s",
    "slo_loss",
)


@dataclass(frozen=True)
class FleetVariant:
    """A name and what is changed; `servers.GROUP` in a path is the part that is renewed."""

    name: str
    changes: Mapping[str, Any]

    def __post_init__(self) -> None:
        refuse_seed(self.changes, "--change")

    @classmethod
    def parse(cls, text: str) -> FleetVariant:
        """Read `h100 | servers.a100.server=dgx-h100 | ...`. Raises StudyError."""
        name, changes = parse_named(text, "--change")
        return cls(name, changes)


class RefreshStudy(Study):
    """Other GPUs, models or tensor parallelism in the fleet: load, latency, energy per token."""

    fleets: Annotated[
        tuple[Annotated[FleetVariant, from_text(FleetVariant.parse)], ...],
        must(bool, "say what is to be renewed, such as 'tp4 | servers.a100.tensor_parallel=4'"),
        Typed(flag="change", metavar="'NAME | PATH=VALUE'"),
    ]
    """A fleet to compare with the present one: 'h100 | servers.a100.server=dgx-h100 |
    servers.a100.tensor_parallel=4'."""
    part: Shares = Field(default={})
    """Renew only this share of a server group, in every row of the facility: a100=0.5."""
    seeds: Seeds = 3
    """Number of seeds, counting up from the file's, or a list of them (1,2,9)."""
    window_s: Seconds = 60.0
    """Averaging time of the loads compared with limits."""

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """Play the fleet as it is and each other one, with the same traffic and seeds."""
        window_s = self.window_s
        names = [AS_IS, *(fleet.name for fleet in self.fleets)]
        if len(set(names)) < len(names):
            raise StudyError("--change: two fleets have the same name")
        seeds = seeds_of(scenario, self.seeds)
        split, renamed = _split(scenario, self.part)
        cases = {AS_IS: scenario}
        for fleet in self.fleets:
            changes = {_path(path, renamed): value for path, value in fleet.changes.items()}
            cases[fleet.name] = variant(split, changes, f"--change {fleet.name}")
        runs = play_cases(runner, cases, seeds, "refresh", averaging_times_s(window_s))
        outcomes = [run for same in runs.values() for run in same]
        by_fleet = {name: [_figures(run, window_s) for run in same] for name, same in runs.items()}
        rows = [_row(name, cases[name], by_fleet[name], runs[name][0]) for name in cases]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        changes_frame = pd.DataFrame(
            [
                row
                for name in names[1:]
                for row in _changes(
                    name,
                    by_fleet[AS_IS],
                    by_fleet[name],
                    change_deviation(
                        outcomes[0].summary,
                        runs[name][0].summary,
                        (_configurations(scenario), _configurations(cases[name])),
                    ),
                )
            ],
            columns=list(CHANGE_COLUMNS),
        )
        return Answer(
            headline=tuple(
                line
                for name in names[1:]
                for line in (_headline(name, changes_frame), *_band_sentences(name, changes_frame))
            ),
            reasons=(
                *(f"{row['fleet']}: {row['servers']}." for row in rows),
                *(line for name in cases for line in limit_sentences(runs[name], name)),
                f"SLO loss is the {promise(scenario)}.",
            ),
            uncertainty=(
                f"Differences are taken seed by seed over {len(seeds)} seeds; intervals are 95 % "
                "of their mean (Student)."
                if len(seeds) > 1
                else "One seed: the spread of a difference is unknown; give --seeds 5.",
                "The same requests come to every fleet: one that serves more could be asked for "
                "more.",
                *(
                    f"{name}: {line}"
                    for name in names
                    for line in uncertainty_sentences(uncertainty_of(runs[name][0].summary))
                ),
                "What stands on the same thing in two fleets is off by the same share in both, "
                "which a change does not feel, as it does not feel days; all else is off on its "
                "own. The spread over seeds is not in these bands.",
                *left_out(outcomes),
                *far_from_busy_sentences(scenario, outcomes),
            ),
            inputs={"seeds": seeds},
            figures={
                f"{row['fleet']}_{row['figure']}_change_share": row["change_share"]
                for row in changes_frame.to_dict("records")
                if row["figure"] in ("site_mean_w", "wh_per_1000_tokens")
            }
            | {
                f"{row['fleet']}_{row['figure']}_{end}": row[end]
                for row in changes_frame.to_dict("records")
                if row["figure"] in ("site_mean_w", "wh_per_1000_tokens")
                for end in ("change_band_low", "change_band_high")
            },
            cards=tuple(
                Card(f"{fleet.name}_{key}_change_share", f"{fleet.name}: {words}")
                for fleet in self.fleets
                for key, words in (
                    ("site_mean_w", "change of the mean load"),
                    ("wh_per_1000_tokens", "change of the energy a token"),
                )
            ),
            tables={
                "fleets": Table(frame, "before and after", COLUMNS, SHOWN),
                "changes": Table(changes_frame, "what changes, and how sure", CHANGE_COLUMNS),
            },
            plots=(
                Plot("fleets", "peak of the site", "fleet", ["site_peak_window_w"], kind="bar"),
                Plot(
                    "fleets", "energy per 1,000 tokens", "fleet", ["wh_per_1000_tokens"], kind="bar"
                ),
            ),
            runs=outcomes,
        )


def _split(scenario: Scenario, part: Mapping[str, float]) -> tuple[Scenario, dict[str, str]]:
    """The scenario with a group of its own for each part that is renewed, and those groups' names
    by the old ones."""
    groups = [group.name for group in scenario.servers]
    problems = []
    for name, share in part.items():
        if name not in groups:
            problems.append(
                f"--part: there is no server group '{name}' ({suggestion(name, groups)})"
            )
        elif not 0.0 < share < 1.0:
            problems.append(f"--part: the share of {name} must lie between 0 and 1: 0.5 is a half")
    if problems:
        raise StudyError(*problems)
    if not part:
        return scenario, {}
    data = resolved(scenario)
    for name, share in part.items():
        (group,) = [group for group in data["servers"] if group["name"] == name]
        data["servers"].append({**group, "name": name + NEW})
        rows = []
        for row in data["facility"]:
            count = row.get("count", 1)
            renewed = round(count * share) if row.get("group") == name else 0
            if renewed == 0:
                rows.append(row)
                continue
            if renewed < count:
                rows.append({**row, "count": count - renewed})
            rows.append({**row, "name": row["name"] + NEW, "count": renewed, "group": name + NEW})
        if not any(row.get("group") == name + NEW for row in rows):
            raise StudyError(
                f"--part: {share:g} of the servers of each row of group {name} is none: give more"
            )
        data["facility"] = rows
    changes = {"servers": data["servers"], "facility": data["facility"]}
    return variant(scenario, changes, "--part"), {name: name + NEW for name in part}


def _path(path: str, renamed: Mapping[str, str]) -> str:
    """Turn `servers.GROUP` of a renewed group into its new part."""
    steps = path.split(".")
    if len(steps) > 1 and steps[0] == "servers" and steps[1] in renamed:
        steps[1] = renamed[steps[1]]
    return ".".join(steps)


def _figures(run: RunOutcome, window_s: float) -> dict[str, Any]:
    of_run = run_figures(run, window_s)
    seconds = run.summary["simulated_s"]
    return of_run | {"generated_per_s": of_run["generated_tokens"] / seconds}


def _row(
    name: str, case: Scenario, runs: Sequence[Mapping[str, Any]], first: RunOutcome
) -> dict[str, Any]:
    counts: dict[str, int] = {}
    kinds = {group.name: group for group in case.servers}
    for group, servers in _servers(case).items():
        kind = kinds[group]
        configuration = f"{kind.server}, {kind.model} on {kind.tensor_parallel} GPUs"
        counts[configuration] = counts.get(configuration, 0) + servers
    site = first.loads[0]
    figures_of = {key: float(np.mean([run[key] for run in runs])) for key in FIGURES}
    band_w = peak_band_w(figures_of["site_peak_window_w"], uncertainty_of(first.summary))
    return {
        "fleet": name,
        "servers": "; ".join(f"{count} {configuration}" for configuration, count in counts.items()),
        "nameplate_w": NAN if site["nameplate_w"] is None else site["nameplate_w"],
        **figures_of,
        "peak_band_low_w": band_w[0],
        "peak_band_high_w": band_w[1],
        "worst_node": runs[0]["worst_node"],
    }


def _servers(case: Scenario) -> dict[str, int]:
    counts: dict[str, int] = {}
    for group in Topology.build(case.facility).server_groups:
        counts[group] = counts.get(group, 0) + 1
    return counts


def _configurations(case: Scenario) -> dict[str, str]:
    """Name what the GPUs of each server group are and do."""
    return {
        group.name: f"{group.model}, {group.server}, {group.replica_gpus}" for group in case.servers
    }


def _changes(
    name: str,
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    deviation: float,
) -> list[dict[str, Any]]:
    rows = []
    for key in FIGURES:
        old = np.array([run[key] for run in before], dtype=np.float64)
        new = np.array([run[key] for run in after], dtype=np.float64)
        low, high = mean_interval(new - old)
        share = (new - old).mean() / old.mean() if old.mean() else NAN
        band = change_band(share, deviation) if key in OF_WATTS else (NAN, NAN)
        rows.append(
            {
                "fleet": name,
                "figure": key,
                "before": old.mean(),
                "after": new.mean(),
                "change": (new - old).mean(),
                "change_low": low,
                "change_high": high,
                "change_share": share,
                "change_band_low": band[0],
                "change_band_high": band[1],
            }
        )
    return rows


def _headline(name: str, changes: pd.DataFrame) -> str:
    changes_of_fleet = (
        changes[changes["fleet"] == name].set_index("figure")["change_share"].to_dict()
    )

    def change(key: str) -> str:
        share = float(changes_of_fleet[key])
        return "unknown" if math.isnan(share) else f"{100 * share:+.1f} %"

    return (
        f"{name}: mean load {change('site_mean_w')}, peak {change('site_peak_window_w')}, energy "
        f"per token {change('wh_per_1000_tokens')}, time to the first token (p95) "
        f"{change('ttft_p95_s')}, per further token {change('tpot_p95_s')}."
    )


def _band_sentences(name: str, changes: pd.DataFrame) -> tuple[str, ...]:
    """Between what the changes of watts lie by the errors that seeds do not show."""
    by_figure = {row["figure"]: row for row in changes.to_dict("records") if row["fleet"] == name}
    bands = [
        f"{words} {100 * row['change_band_low']:+.1f} to {100 * row['change_band_high']:+.1f} %"
        for key, words in (
            ("site_mean_w", "mean load"),
            ("site_peak_window_w", "peak"),
            ("wh_per_1000_tokens", "energy per token"),
        )
        if not math.isnan((row := by_figure[key])["change_band_low"])
    ]
    if not bands:
        return ()
    return (f"{name}, by the error of the watts' level, 5 % beyond each end: {', '.join(bands)}.",)
