"""`dcsim report`: a results file, or a study's folder, as one self-contained page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.exits import refuse
from dcsim.errors import ResultsError, StudyPageError
from dcsim.files import atomic_write


def report(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT.h5|STUDY_DIR", help="Results of a run, or the folder of a study."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE.html", help="Output file; by default next to the results."
        ),
    ] = None,
) -> None:
    """Write one HTML page that shows all of it, works offline and fetches nothing."""
    from dcsim.report.page import run_page, study_page
    from dcsim.results import Results

    study = result.is_dir()
    target = out or (result / "report.html" if study else result.with_suffix(".html"))
    try:
        if study:
            text = study_page(result)
        else:
            with Results.open(result) as results:
                text = run_page(results)
        atomic_write(target, text)
    except (ResultsError, StudyPageError, OSError) as error:
        refuse(error)
    typer.echo(f"Report: {target} ({target.stat().st_size / 1e6:.1f} MB)")
