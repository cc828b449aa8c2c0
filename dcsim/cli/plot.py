"""`dcsim plot`: a picture of a result, for papers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.exits import refuse
from dcsim.errors import PlotError, ResultsError, StudyPageError
from dcsim.extras import optional

KINDS = ("load", "duration", "heatmap", "states", "smoothing", "oneline")


def plot(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT.h5|STUDY_DIR",
            help="Results of a run, or the folder of a study: its main picture.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="FILE", help="Ends in .png, .svg or .pdf."),
    ],
    kind: Annotated[
        str | None, typer.Option(help=f"Of a run: one of {', '.join(KINDS)}; load if left out.")
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(help="One node (load, duration), or one level such as 'row' (heatmap)."),
    ] = None,
) -> None:
    """Draw a result with matplotlib, which comes with the extra `plots`."""
    optional("matplotlib", "dcsim plot")
    from dcsim.report.charts.study import plot_study
    from dcsim.report.plots import plot as draw
    from dcsim.results import Results

    if result.is_dir() and (kind or node):
        refuse("--kind and --node are for results of a run; a study has one picture")
    try:
        if result.is_dir():
            plot_study(result, out)
        else:
            with Results.open(result) as results:
                draw(results, kind or "load", out, node)
    except (PlotError, ResultsError, StudyPageError, OSError) as error:
        refuse(error)
    typer.echo(f"Picture: {out}")
