"""`dcsim new`: a first scenario, after a few questions or from flags."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.exits import refuse
from dcsim.errors import ScenarioError
from dcsim.files import atomic_write

if TYPE_CHECKING:
    from dcsim.hardware.catalogue import Catalogue
    from dcsim.scenario.draft import DraftAnswers
    from dcsim.scenario.models import Scenario

HALF = "half of what they can serve"
"""The rate of requests where none is given."""
FLAGS = {
    "name": "name",
    "duration": "duration",
    "workload.0.arrivals.rate": "rate",
    "workload.0.model": "model",
    "workload.0.tokens": "tokens",
    "servers.0.tensor_parallel": "tensor-parallel",
    "servers.0.engine.max_model_len": "tensor-parallel",
    "facility.1.rating": "row-limit",
    "facility.1.breaker": "breaker",
    "facility.2.count": "racks",
    "facility.3.count": "servers-per-rack",
}
"""Keys of a draft and the option that each came by."""


def new(  # noqa: PLR0913 - an option each
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="File to write; by default the scenario is printed."),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(help="GPU of the servers, e.g. a100, h100, h200, b200.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A served model of the catalogue.")] = None,
    tensor_parallel: Annotated[int | None, typer.Option(min=1, help="GPUs per replica.")] = None,
    racks: Annotated[int | None, typer.Option(min=1, help="Racks in the row.")] = None,
    servers_per_rack: Annotated[int | None, typer.Option(min=1, help="Servers per rack.")] = None,
    row_limit: Annotated[
        str | None, typer.Option(help="Rating of the row, e.g. '600 kW'; 'none' if unknown.")
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(help="Rate of all requests, e.g. '4 req/s'; by default half of the capacity."),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="azure-2023-conv, azure-2023-code, sharegpt or 1000:250.")
    ] = None,
    duration: Annotated[str | None, typer.Option(help="Simulated time, such as '1 h'.")] = None,
    breaker: Annotated[
        str | None, typer.Option(help="Time-current curve of the row's breaker, or 'none'.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the scenario, used for its results.")
    ] = None,
    example: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="EXAMPLE",
            help="Copy a scenario that comes with dcsim, such as quickstart.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Use defaults instead of asking.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it exists.")] = False,
) -> None:
    """Write a commented scenario: it validates and runs as it is, and is yours to edit.

    On a terminal it asks for what no flag says; with --yes, or in a pipe, it takes defaults.
    """
    from dcsim.hardware.catalogue import load_catalogue
    from dcsim.scenario.draft import DraftAnswers, DraftError

    if file is not None and file.exists() and not force:
        refuse(f"{file} is there already; --force replaces it")
    given: dict[str, object] = {
        "gpu": gpu, "model": model, "tensor_parallel": tensor_parallel, "racks": racks,
        "servers_per_rack": servers_per_rack, "row_limit": row_limit, "rate": rate,
        "tokens": tokens, "duration": duration, "breaker": breaker,
        "name": name or (file.stem if file is not None and _is_name(file.stem) else None),
    }  # fmt: skip
    stated = {key: value for key, value in given.items() if value is not None}
    if example is not None:
        if set(stated) - {"name"} or name is not None:
            refuse("--from copies a scenario as it is: change the copy, not by other options")
        _write(_example(example), file)
        return
    answers = replace(DraftAnswers(rate=HALF), **stated)  # type: ignore[arg-type]
    catalogue = load_catalogue()
    try:
        if not yes and sys.stdin.isatty() and sys.stderr.isatty():
            answers = _prompted(answers, given, catalogue)
        text = _right(answers, catalogue)
    except DraftError as error:
        refuse(str(error))
    _write(text, file)


def _example(name: str) -> str:
    """The text of a scenario that comes with dcsim."""
    from dcsim.scenario.examples import examples
    from dcsim.spec.nearest import suggestion

    known = examples()
    if name not in known:
        refuse(f"--from: no scenario '{name}' comes with dcsim ({suggestion(name, known)})")
    return known[name].read_text(encoding="utf-8")


def _write(text: str, file: Path | None) -> None:
    """To the file, or to the screen where there is none."""
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        atomic_write(file, text)
    except OSError as error:
        refuse(f"{file} cannot be written: {error.strerror}")
    typer.echo(f"wrote {file}")
    typer.echo(f"next: dcsim validate {file}, then dcsim run {file}")


def _prompted(
    answers: DraftAnswers, given: Mapping[str, object], catalogue: Catalogue
) -> DraftAnswers:
    """The answers after asking for those that no flag stated."""
    from dcsim.scenario.draft import TOKEN_FITS

    gpus = ", ".join(server.gpu.split("-")[0] for server in catalogue.servers.values())
    questions: list[tuple[str, str, type]] = [
        ("gpu", f"Which GPU? ({gpus})", str),
        (
            "model",
            "Which model do they serve? (`dcsim catalogue list models` has their sizes)",
            str,
        ),
        ("racks", "How many racks in the row?", int),
        ("servers_per_rack", "Servers in a rack?", int),
        ("row_limit", "How much may the row draw continuously? ('none' if unknown)", str),
        ("rate", "How many requests a second in all?", str),
        ("tokens", f"How long are they? ({', '.join(TOKEN_FITS)}, or such as 1000:250)", str),
        ("duration", "How long shall it play?", str),
    ]
    for key, question, kind in questions:
        if given[key] is None:
            default = getattr(answers, key)
            if key == "rate":
                default = HALF
            while True:
                answer = typer.prompt(question, default, type=kind, err=True)
                refusal = _wrong(key, answer, replace(answers, **{key: answer}), catalogue)
                if refusal is None:
                    break
                typer.echo(f"  {refusal}", err=True)
            answers = replace(answers, **{key: answer})
    return answers


def _wrong(key: str, answer: object, answers: DraftAnswers, catalogue: Catalogue) -> str | None:
    """What is wrong with an answer, alone and beside those before it; None where nothing is."""
    from dcsim.scenario.draft import DraftError, draft, model_for, server_for, sizes_for
    from dcsim.scenario.load import loads

    try:
        server = server_for(answers.gpu, catalogue)
        if key == "gpu":
            return None
        sizes = sizes_for(model_for(answers.model, catalogue), server, catalogue)
        limit = None if (answers.row_limit or "").lower() == "none" else answers.row_limit
        rate = "1 req/s" if answers.rate == HALF else answers.rate
        tried = replace(
            answers, row_limit=limit, rate=rate, tensor_parallel=sizes[0], power_model="ledger"
        )
        loads(draft(tried, catalogue), name="draft")
    except DraftError as error:
        return str(error).partition(": ")[2]
    except ScenarioError as error:
        for problem in error.problems:
            if _flag(problem.path) == key.replace("_", "-"):
                return problem.message + (f" ({problem.hint})" if problem.hint else "")
    return None


def _right(answers: DraftAnswers, catalogue: Catalogue) -> str:
    """The draft's text, with a power model that knows its servers; problems end the process."""
    from dcsim.loading.rooms import check_power
    from dcsim.plant import Plant
    from dcsim.scenario.draft import draft, model_for, server_for, sizes_for
    from dcsim.scenario.load import loads

    if (answers.row_limit or "").lower() == "none":
        answers = replace(answers, row_limit=None)
    if (answers.breaker or "").lower() == "none":
        answers = replace(answers, breaker=None)
    half = HALF if answers.rate == HALF else None
    if half is not None:
        answers = replace(answers, rate="1 req/s")
    server = server_for(answers.gpu, catalogue)
    sizes = sizes_for(model_for(answers.model, catalogue), server, catalogue)
    # Measured watts at any size that fits, rather than extrapolated ones at the least.
    if answers.tensor_parallel is not None:
        sizes = [answers.tensor_parallel]
    least = sizes[0]
    tries = [("gru", False, size) for size in sizes]
    refusals: list[str] = []
    for model, extrapolate, size in [*tries, ("gru", True, least), ("ledger", False, least)]:
        attempt = replace(answers, power_model=model, extrapolate=extrapolate, tensor_parallel=size)
        text = draft(attempt, catalogue)
        try:
            scenario = loads(text, name="draft")
        except ScenarioError as error:
            refuse(*dict.fromkeys(_as_option(p.path, p.message, p.hint) for p in error.problems))
        plant = Plant.build(scenario, catalogue)
        refusals = [finding.message for finding in check_power(plant)]
        if not refusals:
            return text if half is None else draft(_half_busy(attempt, scenario), catalogue)
    refuse("; ".join(refusals))


def _half_busy(answers: DraftAnswers, scenario: Scenario) -> DraftAnswers:
    """With the rate of requests that makes the servers half busy, to two digits."""
    from dcsim.studies.capacity_rows import capacity_rows

    (served,) = capacity_rows(scenario, played=False)["models"]
    rate = float(f"{0.5 * served['estimate_per_s']:.2g}")
    why = "half of what they can serve: `dcsim serving capacity`"
    return replace(answers, rate=f"{rate:g} req/s", rate_why=why)


def _as_option(path: str, message: str, hint: str) -> str:
    """A problem of the draft in terms of the options."""
    flag = _flag(path)
    place = f"--{flag}" if flag else path
    return f"{place}: {message}" + (f" ({hint})" if hint else "")


def _flag(path: str) -> str:
    """The option that a key came by; empty for none."""
    flag = next((FLAGS[key] for key in FLAGS if path == key or path.startswith(key + ".")), "")
    return flag or next((FLAGS[key] for key in FLAGS if key.startswith(path + ".") and path), "")


def _is_name(text: str) -> bool:
    return text[:1].isalnum() and all(c.isalnum() or c in "._-" for c in text) and text.isascii()
