"""`dcsim measure`: campaigns on a GPU that serves, and the run folders that they leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.exits import FAILED, quantity, refuse, refuse_problems
from dcsim.errors import MeasureError, ScenarioError
from dcsim.extras import optional

if TYPE_CHECKING:
    from dcsim.lab.measure.campaign import Campaign
    from dcsim.lab.measure.check import Verdict


app = typer.Typer(no_args_is_help=True, add_completion=False)

CampaignPath = Annotated[Path, typer.Argument(metavar="CAMPAIGN", help="Campaign file (YAML).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("plan")
def plan(campaign: CampaignPath, as_json: Json = False) -> None:
    """Show what a campaign would do: parts, requests, tokens and time. No request is sent."""
    from dcsim.lab.measure.campaign import TRAINABLE_S
    from dcsim.lab.measure.plan import make_plan

    spec = _open(campaign)
    parts = make_plan(spec)
    if as_json:
        rows = [{**part.to_dict(), "expected_s": part.duration_s} for part in parts]
        typer.echo(json.dumps({"campaign": spec.name, "parts": rows}, indent=1))
        return
    width = max(len("all"), *(len(part.name) for part in parts))
    typer.echo(f"{'part':{width}}  {'kind':9}  {'time':>8}  requests  prompt tokens  output tokens")
    lines = [
        (p.name, p.kind, p.duration_s, len(p.asks), p.prompt_tokens, p.output_tokens) for p in parts
    ]
    _, _, times, counts, prompts, outputs = zip(*lines, strict=True)
    lines.append(("all", "", sum(times), sum(counts), sum(prompts), sum(outputs)))
    for name, kind, time_s, count, prompt, output in lines:
        typer.echo(
            f"{name:{width}}  {kind:9}  {_time(time_s):>8}  {count:8,}  {prompt:13,}  {output:13,}"
        )
    typer.echo(
        f"Times are expected, at {spec.expect.token_time_s * 1e3:g} ms a token and "
        f"{spec.expect.prompt_rate:,.0f} prompt tokens a second; requests and tokens are fixed."
    )
    for part in parts:
        if part.duration_s < TRAINABLE_S:
            typer.echo(
                f"note: {part.name} is shorter than the minute that training needs", err=True
            )


@app.command("run")
def run(
    campaign: CampaignPath,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the parts' run folders.")],
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Measure a campaign part by part, each into its run folder. Run again to resume.

    Exit status 0 when all parts are good, 1 when one is not or the campaign stopped, 2 when it
    cannot start.
    """
    spec = _open(campaign)
    optional("aiohttp", "dcsim measure run")
    from dcsim.lab.measure.collect import collect

    def say(text: str) -> None:
        if not quiet:
            typer.echo(text, err=True)

    try:
        outcome = collect(spec, out, say)
    except MeasureError as error:
        refuse(f"{campaign}: {error}")
    except OSError as error:
        refuse(f"--out: {error}")
    if as_json:
        typer.echo(json.dumps(outcome.to_dict(), indent=1))
    else:
        typer.echo(
            f"{len(outcome.good)} good, {len(outcome.bad)} not good, {len(outcome.left)} not "
            f"measured; in {out}"
        )
    if outcome.stopped:
        typer.echo(
            f"{outcome.stopped}; measured parts are kept, and the same command resumes", err=True
        )
    if outcome.bad or outcome.left:
        raise typer.Exit(FAILED)


@app.command("check")
def check(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN_FOLDER...", help="Run folders.")],
    as_json: Json = False,
) -> None:
    """Check whether run folders are usable, and report what is wrong.

    Exit status 0 when all are, 1 when one is not, 2 when there is no such folder.
    """
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        refuse(*(f"{folder}: no such folder" for folder in missing))
    from dcsim.lab.measure.check import check_folder

    verdicts = [check_folder(folder) for folder in folders]
    if as_json:
        typer.echo(json.dumps([verdict.to_dict() for verdict in verdicts], indent=1))
    else:
        for verdict in verdicts:
            _print_verdict(verdict)
    if not all(verdict.good for verdict in verdicts):
        raise typer.Exit(FAILED)


@app.command("import")
def import_(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Run folder to create.")],
    hardware: Annotated[str, typer.Option(help="The GPU, such as H100.")],
    model: Annotated[str, typer.Option(help="The served model, such as Qwen/Qwen3-8B.")],
    tp: Annotated[int, typer.Option(min=1, help="GPUs that serve one replica.")] = 1,
    power: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="GPU power log: nvidia-smi CSV, DCGM, or a Prometheus range-query response.",
        ),
    ] = None,
    engine: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="vLLM metrics over time, or Prometheus responses. May be repeated.",
        ),
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="vLLM's benchmark (JSON), or start,input_tokens,output_tokens."
        ),
    ] = None,
    server_power: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="MLPerf's spl.txt, read from the AC power analyser."),
    ] = None,
    gpus: Annotated[
        str | None, typer.Option(metavar="A,B", help="GPUs of the replica, as the log names them.")
    ] = None,
    utc_offset: Annotated[
        str | None,
        typer.Option(
            metavar="HOURS", help="UTC offset of local times, e.g. -7; detected by default."
        ),
    ] = None,
    search: Annotated[
        str, typer.Option(metavar="TIME", help="Largest clock difference to search for.")
    ] = "20 s",
    as_json: Json = False,
) -> None:
    """Create a run folder from existing logs.

    Clocks are aligned and the confidence of the alignment is reported.

    Exit status 0 when the folder is good, 1 when it is not, 2 when a log cannot be read.
    """
    from dcsim.lab.measure.check import check_folder
    from dcsim.lab.measure.import_logs import ImportRequest, import_logs

    try:
        request = ImportRequest(
            hardware=hardware,
            model=model,
            tensor_parallel=tp,
            power=tuple(power or ()),
            engine=tuple(engine or ()),
            requests=requests,
            server_power=server_power,
            gpus=tuple(gpus.split(",")) if gpus else (),
            local_utc_offset_s=None if utc_offset is None else _zone_s(utc_offset),
            search_s=quantity("import: --search", search, "second", "20 s"),
        )
        report = import_logs(request, out)
    except (MeasureError, OSError) as error:
        refuse(f"import: {error}")
    verdict = check_folder(out)
    if as_json:
        document = {**verdict.to_dict(), "notes": report.notes, "alignment": report.alignment}
        typer.echo(json.dumps(document, indent=1))
    else:
        for note in report.notes:
            typer.echo(f"  {note}")
        _print_verdict(verdict)
    if not verdict.good:
        raise typer.Exit(FAILED)


def _zone_s(text: str) -> float:
    try:
        return 3600.0 * float(text)
    except ValueError:
        refuse(f"import: --utc-offset: expected hours such as -7 or 5.5, not '{text}'")


def _print_verdict(verdict: Verdict) -> None:
    good = "good" if verdict.good else "not good"
    typer.echo(f"{verdict.folder}: {good}{_figures(verdict.figures)}")
    for error in verdict.errors:
        typer.echo(f"  error: {error}")
    for warning in verdict.warnings:
        typer.echo(f"  warning: {warning}")


def _open(path: Path) -> Campaign:
    from dcsim.lab.measure.campaign import load_campaign

    try:
        return load_campaign(path)
    except ScenarioError as error:
        refuse_problems(error.problems)


def _time(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def _figures(figures: dict[str, float]) -> str:
    """The main ones; what is not known is left out."""
    forms = {
        "seconds": "{:.0f} s",
        "requests": "{:,.0f} requests",
        "output_tokens": "{:,.0f} output tokens",
        "mean_w": "{:.1f} W",
        "longest_power_gap_s": "longest gap {:.2f} s",
    }
    texts = [form.format(figures[name]) for name, form in forms.items() if name in figures]
    return ": " + ", ".join(texts) if texts else ""
