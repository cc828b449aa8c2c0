"""`dcsim power`: the packs that ship, and making and judging one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.exits import refuse
from dcsim.cli.power_evaluate import evaluate
from dcsim.cli.power_train import train
from dcsim.cli.power_validate import validate
from dcsim.errors import PackError

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
    loaded = _load(pack)
    typer.echo(
        f"{loaded.name}: GRU of {loaded.hidden} units, steps of {loaded.step_s * 1e3:g} ms, "
        f"{len(loaded.configs)} configurations"
    )
    if loaded.notes:
        typer.echo(loaded.notes)
    for key, states in loaded.configs.items():
        typer.echo(f"\n{key} ({states.evidence})\n  {states.source}")
        unit, how = ("W", ".0f") if key in loaded.known else ("of the linear model's W", ".2f")
        for name, values in (("states", states.mean_w), ("spread", states.std_w)):
            typer.echo(f"  {name}, {unit}: " + ", ".join(format(value, how) for value in values))
        typer.echo(
            f"  lag-one correlation: of the state {states.state_correlation:.2f}, "
            f"within it {states.noise_correlation:.2f}; "
            f"{100 * states.slow_share:.0f} % of both drifts, "
            f"by {states.slow_correlation:.2f}"
        )
        for name, value in states.figures.items():
            typer.echo(f"  {name}: {value:g}")


app.command("train")(train)
app.command("evaluate")(evaluate)
app.command("validate")(validate)


def _load(name: str) -> Pack:
    from dcsim.power.pack import find_pack

    try:
        return find_pack(name, [])
    except PackError as error:
        refuse(str(error))
