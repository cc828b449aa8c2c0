"""`dcsim power evaluate` and `validate`: power models against measured runs and mixtures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcsim.cli.exits import refuse
from dcsim.errors import CatalogueError, ConfigurationError, PlotError, RunFolderError
from dcsim.extras import optional
from dcsim.files import atomic_write
from dcsim.registry import find, names
from dcsim.spec.nearest import suggestion

if TYPE_CHECKING:
    from dcsim.lab.learn.runs import LedgerSeries, MeasuredRun
    from dcsim.ledger import ReplicaConfig
    from dcsim.power.model import PowerModel
    from dcsim.report.compared import Compared


JUDGED = ("gru", "ledger", "lut", "mean", "board-limit", "bigru")
"""Models that can be judged: those of scenarios, and the published generator."""


def _judged(name: str) -> str:
    """A model's name; one that is not there is refused."""
    known = [*JUDGED, *(n for n in names("power_models") if n != "label")]
    if name not in known:
        refuse(f"--model: there is no '{name}' ({suggestion(name, known)})")
    return name


ModelOption = Annotated[
    str,
    typer.Option(
        help=f"Which power model: {', '.join(JUDGED)}, or one of an installed package.",
        callback=_judged,
    ),
]


class Origin(StrEnum):
    """Where the work comes from."""

    engine = "engine"
    requests = "requests"


Folders = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN_FOLDER...",
        help="Folders with manifest.json, power.csv and engine.csv of measured runs.",
    ),
]
PackOption = Annotated[
    str | None,
    typer.Option("--pack", metavar="PACK", help="For --model gru: a shipped pack or an .h5 file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Extrapolate = Annotated[
    bool,
    typer.Option("--extrapolate", help="Let the gru extrapolate to configurations its pack lacks."),
]

SeriesOption = Annotated[
    Path | None,
    typer.Option("--series", metavar="FILE.csv", help="Write measured and simulated watts."),
]
PictureOption = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", metavar="FILE.png", help="Plot measured and simulated power together."
    ),
]

FIGURES = {
    "measured_mean_w": ("measured W", ".1f"),
    "simulated_mean_w": ("simulated W", ".1f"),
    "energy_bias_pct": ("energy %", "+.2f"),
    "p95_error_pct": ("p95 %", ".2f"),
    "p99_error_pct": ("p99 %", ".2f"),
    "ks": ("KS", ".3f"),
    "acf_r2": ("ACF R2", ".3f"),
    "acf_mae": ("ACF MAE", ".3f"),
    "nrmse": ("NRMSE", ".3f"),
    "nrmse_mean": ("NRMSE mean", ".3f"),
}
"""Columns of the table: the key in JSON, the title, how it is written."""
LEGEND = (
    "energy %: simulated over measured energy, less 1; above 0 the simulation draws more.",
    "p95 %, p99 %: error of those percentiles of the watts, without a sign.",
    "KS: largest distance of the two distributions of watts, 0 (the same) to 1.",
    "ACF R2, ACF MAE: how near the autocorrelations at lags 1 to 50 are; 1 and 0 are best.",
    "NRMSE: root mean square error step by step over the measured range; 'mean': of the mean over "
    "the seeds.",
)


def evaluate(
    folders: Folders,
    model: ModelOption = "gru",
    origin: Annotated[
        Origin,
        typer.Option(
            "--from", help="Work as the engine logged it, or as the simulator makes it of requests."
        ),
    ] = Origin.engine,
    pack: PackOption = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of seeds; figures are medians over them.")
    ] = 5,
    extrapolate: Extrapolate = False,
    series_out: SeriesOption = None,
    picture: PictureOption = None,
    as_json: Json = False,
) -> None:
    """Compare generated with measured power, run by run, at 250 ms and at 1 s."""
    from dcsim.lab.learn.evaluate import judge, shown_by
    from dcsim.report.compared import Compared

    if model != "gru" and (pack is not None or extrapolate):
        refuse("--pack and --extrapolate are for --model gru only")
    runs = read_runs(folders)
    rows: list[dict[str, Any]] = []
    compared: list[Compared] = []
    problems = []
    for run, folder in zip(runs, folders, strict=True):
        try:
            # Without an engine's log the run's own work is simulated already.
            requests = origin == Origin.requests or run.simulated
            series = run.series
            if requests and not run.simulated:
                series = simulated(run, folder)
            if model == "bigru":
                generated = _bigru(run, runs).generate(series, seeds)
                evidence, name = "fitted", None
            else:
                power = _model(model, pack, extrapolate, run.series.config)
                generated = shown_by(power, series, seeds, run.trailing_s)
                evidence, name = power.provenance(run.series.config).evidence, power.pack
        except RunFolderError as error:  # names the folder itself
            problems.append(str(error))
            continue
        except (ConfigurationError, ValueError) as error:
            problems.append(f"{folder}: {error}")
            continue
        figures = judge(generated, run.power_w)
        compared.append(Compared(run.name, run.edges_s, run.power_w, generated))
        rows.append(
            {
                "run": run.name,
                "configuration": run.series.config.key,
                "model": str(model),
                "from": str(Origin.requests if requests else Origin.engine),
                "pack": name,
                "evidence": evidence,
                "seeds": seeds,
                "remarks": list(run.remarks),
                **figures["250ms"],
                "at": figures,
            }
        )
    if problems:
        refuse(*problems)
    keep(compared, series_out, picture)
    if as_json:
        typer.echo(json.dumps(rows, indent=1, allow_nan=True).replace("NaN", "null"))
        return
    for row in rows:
        for text in row["remarks"]:
            typer.echo(f"{row['run']}: {text}", err=True)
    width = max(len(run.name) for run in runs)
    header(width)
    for row in rows:
        for label, at in row["at"].items():
            line(row["run"], width, f"{model} {label}", at)
    for text in LEGEND:
        typer.echo(text)
    for path in (series_out, picture):
        if path is not None:
            typer.echo(f"wrote {path}")


def keep(runs: list[Compared], series_out: Path | None, picture: Path | None) -> None:
    """Write both series, and their picture, where they are asked for."""
    from dcsim.report.compared import draw_compared, series_rows

    try:
        if picture is not None:
            optional("matplotlib", "a picture")
            draw_compared(runs, picture)
        if series_out is not None:
            atomic_write(series_out, "\n".join(series_rows(runs)) + "\n")
    except PlotError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: cannot be written: {error.strerror}")


UNLIKE = 0.25
"""Of the engine's prompt tokens, by which those of the requests may differ: the client's warm-up is
in one only, and so are prompts at the edges of a short run."""


def simulated(run: MeasuredRun, folder: Path) -> LedgerSeries:
    """The run's requests through our serving room, on the steps of the run.

    The client sent its first request once before, as a warm-up that only the engine logged; it is
    put back where the log shows it. Raises RunFolderError.
    """
    import numpy as np

    from dcsim.lab.bench import simulate
    from dcsim.lab.learn.logs import engine_settings, read_requests
    from dcsim.lab.learn.runs import play

    requests = read_requests(folder)
    counted = float(run.series.columns["prefill_tokens"].sum())
    told = sum(one[1] for one in requests if run.edges_s[0] <= one[0] < run.edges_s[-1])
    if abs(told - counted) > UNLIKE * counted:
        raise RunFolderError(
            f"{folder}: the requests sent during the run have {told:,} prompt tokens, the engine "
            f"counted {counted:,.0f}: other requests, or a clock or zone apart from the engine's"
        )
    working = np.flatnonzero(run.series.columns["running"] > 0)
    if len(working) and run.edges_s[working[0]] < requests[0][0] - 1.0:
        requests.insert(0, (float(run.edges_s[working[0]]), *requests[0][1:]))
    return play(simulate, run.series.config, run.edges_s, requests, engine_settings(folder))


def _bigru(run: MeasuredRun, runs: list[MeasuredRun]) -> Any:
    optional("torch", "the bidirectional model")
    from dcsim.lab.learn.bigru import BiGru

    key = run.series.config.key
    others = [one for one in runs if one is not run and one.series.config.key == key]
    if not others:
        raise ValueError(
            f"bigru learns from the other runs named, and none of them is of {key}; name another"
        )
    return BiGru(others)


def _model(name: str, pack: str | None, extrapolate: bool, config: ReplicaConfig) -> PowerModel:
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.power import build

    component = find("power_models", name)
    assert component is not None, "its name has been checked"
    options = {"pack": pack, "extrapolate": extrapolate} if name == "gru" else {}
    spec: Any = component.spec.model_validate({"model": name, **options})
    return build(spec, [config], load_catalogue())


def validate(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of state-distribution files (.json).")
    ],
    model: ModelOption = "gru",
    pack: PackOption = None,
    left_out: Annotated[
        bool,
        typer.Option("--left-out", help="Hold out the configuration's own table from the gru."),
    ] = False,
    repeats: Annotated[int, typer.Option(min=1, help="Simulated runs at each rate.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the simulated campaign.")] = 1001,
    as_json: Json = False,
) -> None:
    """Simulate the six-rate ShareGPT campaign of each file, and compare the pooled watts.

    Nothing is fitted in the run: arrivals and lengths are drawn, batches simulated, power drawn.
    """
    import numpy as np

    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.lab.bench import campaign
    from dcsim.lab.learn.evaluate import shown_by
    from dcsim.lab.learn.states import (
        distance,
        published_key,
        read_published,
        split_key,
    )

    if model == "bigru":
        refuse("bigru needs the whole of a measured run; validate simulates")
    if model != "gru" and (pack is not None or left_out):
        refuse("--pack and --left-out are for --model gru only")
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not files:
        refuse(f"{folder}: no folder with .json files of state distributions")
    catalogue = load_catalogue()
    rows: list[dict[str, Any]] = []
    for file in files:
        row: dict[str, Any] = {"file": file.name}
        rows.append(row)
        try:
            mixture, _ = read_published(file)
            key = published_key(file.stem)
            row["configuration"] = key
            config = catalogue.replica_config(*split_key(key))
            power = _hidden(pack, config) if left_out else _model(model, pack, False, config)
            work = campaign(config, catalogue, seed, repeats)
            watts = np.concatenate([shown_by(power, series, 1)[:, 0] for series in work])
        except (CatalogueError, ConfigurationError, ValueError) as error:
            row["skipped"] = str(error)
            continue
        bias = float(watts.mean() / mixture.mean()) - 1.0
        row |= {
            "model": str(model),
            "pack": power.pack,
            "evidence": power.provenance(config).evidence,
            "measured_mean_w": mixture.mean(),
            "mean_w": float(watts.mean()),
            "mean_error_pct": 100.0 * abs(bias),
            "mean_bias_pct": 100.0 * bias,
            "ks": distance(watts, mixture),
        }
    judged = [row for row in rows if "ks" in row]
    if not judged:
        refuse(*(f"{folder / row['file']}: {row['skipped']}" for row in rows))
    medians = {
        name: float(np.median([row[name] for row in judged])) for name in ("mean_error_pct", "ks")
    }
    if as_json:
        document = {"medians": medians, "judged": len(judged), "configurations": rows}
        typer.echo(json.dumps(document, indent=1))
        return
    typer.echo(f"{'configuration':46}  mean, W  measured    bias     KS  evidence")
    for row in rows:
        if "skipped" in row:
            typer.echo(f"{row.get('configuration', row['file']):46}  skipped: {row['skipped']}")
        else:
            typer.echo(
                f"{row['configuration']:46}  {row['mean_w']:7.1f}  {row['measured_mean_w']:8.1f}  "
                f"{row['mean_bias_pct']:+5.1f} %  {row['ks']:.3f}  {row['evidence']}"
            )
    typer.echo(
        f"medians of {len(judged)}: mean error {medians['mean_error_pct']:.2f} %, "
        f"KS {medians['ks']:.3f}"
    )


def _hidden(pack: str | None, config: ReplicaConfig) -> PowerModel:
    """The GRU without the configuration's own table: what it says of one that it never saw."""
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.power.gru import GruPower
    from dcsim.power.pack import find_pack

    found = find_pack(pack, [config]).without(config.key)
    return GruPower(found, load_catalogue(), extrapolate=True)


def header(width: int) -> None:
    """Titles of the table of figures."""
    cells = "  ".join(f"{title:>11}" for title, _ in FIGURES.values())
    typer.echo(f"{'run':{width}}  {'model':15}  {cells}")


def line(run: str, width: int, model: str, figures: Mapping[str, float], note: str = "") -> None:
    """One row of the table of figures."""
    cells = "  ".join(f"{format(figures[name], how):>11}" for name, (_, how) in FIGURES.items())
    typer.echo(f"{run:{width}}  {model:15}  {cells}  {note}".rstrip())


def read_runs(folders: list[Path]) -> list[MeasuredRun]:
    """All runs; where any cannot be used, every problem is told and nothing is done."""
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.lab.bench import simulate
    from dcsim.lab.learn.runs import read_run

    runs, problems = [], []
    for folder in folders:
        try:
            runs.append(read_run(folder, load_catalogue(), simulate))
        except RunFolderError as error:
            problems.append(str(error))
    if problems:
        refuse(*problems)
    return runs
