"""`dcsim power`: the packs that ship, and making and judging one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.power_judge import Folders, evaluate, header, line, read_runs, refuse, validate

if TYPE_CHECKING:
    from dcsim.power.pack import Pack

app = typer.Typer(no_args_is_help=True, add_completion=False)

PackName = Annotated[
    str, typer.Argument(metavar="PACK", help="A shipped pack's name, or the path of an .h5 file.")
]


@app.command("list")
def list_packs() -> None:
    """List the shipped packs and the configurations that each one knows."""
    from dcsim.power.pack import load, shipped

    for name, path in shipped().items():
        typer.echo(name)
        pack = load(path)
        for key, states in pack.configs.items():
            note = "" if key in pack.known else ", for every other configuration if asked for"
            typer.echo(f"  {key}: {len(states.mean_w)} states, {states.evidence}{note}")


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
        unit, how = ("W", ".0f") if key in found.known else ("of the linear model's W", ".2f")
        for name, values in (("states", states.mean_w), ("spread", states.std_w)):
            typer.echo(f"  {name}, {unit}: " + ", ".join(format(value, how) for value in values))
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
        refuse(f"--out: there is no folder {out.parent}")
    if out.suffix != ".h5":
        refuse(f"--out: {out} must end in .h5, or no scenario can name it")
    runs = read_runs(folders)

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
            refuse(str(error))
    save(pack, out)
    typer.echo(f"wrote {out}: {', '.join(pack.configs)}")
    width = max(len(one.run) for one in found)
    header(width)
    for one in found:
        line(one.run, width, "gru 250ms", one.figures["250ms"], one.how)
        line(one.run, width, "gru 1s", one.figures["1s"], one.how)


app.command("evaluate")(evaluate)
app.command("validate")(validate)


def _load(name: str) -> Pack:
    from dcsim.power.pack import PackError, find_pack

    try:
        return find_pack(name, [])
    except PackError as error:
        refuse(str(error))
