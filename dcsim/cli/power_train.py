"""`dcsim power train`: a pack from measured runs, made anew or refined."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.exits import refuse
from dcsim.cli.power_options import header, line
from dcsim.errors import PackError, RunFolderError
from dcsim.extras import optional

if TYPE_CHECKING:
    from dcsim.hardware.catalogue import Catalogue
    from dcsim.lab.learn.holdout import HoldoutResult
    from dcsim.lab.learn.runs import MeasuredRun
    from dcsim.lab.learn.train import Recipe
    from dcsim.power.pack import Pack


def train(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_FOLDER...",
            help="Folders with manifest.json, a power log, and an engine log or requests.csv.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="PACK.h5", help="Where to write the pack.")],
    from_pack: Annotated[
        str | None,
        typer.Option(metavar="PACK", help="Refine this pack: a shipped one, or an .h5 file."),
    ] = None,
    updates: Annotated[int, typer.Option(min=1, help="Training steps.")] = 1000,
    seed: Annotated[
        int, typer.Option(help="Training seed; the same seed and runs give the same pack.")
    ] = 1,
) -> None:
    """Train a pack on measured runs, and report figures for each run left out in turn.

    Logs may be as they came from nvidia-smi, DCGM and vLLM. Beside the pack goes a picture of the
    learning curves.
    """
    if not out.parent.is_dir():
        refuse(f"--out: there is no folder {out.parent}")
    if out.exists() and not out.is_file():
        refuse(f"--out: {out} is not a regular file and will not be overwritten")
    if out.suffix != ".h5":
        refuse(f"--out: {out} must end in .h5, or no scenario can name it")

    for library in ("torch", "sklearn", "matplotlib"):
        optional(library, "dcsim power train")
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.lab.learn.train import Recipe
    from dcsim.power.pack import find_pack, save

    try:
        start = None if from_pack is None else find_pack(from_pack, [])
    except PackError as error:
        refuse(f"--from-pack: {error}")
    catalogue = load_catalogue()
    runs = _usable(folders, catalogue)
    recipe = Recipe(updates=updates, seed=seed)
    pack, losses, results = _fit(out.stem, runs, catalogue, recipe, start)
    save(pack, out)
    typer.echo(f"wrote {out}: {', '.join(sorted({result.key for result in results}))}")
    _picture(out.with_suffix(".png"), losses, results)
    width = max(len(result.run) for result in results)
    header(width)
    for result in results:
        for step in ("250ms", "1s"):
            line(result.run, width, f"gru {step}", result.figures[step], result.split)


def _usable(folders: list[Path], catalogue: Catalogue) -> list[MeasuredRun]:
    """Cleaned runs, with what was decided about each on stderr; where any cannot support a fit,
    every problem is reported and nothing is done."""
    from dcsim.lab.learn.eligibility import coverage_gaps, missing_requirements
    from dcsim.lab.learn.runs import read_pieces

    runs: list[MeasuredRun] = []
    problems = []
    for folder in folders:
        try:
            pieces = read_pieces(folder, catalogue)
        except RunFolderError as error:
            problems.append(str(error))
            continue
        for run in pieces:
            problems += [f"{folder}: {text}" for text in missing_requirements(run, catalogue)]
        runs += pieces
        for text in pieces[0].remarks:
            typer.echo(f"{folder.name}: {text}", err=True)
        for run in pieces:
            for text in coverage_gaps(run):
                typer.echo(f"{run.name}: {text}", err=True)
    if problems:
        refuse(*problems)
    return runs


def _fit(
    name: str,
    runs: list[MeasuredRun],
    catalogue: Catalogue,
    recipe: Recipe,
    start: Pack | None,
) -> tuple[Pack, list[float], list[HoldoutResult]]:
    """The pack, its losses by update, and figures of each run held out."""
    from rich.console import Console
    from rich.progress import Progress

    from dcsim.lab.learn.holdout import leave_one_out, with_figures
    from dcsim.lab.learn.measured import measured_subjects
    from dcsim.lab.learn.refine import refine
    from dcsim.lab.learn.train import train as fit

    losses: list[float] = []
    results = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=recipe.updates)
        holdouts = bar.add_task("held-out figures", total=len(runs))

        def progress(update: int, loss: float) -> None:
            losses.append(loss)
            bar.update(task, completed=update, description=f"training, loss {loss:.3f}")

        try:
            if start is None:
                notes = "made by `dcsim power train` of " + ", ".join(run.name for run in runs)
                pack = fit(name, measured_subjects(runs), catalogue, recipe, progress, notes)
            else:
                pack = refine(start, name, runs, catalogue, recipe, progress)
            for result in leave_one_out(runs, catalogue, recipe, start):
                results.append(result)
                bar.advance(holdouts)
        except ValueError as error:
            refuse(str(error))
    return with_figures(pack, results), losses, results


def _picture(path: Path, losses: list[float], results: list[HoldoutResult]) -> None:
    from dcsim.lab.learn.curves import save_curves

    try:
        save_curves(path, losses, {result.run: result.losses for result in results})
    except ImportError:
        typer.echo(f"no {path.name}: matplotlib (the extra `plots`) draws it", err=True)
    else:
        typer.echo(f"wrote {path}: how the loss fell")
