"""`dcsim catalogue`: what a scenario may name, with the figures that matter."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcsim.cli.exits import console, refuse
from dcsim.errors import ScenarioError

if TYPE_CHECKING:
    from dcsim.hardware.catalogue import Catalogue
    from dcsim.hardware.curves import Curve, LossCurve
    from dcsim.hardware.gpus import Gpu
    from dcsim.hardware.models import ServedModel
    from dcsim.hardware.servers import ServerType

app = typer.Typer(no_args_is_help=True, add_completion=False)


class CatalogueTable(StrEnum):
    """Tables of the catalogue."""

    gpus = "gpus"
    models = "models"
    servers = "servers"
    curves = "curves"
    losses = "losses"


@app.callback()
def _catalogue() -> None:
    """GPUs, served models, servers, time-current curves and loss curves by name."""


@app.command("list")
def list_names(
    kind: Annotated[
        CatalogueTable | None,
        typer.Argument(help="Table to show; by default the names in all tables."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List names that a scenario may use, with their key figures.

    Those of a folder that DCSIM_CATALOGUE names are among them.
    """
    from dcsim.hardware.catalogue import load_catalogue

    try:
        catalogue = load_catalogue()
    except ScenarioError as error:
        refuse(*error.problems)
    rows = {name: _rows(name, catalogue) for name in (CatalogueTable if kind is None else (kind,))}
    if as_json:
        typer.echo(json.dumps({str(name): entries for name, entries in rows.items()}, indent=2))
        return
    for name, entries in rows.items():
        if kind is None:
            typer.echo(f"{name}: {', '.join(row['name'] for row in entries)}")
        else:
            _table(entries)
    if kind is None:
        typer.echo("`dcsim catalogue list servers` (or another of these) tells their figures.")


def _rows(kind: CatalogueTable, catalogue: Catalogue) -> list[dict[str, Any]]:
    """A table's entries: name, key figures, and what each is."""
    return [
        {"name": entry.name, **FIGURES[kind](entry, catalogue), "what": entry.title}
        for entry in getattr(catalogue, kind).values()
    ]


def _gpu(gpu: Gpu, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "board_limit_w": gpu.nameplate_w,
        "idle_w": gpu.ledger_power.idle_w,
        "bf16_tflops": gpu.peak_flops / 1e12,
        "memory_gb": gpu.hbm_bytes / 1e9,
        "bandwidth_gb_per_s": gpu.hbm_bandwidth_bytes_s / 1e9,
    }


def _model(model: ServedModel, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "weights_gb": model.weight_bytes / 1e9,
        "active_params_b": (model.active_params + model.head_params) / 1e9,
        "experts": model.n_experts if model.n_experts > 1 else None,
        "kv_kb_per_token": model.kv_bytes_per_token / 1e3,
    }


def _server(server: ServerType, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "gpus": f"{server.gpu_count} x {server.gpu}",
        "nameplate_w": server.nameplate_w,
        "board_limits_w": server.gpu_count * catalogue.gpus[server.gpu].nameplate_w,
        "rest_w": server.non_gpu_w,
        "rest_evidence": "fitted" if server.chassis == "fitted" else server.non_gpu_evidence,
    }


def _curve(curve: Curve, catalogue: Catalogue) -> dict[str, Any]:
    return {
        "no_trip_below": curve.points[0][0],
        "latest_trip_s": {f"{multiple:g}": seconds for multiple, seconds in curve.points},
        "both_edges": curve.earliest is not None,
    }


def _loss(curve: LossCurve, catalogue: Catalogue) -> dict[str, Any]:
    return {"efficiency": {f"{share:g}": efficiency for share, efficiency in curve.points}}


FIGURES: Mapping[str, Callable[[Any, Catalogue], dict[str, Any]]] = {
    CatalogueTable.gpus: _gpu,
    CatalogueTable.models: _model,
    CatalogueTable.servers: _server,
    CatalogueTable.curves: _curve,
    CatalogueTable.losses: _loss,
}
HEADS = {
    "board_limit_w": "board limit",
    "board_limits_w": "GPUs at their limits",
    "idle_w": "idle",
    "bf16_tflops": "bf16, TFLOP/s",
    "memory_gb": "memory, GB",
    "bandwidth_gb_per_s": "GB/s",
    "weights_gb": "weights, GB",
    "active_params_b": "params a token, 1e9",
    "kv_kb_per_token": "KV a token, kB",
    "nameplate_w": "nameplate",
    "rest_w": "all else",
    "rest_evidence": "of which",
    "no_trip_below": "holds up to",
    "latest_trip_s": "latest trip, s at times the rating",
    "both_edges": "earliest too",
    "efficiency": "efficiency at shares of the rating",
}


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in rows[0]:
        number = isinstance(rows[0][column], int | float) and not isinstance(rows[0][column], bool)
        fixed = column == "name" or number
        table.add_column(
            HEADS.get(column, column), justify="right" if number else "left", no_wrap=fixed
        )
    for row in rows:
        table.add_row(*(_cell(column, value) for column, value in row.items()))
    console(200).print(table)


def _cell(column: str, value: Any) -> str:
    from dcsim.spec.units import WATT

    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{part:g} at {key}" for key, part in value.items())
    if column.endswith("_w"):
        return WATT.format(round(value, 1))
    if isinstance(value, float):
        return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
    return str(value)
