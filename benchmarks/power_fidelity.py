"""How near each power model comes to measured power: python -m benchmarks.power_fidelity

Writes the tables of docs/fidelity-power.md between their marks, and its pictures (the extra
`plots`, for matplotlib). Every measured run is judged by models that have not seen it:

- a run of which the configuration has another run: all models learn from that other run;
- a run of the only kind: whole, by models that never saw its configuration; and its later part, by
  models that learned from its first 60 %.

Work comes from the engine's own log, or from the simulator playing the run's requests. Beside the
models stands the run drawn anew from itself (`power_floor`). Then the
shipped packs, and packs with the configuration's own table hidden, on simulated campaigns against
every published mixture. About 15 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import need_data
from benchmarks.pack_subjects import measured_runs
from benchmarks.packs import GPUS, Evidence, gather, make, recipe_of
from benchmarks.power_floor import itself
from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.lab.learn.bigru import BiGru
from dcsim.lab.learn.evaluate import generate_readings, judge
from dcsim.lab.learn.holdout import TRAINED_SHARE, section
from dcsim.lab.learn.metrics import acf
from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.learn.simulated import simulated_work
from dcsim.lab.learn.train import Recipe
from dcsim.lab.ledger_series import LedgerSeries
from dcsim.power.baseline_tables import MeanRow
from dcsim.power.constant import board_limit
from dcsim.power.gru import GruPower
from dcsim.power.linear_ledger import LinearLedger
from dcsim.power.look_up import LookUpPower
from dcsim.power.mean import MeanPower
from dcsim.power.model import PowerModel

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "fidelity-power.md"
SEEDS = 20
FIGURES = (
    ("energy_bias_pct", "energy, %", "+.1f"),
    ("ks", "KS", ".3f"),
    ("acf_r2", "ACF R²", ".3f"),
    ("nrmse", "NRMSE", ".3f"),
    ("nrmse_mean", "NRMSE of the mean", ".3f"),
    ("p95_error_pct", "P95, %", ".1f"),
    ("p99_error_pct", "P99, %", ".1f"),
)
Generate = Callable[[LedgerSeries, int], FloatArray]


@dataclass(frozen=True)
class Case:
    """A run, or a part of one, and what models may learn from."""

    run: MeasuredRun
    folder: Path
    how: str
    taught: list[MeasuredRun]
    """On the same GPU."""
    start: int = 0
    """First judged step of the whole run."""


def cases(data: Path, catalogue: Catalogue, gpu: str) -> Iterator[Case]:
    """The judged runs of a GPU."""
    runs = measured_runs(data, catalogue, gpu)
    for run in runs:
        folder = data / "measured" / "vllm_runs" / run.name
        rest = [one for one in runs if one is not run]
        if any(one.series.config == run.series.config for one in rest):
            yield Case(run, folder, "run left out", rest)
            continue
        yield Case(run, folder, "model never seen", rest)
        cut = int(TRAINED_SHARE * len(run.series))
        later, first = section(run, cut, len(run.series)), section(run, 0, cut)
        yield Case(later, folder, "later part left out", [*rest, first], cut)


def left_out(case: Case, known: Evidence, catalogue: Catalogue, recipe: Recipe) -> GruPower:
    """The GRU that learned from what the case lets it."""
    config = case.run.series.config
    unseen = [] if any(run.series.config == config for run in case.taught) else [config.model]
    evidence = replace(known, runs=case.taught)
    pack = make("left-out", evidence, catalogue, recipe, leave_out=unseen)
    return GruPower(pack, catalogue, extrapolate=True)


def models(
    case: Case, known: Evidence, catalogue: Catalogue, recipe: Recipe
) -> dict[str, Callable[[], Generate]]:
    """What makes the generator of every model that can answer, by its name."""
    config = case.run.series.config

    def live(model: PowerModel) -> Generate:
        return lambda series, seeds: generate_readings(model, series, seeds)

    own = [run for run in case.taught if run.series.config == config]
    makers: dict[str, Callable[[], Generate]] = {
        "gru": lambda: live(left_out(case, known, catalogue, recipe)),
        "bigru": lambda: BiGru(own).generate,
        "ledger": lambda: live(LinearLedger(catalogue)),
        "lut": lambda: live(LookUpPower(catalogue)),
        "mean": lambda: live(MeanPower({config.key: _mean_row(own)})),
        "board-limit": lambda: live(board_limit()),
    }
    needs_runs = {"bigru", "mean"}
    return {name: make for name, make in makers.items() if own or name not in needs_runs}


def _mean_row(runs: Sequence[MeasuredRun]) -> MeanRow:
    watts = np.concatenate([run.power_w for run in runs])
    return MeanRow(float(watts.mean()), len(watts), "runs not judged")


def row_of(label: tuple[str, ...], figures: dict[str, float]) -> str:
    """A line of a Markdown table."""
    cells = [
        "-" if np.isnan(figures[name]) else format(figures[name], how) for name, _, how in FIGURES
    ]
    return "| " + " | ".join([*label, *cells]) + " |"


def head(*labels: str) -> list[str]:
    """The head of a Markdown table."""
    titles = [*labels, *(title for _, title, _ in FIGURES)]
    return ["| " + " | ".join(titles) + " |", "| " + " | ".join(["---"] * len(titles)) + " |"]


def judge_runs(
    data: Path, catalogue: Catalogue, recipe: Recipe, chosen: Collection[str]
) -> tuple[dict[str, list[str]], list[tuple[Case, FloatArray]]]:
    """Tables of the chosen models (all, where none is chosen) at 250 ms and at 1 s, and the gru's
    watts of each case for the pictures."""
    tables = {label: head("run", "model", "work from") for label in ("250ms", "1s")}
    drawn = []
    for gpu in GPUS.values():
        found = list(cases(data, catalogue, gpu))
        if not found:
            continue
        known = gather(gpu, catalogue, data)
        for case in found:
            run = _whole(case, data, catalogue)
            whole = simulated_work(run.series, run.edges_s, case.folder, catalogue)
            series = {
                "engine": case.run.series,
                "requests": _tail(whole, case.start, len(case.run.power_w)),
            }
            for name, make_model in models(case, known, catalogue, recipe).items():
                if chosen and name not in chosen:
                    continue
                generate = make_model()
                for origin, work in series.items():
                    watts = generate(work, SEEDS)
                    if name == "gru" and origin == "engine":
                        drawn.append((case, watts))
                    _tell(tables, case, name, origin, watts)
            if not chosen or "itself" in chosen:
                _tell(tables, case, "itself", "engine", itself(case.run, catalogue, SEEDS))
    return tables, drawn


def _tell(
    tables: dict[str, list[str]], case: Case, name: str, origin: str, watts: FloatArray
) -> None:
    for at, figures in judge(watts, case.run.power_w).items():
        label = (f"{case.run.name}, {case.how}", name, origin)
        tables[at].append(row_of(label, figures))
        print(at, tables[at][-1], flush=True)  # kept when cut short


def _whole(case: Case, data: Path, catalogue: Catalogue) -> MeasuredRun:
    """The run that a case's part is of."""
    if case.start == 0:
        return case.run
    runs = measured_runs(data, catalogue, case.run.series.config.gpu)
    return next(run for run in runs if run.name == case.run.name)


def _tail(series: LedgerSeries, start: int, count: int) -> LedgerSeries:
    columns = {name: values[start : start + count] for name, values in series.columns.items()}
    return LedgerSeries(series.config, series.step_s, columns)


def validate(data: Path, *options: str) -> dict[str, Any]:
    """What `dcsim power validate` tells of the published mixtures."""
    folder = data / "published" / "state_distributions"
    code = "from dcsim.cli import main; main()"
    command = [sys.executable, "-c", code, "power", "validate", str(folder), "--json", *options]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    return found


def mixtures(data: Path) -> list[str]:
    """The table of published mixtures."""
    told = {
        "own table": validate(data),
        "own table hidden": validate(data, "--left-out"),
        "ledger": validate(data, "--model", "ledger"),
    }
    rows = [
        "| configuration | " + " | ".join(f"{name}: mean, KS" for name in told) + " |",
        "| --- " * (len(told) + 1) + "|",
    ]
    for index, own in enumerate(told["own table"]["configurations"]):
        cells = []
        for found in told.values():
            row = found["configurations"][index]
            cells.append(
                f"{row['mean_bias_pct']:+.1f} %, {row['ks']:.3f}" if "ks" in row else row["skipped"]
            )
        rows.append("| " + " | ".join([own["configuration"], *cells]) + " |")
    medians = [
        f"{found['medians']['mean_error_pct']:.2f} %, {found['medians']['ks']:.3f}"
        for found in told.values()
    ]
    rows.append("| **median, absolute** | " + " | ".join(medians) + " |")
    return rows


def pictures(drawn: list[tuple[Case, FloatArray]]) -> None:
    """A picture for each case: watts over time, their distribution, their autocorrelation."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder = DOCS / "img"
    folder.mkdir(exist_ok=True)
    for case, watts in drawn:
        measured, one = case.run.power_w, watts[:, 0]
        time_s = 0.25 * np.arange(len(measured))
        figure, axes = pyplot.subplots(
            1, 3, figsize=(11, 2.8), width_ratios=(2.4, 1, 1), layout="constrained"
        )
        axes[0].plot(time_s, measured, color="black", lw=0.8, label="measured")
        axes[0].plot(time_s, one, color="tab:orange", lw=0.8, alpha=0.85, label="generated")
        axes[0].set(xlabel="s", ylabel="W", title=f"{case.run.name}: {case.how}", ylim=(0, None))
        axes[0].legend(loc="lower right", fontsize=8)
        share = (np.arange(len(measured)) + 1) / len(measured)
        axes[1].plot(np.sort(measured), share, color="black", lw=1)
        axes[1].plot(np.sort(one), share, color="tab:orange", lw=1)
        axes[1].set(xlabel="W", ylabel="share below", title="distribution")
        lag_s = 0.25 * np.arange(1, 51)
        axes[2].plot(lag_s, acf(measured), color="black", lw=1)
        axes[2].plot(lag_s, acf(one), color="tab:orange", lw=1)
        axes[2].set(
            xlabel="lag, s", title="autocorrelation", ylim=(min(0.0, acf(measured).min()), 1)
        )
        name = f"power-{case.run.name}{'-later' if case.start else ''}.png"
        figure.savefig(folder / name, dpi=70)
        pyplot.close(figure)


def put(page: str, mark: str, rows: list[str]) -> str:
    """The page with a table between its marks, `<!-- mark -->` and `<!-- end mark -->`."""
    before, _, after = _around(page, mark)
    return before + "\n" + "\n".join(rows) + "\n" + after


def with_new_rows(page: str, mark: str, rows: list[str]) -> list[str]:
    """The rows between the marks of a page, those with the labels of new rows replaced."""
    _, written, _ = _around(page, mark)
    new = {_label(row): row for row in rows}
    return [new.get(_label(row), row) for row in written.strip().splitlines()]


def _around(page: str, mark: str) -> tuple[str, str, str]:
    """A page up to the end of a mark, what stands between mark and end mark, and the rest."""
    begin, end = f"<!-- {mark} -->", f"<!-- end {mark} -->"
    before, rest = page.split(begin)
    between, after = rest.split(end)
    return before + begin, between, end + after


def _label(row: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row.split("|")[1:4])


def main() -> None:
    """Judge, draw, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=Recipe.updates)
    parser.add_argument("--no-pictures", action="store_true")
    parser.add_argument("--only", choices=("runs", "mixtures"), help="one of the two halves")
    parser.add_argument(
        "--models", type=lambda text: text.split(","), default=[], metavar="NAME,...",
        help="judge runs by these models only; the rows of others stay as they are",
    )  # fmt: skip
    options = parser.parse_args()
    data, catalogue = need_data(), load_catalogue()
    started = time.perf_counter()
    found: dict[str, list[str]] = {}
    page = PAGE.read_text(encoding="utf-8")
    if options.only != "mixtures":
        recipe = recipe_of(options.updates)
        tables, drawn = judge_runs(data, catalogue, recipe, options.models)
        found |= {f"runs at {at}": rows for at, rows in tables.items()}
        if options.models:
            found = {mark: with_new_rows(page, mark, rows) for mark, rows in found.items()}
        if not options.no_pictures:
            pictures(drawn)
    if options.only != "runs":
        found["mixtures"] = mixtures(data)
    for mark, rows in found.items():
        page = put(page, mark, rows)
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE} in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
