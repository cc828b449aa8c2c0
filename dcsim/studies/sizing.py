"""Sizing as a study: the same traffic through several power models, several seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd

from dcsim.errors import StudyError
from dcsim.scenario.models import Scenario
from dcsim.spec.nearest import suggestion
from dcsim.spec.units import SECOND
from dcsim.studies.answer import Answer, Card, Plot, Table
from dcsim.studies.ask import play_cases, seeds_of
from dcsim.studies.busy import far_from_busy_sentences
from dcsim.studies.figures import NAN, or_nan
from dcsim.studies.limit_rows import limit_sentences, limit_table
from dcsim.studies.limits import continuous_w, left_out
from dcsim.studies.options import Seeds, Texts, Times, Typed, must
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.runner import Runner
from dcsim.studies.statistics import mean_interval, peaks_sentence
from dcsim.studies.study import Study
from dcsim.studies.uncertainty import peak_band_w, uncertainty_of, uncertainty_sentences
from dcsim.studies.variants import NAMEPLATE, SCENARIO_CHOICE, check_models, with_model

AVERAGED = (
    "peak_w",
    "mean_w",
    "peak_to_average",
    "load_factor",
    "ramp_up_w",
    "ramp_down_w",
    "p95_w",
    "p99_w",
    "p99_low_w",
    "p99_high_w",
    "coincidence",
    "server_coincidence",
    "nameplate_w",
    "nameplate_load_w",
    "nameplate_to_peak",
)
COLUMNS = {
    "model": "power model",
    "node": "node of the site",
    "kind": "its kind",
    "window_s": "averaging time, s",
    "peak_w": "highest mean over the window, with cooling and losses, W: mean over seeds",
    "peak_highest_w": "the highest among the seeds, W",
    "peak_low": "95 % interval of the mean peak over seeds; of one seed, of the peak of another "
    "run, W",
    "peak_high": "95 % interval of the mean peak over seeds; of one seed, of the peak of another "
    "run, W",
    "peak_band_low_w": "below it the peak is with 5 %: the level's error and days, W",
    "peak_band_high_w": "above it the peak is with 5 %: the level's error and days, W",
    "mean_w": "mean load, with cooling and losses, W",
    "peak_to_average": "peak over mean",
    "load_factor": "its inverse",
    "ramp_up_w": "largest rise from one window to the next, W",
    "ramp_down_w": "largest fall, W",
    "p95_w": "exceeded 5 % of the time, W",
    "p99_w": "exceeded 1 % of the time, W",
    "p99_low_w": "its 95 % interval from each run alone, mean over seeds, W",
    "p99_high_w": "its 95 % interval from each run alone, mean over seeds, W",
    "coincidence": "highest sum of what its children draw over the sum of their peaks; its own "
    "cooling and losses on neither side",
    "server_coincidence": "the same over all servers below: IT only",
    "nameplate_w": "labels of the servers below, without cooling and losses, W",
    "nameplate_load_w": "load with all servers at their labels, with cooling and losses, W",
    "nameplate_to_peak": "that over the peak: cooling and losses on both sides",
}


TOGETHER_COLUMNS = {
    "window": "averaging time",
    "line": "simulated, by power model, or by nameplate",
    "load_w": "highest load, with cooling and losses, W",
    "limit_w": "rating of the node, W",
    "allowance_w": "what it may carry continuously, W",
}
SHOWN = (
    "model",
    "window_s",
    "peak_w",
    "mean_w",
    "load_factor",
    "ramp_up_w",
    "server_coincidence",
    "nameplate_load_w",
    "nameplate_to_peak",
)


class SizingStudy(Study):
    """What size of interconnection, feeder or rack: peak, mean, ramps, coincidence by level."""

    models: Texts = (SCENARIO_CHOICE,)
    """Power models to compare: scenario (the file's own), nameplate, board-limit, mean, lut,
    ledger, gru. The same requests meet the same servers under each: only watts differ, unless
    breakers or policies act on them."""
    windows_s: Annotated[Times, must(bool, "averaging times are above 0, such as 15 min")] = (
        1.0,
        60.0,
        900.0,
    )
    """Averaging times to report in addition to the power step."""
    node: Annotated[str | None, Typed(metavar="NODE")] = None
    """Node to report. None: the site."""
    seeds: Seeds = 1
    """Number of seeds, counting up from the file's, or a list of them (1,2,9)."""

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """Load figures of every node above the servers, by power model and averaging time."""
        models = self.models
        check_models(models)
        seeds = seeds_of(scenario, self.seeds)
        # The nameplate needs no run, but for the names of the nodes.
        simulated = [name for name in models if name != NAMEPLATE] or [SCENARIO_CHOICE]
        variants = {name: with_model(scenario, name) for name in simulated}
        windows_s = tuple(sorted(self.windows_s))
        by_model = play_cases(runner, variants, seeds, "sizing", windows_s)
        outcomes = [run for runs in by_model.values() for run in runs]
        rows = [
            row
            for name in models
            for row in (
                _nameplate(_rows(name, by_model[simulated[0]]))
                if name == NAMEPLATE
                else _rows(name, by_model[name])
            )
        ]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        names = frame["node"].unique().tolist()
        node = names[0] if self.node is None else self.node
        if node not in names:
            raise StudyError(f"--node: the site has no '{node}' ({suggestion(node, names)})")
        of_node = frame[frame["node"] == node].reset_index(drop=True)
        longest_s = float(of_node["window_s"].max())
        together = _together(of_node, *_limits_w(scenario, outcomes[0], node))
        return Answer(
            headline=(
                *(_headline(of_node, node, name, longest_s) for name in models),
                *(
                    line
                    for name in models
                    if name in by_model
                    for line in limit_sentences(
                        by_model[name], "" if name == SCENARIO_CHOICE else name
                    )
                ),
                *far_from_busy_sentences(variants[simulated[0]], outcomes),
            ),
            reasons=_reasons(of_node, node),
            uncertainty=(
                f"Peaks are of {SECOND.format(scenario.duration_s)}; a longer run has a higher "
                "peak.",
                peaks_sentence(len(seeds)) if len(seeds) > 1 else _single_run_sentence(of_node),
                *left_out(outcomes),
                *_band_sentences(of_node, by_model, longest_s),
            ),
            inputs={"windows_s": windows_s, "node": node, "seeds": seeds},
            figures={
                f"{row['model']}_{key}": row[key]
                for row in of_node[of_node["window_s"] == longest_s].to_dict("records")
                for key in ("peak_w", "mean_w", "load_factor", "nameplate_to_peak")
            }
            | {"nameplate_load_w": of_node["nameplate_load_w"].iloc[0]},
            cards=_cards(models, node, SECOND.format(longest_s)),
            tables={
                "node": Table(of_node, f"{node}, by model and averaging time", COLUMNS, SHOWN),
                "nodes": Table(frame, "every node above the servers", COLUMNS),
                **{
                    "limits" if at == 0 else f"limits-{name}": limit_table(
                        by_model[name],
                        "limits of all kinds" + ("" if name == SCENARIO_CHOICE else f", {name}"),
                    )
                    for at, name in enumerate(simulated)
                },
                "together": Table(together, f"{node}: load, nameplate and limit", TOGETHER_COLUMNS),
            },
            plots=(
                Plot(
                    "together",
                    f"{node}: highest load by averaging time, nameplate and limit",
                    "window",
                    ["load_w"],
                    "line",
                    kind="bar",
                    limit="limit_w",
                    levels=("allowance_w",),
                ),
            ),
            runs=outcomes,
        )


def _band_sentences(
    of_node: pd.DataFrame, by_model: Mapping[str, Sequence[RunOutcome]], window_s: float
) -> Iterator[str]:
    """Say what is uncertain besides seeds, and what it makes of each model's peak."""
    for model, runs in by_model.items():
        row = of_node[(of_node["model"] == model) & (of_node["window_s"] == window_s)]
        if row.empty:
            continue
        low_w, high_w = (float(row[f"peak_band_{end}_w"].iloc[0]) for end in ("low", "high"))
        yield from uncertainty_sentences(uncertainty_of(runs[0].summary))
        yield (
            f"{'With' if model == SCENARIO_CHOICE else model + ': with'} both the peak over "
            f"{SECOND.format(window_s)} may be {low_w / 1e3:,.1f} to {high_w / 1e3:,.1f} kW, "
            "95 % on each side, beside the spread over seeds."
        )


def _single_run_sentence(of_node: pd.DataFrame) -> str:
    """Say what a single run tells of its peak."""
    known = of_node[(of_node["model"] != NAMEPLATE) & of_node["peak_low"].notna()]
    if known.empty:
        return (
            "One seed: a peak is one draw, and the run cannot tell where another would lie; give "
            "--seeds 5."
        )
    row = known.sort_values("window_s").iloc[-1]
    return (
        f"One seed: by the maxima of its blocks another run of this length peaks, over "
        f"{SECOND.format(row['window_s'])}, at {row['peak_low'] / 1e3:,.1f} to "
        f"{row['peak_high'] / 1e3:,.1f} kW (95 %); --seeds 5 says more."
    )


def _rows(model: str, runs: Sequence[RunOutcome]) -> list[dict[str, Any]]:
    rows = []
    uncertainty = uncertainty_of(runs[0].summary)
    for same in zip(*(run.loads for run in runs), strict=True):
        peaks_w = np.array([row["peak_w"] for row in same])
        low, high = mean_interval(peaks_w)
        band_w = peak_band_w(float(peaks_w.mean()), uncertainty)
        if len(runs) == 1:
            low, high = or_nan(same[0]["peak_low_w"]), or_nan(same[0]["peak_high_w"])
        rows.append(
            {
                "model": model,
                "node": same[0]["node"],
                "kind": same[0]["kind"],
                "window_s": same[0]["resolution_s"],
                "peak_highest_w": peaks_w.max(),
                "peak_low": low,
                "peak_high": high,
                "peak_band_low_w": band_w[0],
                "peak_band_high_w": band_w[1],
                **{key: float(np.mean([or_nan(r[key]) for r in same])) for key in AVERAGED},
            }
        )
    return rows


def _nameplate(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As if all servers drew what their makers print on them, always, through the site's cooling
    and losses."""
    constant = {"peak_to_average": 1.0, "load_factor": 1.0, "ramp_up_w": 0.0, "ramp_down_w": 0.0}
    constant |= {"coincidence": 1.0, "server_coincidence": 1.0, "nameplate_to_peak": 1.0}
    watts: tuple[str, ...] = (
        "peak_w",
        "peak_highest_w",
        "peak_low",
        "peak_high",
        "mean_w",
        "p95_w",
        "p99_w",
    )
    watts += ("p99_low_w", "p99_high_w", "peak_band_low_w", "peak_band_high_w")
    return [row | dict.fromkeys(watts, row["nameplate_load_w"]) | constant for row in rows]


def _limits_w(base: Scenario, outcome: RunOutcome, node: str) -> tuple[float, float]:
    """Rating of a node, W, and what it may carry continuously; NaN where none is stated."""
    rated = {row["name"]: row["limit_w"] for row in outcome.summary["nodes"]}
    rating_w = rated.get(node)
    return NAN if rating_w is None else rating_w, continuous_w(base).get(node, NAN)


def _together(of_node: pd.DataFrame, limit_w: float, allowance_w: float) -> pd.DataFrame:
    """Peaks by averaging time and nameplate, a row a bar; each with the limits."""
    rows = []
    simulated = of_node[of_node["model"] != NAMEPLATE]
    for row in (
        (of_node if simulated.empty else simulated).sort_values("window_s").to_dict("records")
    ):
        name = "simulated" if row["model"] == SCENARIO_CHOICE else f"simulated, {row['model']}"
        rows.append((SECOND.format(row["window_s"]), name, row["peak_w"]))
    first = of_node.sort_values("window_s").drop_duplicates("window_s")
    rows += [
        (SECOND.format(row["window_s"]), "by nameplate", row["nameplate_load_w"])
        for row in first.to_dict("records")
    ]
    frame = pd.DataFrame(rows, columns=["window", "line", "load_w"])
    return frame.assign(limit_w=limit_w, allowance_w=allowance_w)


def _cards(models: Sequence[str], node: str, window: str) -> tuple[Card, ...]:
    simulated = [name for name in models if name != NAMEPLATE]
    cards = [
        Card(
            f"{name}_peak_w",
            f"{node}, highest {window} mean" + ("" if name == SCENARIO_CHOICE else f", by {name}"),
        )
        for name in simulated
    ]
    cards.append(Card("nameplate_load_w", f"{node} with every server at its label"))
    if simulated:
        cards.append(
            Card(f"{simulated[0]}_nameplate_to_peak", "times the peak: cooling and losses in both")
        )
    return tuple(cards)


def _headline(of_node: pd.DataFrame, node: str, model: str, window_s: float) -> str:
    row = of_node[(of_node["model"] == model) & (of_node["window_s"] == window_s)].iloc[0]
    label = f"{row['nameplate_load_w'] / 1e3:,.1f} kW"
    if model == NAMEPLATE:
        return f"nameplate: {node} would carry {label} with every server at its label."
    whose = "" if model == SCENARIO_CHOICE else f"{model}: "
    return (
        f"{whose}{node} peaks at {row['peak_w'] / 1e3:,.1f} kW over {SECOND.format(window_s)}, "
        f"mean {row['mean_w'] / 1e3:,.1f} kW; with every server at its label {label}, "
        f"{row['nameplate_to_peak']:.2f} times the peak."
    )


def _reasons(of_node: pd.DataFrame, node: str) -> tuple[str, ...]:
    first = of_node[of_node["model"] == of_node["model"].iloc[0]].sort_values("window_s")
    short, long = first.iloc[0], first.iloc[-1]
    return (
        f"{node} peaks at {short['peak_w'] / 1e3:,.1f} kW over {SECOND.format(short['window_s'])} "
        f"and at {long['peak_w'] / 1e3:,.1f} kW over {SECOND.format(long['window_s'])}: what a "
        "breaker feels differs from what a meter bills.",
        f"All loads, those by nameplate too, hold the cooling and the losses below and at "
        f"{node}; the labels of its servers alone are {short['nameplate_w'] / 1e3:,.1f} kW.",
        "Coincidence is of what draws: its own cooling and losses are on neither side, so it is "
        "never above 1.",
    )
