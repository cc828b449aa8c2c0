"""`dcsim export`: results for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.exits import FAILED, error_text, quantity, refuse
from dcsim.errors import ExportError, MissingExtraError, ResultsError


class ExportFormat(StrEnum):
    """What results can become."""

    parquet = "parquet"
    csv = "csv"
    pandapower = "pandapower"
    opendss_loadshape = "opendss-loadshape"


ENDINGS = {
    ExportFormat.parquet: "-parquet",
    ExportFormat.csv: "-csv",
    ExportFormat.pandapower: "-pandapower.json",
    ExportFormat.opendss_loadshape: "-opendss",
}
"""What is put behind the name of the results where no --out is given."""


def export(
    result: Annotated[
        Path, typer.Argument(metavar="RESULT.h5", help="Results file written by `dcsim run`.")
    ],
    to: Annotated[ExportFormat, typer.Option(help="Format to export.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Output folder (a file for pandapower); by default the current folder.",
        ),
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="Average all loads over this time, e.g. '1 min'.")
    ] = None,
    at: Annotated[
        str, typer.Option(help="pandapower: `peak` of the site, or a time such as '14 h'.")
    ] = "peak",
    level: Annotated[
        str | None, typer.Option(help="opendss-loadshape: kind of node, such as row.")
    ] = None,
    high_voltage: Annotated[
        str, typer.Option(help="pandapower: line voltage above transformers.")
    ] = "13.8 kV",
    low_voltage: Annotated[
        str, typer.Option(help="pandapower: voltage below transformers.")
    ] = "415 V",
    feeder_length: Annotated[str, typer.Option(help="pandapower: length of every cable.")] = "20 m",
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> None:
    """Write results as tables (Parquet, CSV), a pandapower net, or OpenDSS load shapes.

    A net comes with the loads of one instant, ready for a load flow, and with their time series.
    Exit status 2 for a file or an option that is wrong, 1 where writing failed.
    """
    from dcsim.results import Results

    place = out or Path(result.name.removesuffix(".h5") + ENDINGS[to])
    every_s = None if every is None else quantity("--every", every, "second", "1 min")
    try:
        with Results.open(result) as results:
            if to in (ExportFormat.parquet, ExportFormat.csv):
                from dcsim.results.export.tables import export_tables

                form = "parquet" if to == ExportFormat.parquet else "csv"
                made = export_tables(results, place, form, every_s, force)  # type: ignore[arg-type]
            elif to == ExportFormat.opendss_loadshape:
                from dcsim.results.export.loadshape import export_loadshapes

                made = export_loadshapes(results, place, level, every_s, force)
            else:
                from dcsim.results.export.network import Grid, export_network

                grid = Grid(
                    high_v=quantity("--high-voltage", high_voltage, "volt", "13.8 kV"),
                    low_v=quantity("--low-voltage", low_voltage, "volt", "415 V"),
                    feeder_m=quantity("--feeder-length", feeder_length, "meter", "20 m"),
                )
                at_s = None if at == "peak" else quantity("--at", at, "second", "14 h", zero=True)
                made = export_network(results, place, grid, at_s, every_s, force)
    except (
        ExportError, MissingExtraError, ResultsError, FileNotFoundError, PermissionError
    ) as error:  # fmt: skip
        refuse(error)
    except OSError as error:
        typer.echo(f"the export failed: {error_text(error)}", err=True)
        raise typer.Exit(FAILED) from None
    for path in made:
        typer.echo(f"wrote {path}")
