"""`dcsim schema`: the JSON Schema of scenario files, and of what a run prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dcsim.cli.exits import refuse
from dcsim.files import atomic_write


def schema(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.json",
            help="Write the schema to this file instead of the screen.",
        ),
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="The schema of what `dcsim run --json` prints.")
    ] = False,
    study: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The schema of the inputs of a study's answer."),
    ] = None,
) -> None:
    """Print the JSON Schema of scenario files, for editors; with --summary that of a run's figures,
    with --study that of a study's inputs.

    With the first line `# yaml-language-server: $schema=FILE.json` in a scenario file, editors
    that know the YAML language server complete keys and show what they mean.
    """
    from dcsim.results.schema import summary_schema_text
    from dcsim.scenario.json_schema import schema_text

    if study is not None:
        text = _inputs_schema(study)
    else:
        text = summary_schema_text() if summary else schema_text()
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        atomic_write(out, text)
    except OSError as error:
        refuse(f"--out: {out} cannot be written: {error.strerror}")
    typer.echo(f"wrote {out}")


def _inputs_schema(name: str) -> str:
    import dcsim.studies  # registers them
    from dcsim import registry
    from dcsim.spec.nearest import suggestion

    component = registry.find("studies", name)
    if component is None:
        refuse(f"--study: there is no '{name}' ({suggestion(name, registry.names('studies'))})")
    assert issubclass(component.spec, dcsim.studies.Study)
    return json.dumps(component.spec.inputs_schema(), indent=2) + "\n"
