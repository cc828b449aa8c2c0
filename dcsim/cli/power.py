"""`dcsim power`: the packs that ship, and making and judging one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from dcsim.power.learn.runs import MeasuredRun
    from dcsim.power.pack import Pack

WRONG_INPUT = 2

app = typer.Typer(no_args_is_help=True, add_completion=False)

Folders = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN_FOLDER...",
        help="Folders with manifest.json, power.csv and engine.csv of measured runs.",
    ),
]
PackName = Annotated[
    str, typer.Argument(metavar="PACK", help="A shipped pack's name, or the path of an .h5 file.")
]


@app.command("list")
def list_packs() -> None:
    """List the shipped packs and the configurations that each one knows."""
    from dcsim.power.pack import load, shipped

    for name, path in shipped().items():
        typer.echo(name)
        for key, states in load(path).configs.items():
            typer.echo(f"  {key}: {len(states.mean_w)} states, {states.evidence}")


@app.command("show")
def show(pack: PackName) -> None:
    """Print a pack's states, sources and fit figures."""
    found = _load(pack)
    typer.echo(
        f"{found.name}: GRU of {found.hidden} units, steps of {found.step_s * 1e3:g} ms, "
        f"{len(found.configs)} configurations"
    )
    if found.notes:
        typer.echo(found.notes)
    for key, states in found.configs.items():
        typer.echo(f"\n{key} ({states.evidence})\n  {states.source}")
        typer.echo("  states, W: " + ", ".join(f"{w:.0f}" for w in states.mean_w))
        typer.echo("  spread, W: " + ", ".join(f"{w:.0f}" for w in states.std_w))
        typer.echo(
            f"  lag-one correlation: of the state {states.state_correlation:.2f}, "
            f"within it {states.noise_correlation:.2f}"
        )
        for name, value in states.figures.items():
            typer.echo(f"  {name}: {value:g}")


@app.command("train")
def train(
    folders: Folders,
    out: Annotated[Path, typer.Option(metavar="PACK.h5", help="Where to write the pack.")],
    updates: Annotated[int, typer.Option(min=1, help="Training steps.")] = 1000,
    seed: Annotated[int, typer.Option(help="Same seed and runs, same pack.")] = 1,
) -> None:
    """Train a pack on measured runs, and report figures for each run left out in turn."""
    if not out.parent.is_dir():
        _refuse(f"--out: there is no folder {out.parent}")
    if out.suffix != ".h5":
        _refuse(f"--out: {out} must end in .h5, or no scenario can name it")
    runs = _read(folders)

    from rich.console import Console
    from rich.progress import Progress

    from dcsim.power.learn.holdout import held_out
    from dcsim.power.learn.measured import measured_subjects
    from dcsim.power.learn.train import Recipe
    from dcsim.power.learn.train import train as fit
    from dcsim.power.pack import save
    from dcsim.scenario.catalogue import load_catalogue

    catalogue = load_catalogue()
    recipe = Recipe(updates=updates, seed=seed)
    found = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=updates)
        judging = bar.add_task("held-out figures", total=len(runs))
        try:
            pack = fit(
                out.stem,
                measured_subjects(runs),
                catalogue,
                recipe,
                progress=lambda update, loss: bar.update(
                    task, completed=update, description=f"training, loss {loss:.3f}"
                ),
                notes="made by `dcsim power train` of " + ", ".join(run.name for run in runs),
            )
            for one in held_out(runs, catalogue, recipe):
                found.append(one)
                bar.advance(judging)
        except ValueError as error:
            _refuse(str(error))
    save(pack, out)
    typer.echo(f"wrote {out}: {', '.join(pack.configs)}")
    width = max(len(one.run) for one in found)
    _header(width)
    for one in found:
        _row(one.run, width, "gru", one.figures, one.how)


@app.command("evaluate")
def evaluate(pack: PackName, folders: Folders) -> None:
    """Compare a pack with measured runs, beside the linear ledger model."""
    _table(_load(pack), _read(folders))


def _table(pack: Pack, runs: list[MeasuredRun]) -> None:
    from dcsim.power.gru import GruPower
    from dcsim.power.learn.evaluate import evaluate as judge
    from dcsim.power.linear_ledger import LinearLedger
    from dcsim.scenario.catalogue import load_catalogue

    catalogue = load_catalogue()
    width = max(len(run.name) for run in runs)
    _header(width)
    for run in runs:
        key = run.series.config.key
        if key in pack.configs:
            _row(run.name, width, "gru", judge(GruPower(pack, catalogue), run, metered=False))
        else:
            typer.echo(f"{run.name:{width}}  gru     the pack has no {key}")
        _row(run.name, width, "ledger", judge(LinearLedger(catalogue), run, metered=True))


FIGURES = ("energy_error", "ks", "acf_r2", "acf_mae", "nrmse", "nrmse_1s", "p95_error", "p99_error")


def _header(width: int) -> None:
    typer.echo(f"{'run':{width}}  model   " + "  ".join(f"{name:>12}" for name in FIGURES))


def _row(run: str, width: int, model: str, figures: dict[str, float], note: str = "") -> None:
    cells = "  ".join(f"{figures[name]:12.3f}" for name in FIGURES)
    typer.echo(f"{run:{width}}  {model:6}  {cells}  {note}".rstrip())


def _load(name: str) -> Pack:
    from dcsim.power.pack import PackError, find_pack

    try:
        return find_pack(name, [])
    except PackError as error:
        _refuse(str(error))


def _read(folders: list[Path]) -> list[MeasuredRun]:
    """All runs; where any cannot be used, every problem is told and nothing is done."""
    from dcsim.power.learn.runs import RunError, read_run
    from dcsim.scenario.catalogue import load_catalogue

    runs, problems = [], []
    for folder in folders:
        try:
            runs.append(read_run(folder, load_catalogue()))
        except RunError as error:
            problems.append(str(error))
    if problems:
        _refuse(*problems)
    return runs


def _refuse(*problems: str) -> NoReturn:
    for problem in problems:
        typer.echo(problem, err=True)
    raise typer.Exit(WRONG_INPUT)
