"""`dcsim power evaluate`: power models against measured runs."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcsim.cli.exits import refuse
from dcsim.cli.power_options import (
    Json,
    ModelOption,
    PackOption,
    build_model,
    header,
    line,
    only_for_gru,
)
from dcsim.errors import ConfigurationError, PlotError, RunFolderError
from dcsim.extras import optional
from dcsim.files import atomic_write

if TYPE_CHECKING:
    from dcsim.lab.learn.runs import MeasuredRun
    from dcsim.report.charts.compared import Compared


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
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.lab.learn.evaluate import generate_readings, judge
    from dcsim.lab.learn.simulated import simulated_work
    from dcsim.report.charts.compared import Compared

    only_for_gru(model, "--pack and --extrapolate", pack is not None or extrapolate)
    runs = _read_runs(folders)
    rows: list[dict[str, Any]] = []
    compared: list[Compared] = []
    problems = []
    for run, folder in zip(runs, folders, strict=True):
        try:
            # Without an engine's log the run's own work is simulated already.
            requests = origin == Origin.requests or run.simulated
            series = run.series
            if requests and not run.simulated:
                series = simulated_work(series, run.edges_s, folder, load_catalogue())
            if model == "bigru":
                generated = _bigru(run, runs).generate(series, seeds)
                evidence, name = "fitted", None
            else:
                power = build_model(model, pack, extrapolate, run.series.config)
                generated = generate_readings(power, series, seeds, run.trailing_s)
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
    _write(compared, series_out, picture)
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


def _write(runs: list[Compared], series_out: Path | None, picture: Path | None) -> None:
    """Write both series, and their picture, where a path is given."""
    from dcsim.report.charts.compared import draw_compared, series_rows

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


def _bigru(run: MeasuredRun, runs: list[MeasuredRun]) -> Any:
    """The published generator, trained on the other runs of the configuration."""
    optional("torch", "the bidirectional model")
    from dcsim.lab.learn.bigru import BiGru

    key = run.series.config.key
    others = [other for other in runs if other is not run and other.series.config.key == key]
    if not others:
        raise ValueError(
            f"bigru learns from the other runs named, and none of them is of {key}; name another"
        )
    return BiGru(others)


def _read_runs(folders: list[Path]) -> list[MeasuredRun]:
    """All runs; where any cannot be used, every problem is reported and nothing is done."""
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.lab.learn.runs import read_run

    runs, problems = [], []
    for folder in folders:
        try:
            runs.append(read_run(folder, load_catalogue()))
        except RunFolderError as error:
            problems.append(str(error))
    if problems:
        refuse(*problems)
    return runs
