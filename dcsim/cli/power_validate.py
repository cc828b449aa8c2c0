"""`dcsim power validate`: power models against published mixtures of power states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcsim.cli.exits import refuse
from dcsim.cli.power_options import Json, ModelOption, PackOption, build_model, only_for_gru
from dcsim.errors import CatalogueError, ConfigurationError

if TYPE_CHECKING:
    from dcsim.ledger import ReplicaConfig
    from dcsim.power.model import PowerModel


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
    from dcsim.lab.learn.published import fit_to_campaign, published_key, read_published
    from dcsim.ledger import split_key

    if model == "bigru":
        refuse("bigru needs the whole of a measured run; validate simulates")
    only_for_gru(model, "--pack and --left-out", pack is not None or left_out)
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
            row["configuration"] = key = published_key(file.stem)
            config = catalogue.replica_config(*split_key(key))
            power = _held_out(pack, config) if left_out else build_model(model, pack, False, config)
            fit = fit_to_campaign(power, config, mixture, catalogue, seed, repeats)
        except (CatalogueError, ConfigurationError, ValueError) as error:
            row["skipped"] = str(error)
            continue
        row |= {
            "model": str(model),
            "pack": power.pack,
            "evidence": power.provenance(config).evidence,
            "measured_mean_w": fit.measured_mean_w,
            "mean_w": fit.mean_w,
            "mean_error_pct": abs(fit.mean_bias_pct),
            "mean_bias_pct": fit.mean_bias_pct,
            "ks": fit.ks,
        }
    compared = [row for row in rows if "ks" in row]
    if not compared:
        refuse(*(f"{folder / row['file']}: {row['skipped']}" for row in rows))
    medians = {
        name: float(np.median([row[name] for row in compared])) for name in ("mean_error_pct", "ks")
    }
    if as_json:
        document = {"medians": medians, "judged": len(compared), "configurations": rows}
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
        f"medians of {len(compared)}: mean error {medians['mean_error_pct']:.2f} %, "
        f"KS {medians['ks']:.3f}"
    )


def _held_out(pack: str | None, config: ReplicaConfig) -> PowerModel:
    """The GRU without the configuration's own table: what it says of one that it never saw."""
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.power.gru import GruPower
    from dcsim.power.pack import find_pack

    rest = find_pack(pack, [config]).without(config.key)
    return GruPower(rest, load_catalogue(), extrapolate=True)
