"""Options, models and tables that the commands of `dcsim power` share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcsim.cli.exits import refuse
from dcsim.registry import find, names
from dcsim.spec.nearest import suggestion

if TYPE_CHECKING:
    from dcsim.ledger import ReplicaConfig
    from dcsim.power.model import PowerModel

MODELS = ("gru", "ledger", "lut", "mean", "board-limit", "bigru")
"""Models that can be compared with measurements: those of scenarios, and the published
generator."""


def _known(name: str) -> str:
    """A model's name; an unknown one is refused."""
    known = [*MODELS, *(n for n in names("power_models") if n != "label")]
    if name not in known:
        refuse(f"--model: there is no '{name}' ({suggestion(name, known)})")
    return name


ModelOption = Annotated[
    str,
    typer.Option(
        help=f"Which power model: {', '.join(MODELS)}, or one of an installed package.",
        callback=_known,
    ),
]
PackOption = Annotated[
    str | None,
    typer.Option("--pack", metavar="PACK", help="For --model gru: a shipped pack or an .h5 file."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

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


def header(width: int) -> None:
    """Titles of the table of figures."""
    cells = "  ".join(f"{title:>11}" for title, _ in FIGURES.values())
    typer.echo(f"{'run':{width}}  {'model':15}  {cells}")


def line(run: str, width: int, model: str, figures: Mapping[str, float], note: str = "") -> None:
    """One row of the table of figures."""
    cells = "  ".join(f"{format(figures[name], how):>11}" for name, (_, how) in FIGURES.items())
    typer.echo(f"{run:{width}}  {model:15}  {cells}  {note}".rstrip())


def build_model(
    name: str, pack: str | None, extrapolate: bool, config: ReplicaConfig
) -> PowerModel:
    """The model of that name for replicas of a configuration. Raises ConfigurationError."""
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.power import build

    component = find("power_models", name)
    assert component is not None, "its name has been checked"
    options = {"pack": pack, "extrapolate": extrapolate} if name == "gru" else {}
    spec: Any = component.spec.model_validate({"model": name, **options})
    return build(spec, [config], load_catalogue())


def only_for_gru(model: str, options: str, given: bool) -> None:
    """Refuse options that only the GRU has."""
    if model != "gru" and given:
        refuse(f"{options} are for --model gru only")
