"""`dcsim data`: public request traces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dcsim.cli.exits import FAILED, refuse
from dcsim.errors import DataFolderError, FetchError, OfflineError

if TYPE_CHECKING:
    from dcsim.data.fetch import Progress

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command("list")
def list_traces() -> None:
    """List the traces, their sources, and which are already downloaded."""
    from dcsim.data.places import place_of, recorded
    from dcsim.data.traces import TRACES

    folder = _folder()
    known = recorded(folder / "arrivals")
    for trace in TRACES:
        path = place_of(trace)
        here = f"here, {path.stat().st_size / 1e6:.1f} MB" if path.is_file() else "not fetched"
        rows = f", {trace.rows:,} requests" if trace.rows is not None else ""
        if trace.pinned_sha256:
            sums = "pinned"
        elif trace.file in known:
            sums = "not pinned; recorded when it was fetched"
        else:
            sums = "not pinned; recorded on first fetch"
        typer.echo(f"{trace.name} ({here})")
        typer.echo(f"  {trace.title}{rows}")
        typer.echo(f"  format: {trace.format}; licence: {trace.licence}; checksum: {sums}")
        typer.echo(f"  {trace.url}")
    typer.echo(f"\nfolder: {folder / 'arrivals'}")


@app.command("get")
def get(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a trace, see `dcsim data list`.")
    ],
    url: Annotated[
        str | None, typer.Option(help="Download from this address instead, e.g. a mirror.")
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="Reject the file if its SHA-256 differs from this."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Download again and replace the existing file.")
    ] = False,
) -> None:
    """Fetch a trace into the data folder: DCSIM_DATA, or else the user's cache.

    An interrupted download is resumed. Exits with 2 if the network or the file is unavailable,
    and with 1 if the file cannot be written.
    """
    from dcsim.data.fetch import HASH_LENGTH, fetch, file_sha256
    from dcsim.data.places import place_of, record, recorded
    from dcsim.data.traces import by_name
    from dcsim.spec.nearest import suggestion

    traces = by_name()
    if name not in traces:
        refuse(f"there is no trace '{name}' ({suggestion(name, traces) or 'see dcsim data list'})")
    trace = traces[name]
    folder = _folder() / "arrivals"
    path = place_of(trace)
    if sha256 is not None and not _is_hash(sha256, HASH_LENGTH):
        refuse(f"--sha256: '{sha256}' is not {HASH_LENGTH} hexadecimal digits")
    before = recorded(folder).get(trace.file, {}).get("sha256")
    try:
        if path.is_file() and not again:
            _already(path, file_sha256(path), sha256 or trace.pinned_sha256 or before)
            _how_to_use(folder)
            return
        expected = sha256 or trace.pinned_sha256 or (None if again else before)
        with _bar(trace.name) as report:
            got = fetch(url or trace.url, path, sha256=expected, progress=report)
        row = {"sha256": got.sha256, "size": str(got.size), "url": url or trace.url}
        record(folder, trace.file, row)
    except OfflineError as error:
        refuse(
            f"{error}\nThis is the only command of dcsim that needs the network. Or fetch\n"
            f"  {url or trace.url}\nby other means and put it at\n  {path}"
        )
    except FetchError as error:
        refuse(error)
    except OSError as error:
        typer.echo(f"{error.filename or path}: {error.strerror or error}", err=True)
        raise typer.Exit(FAILED) from None
    resumed = f", resumed at byte {got.resumed_at}" if got.resumed_at else ""
    typer.echo(f"wrote {path} ({got.size / 1e6:.1f} MB{resumed})")
    typer.echo(f"sha256 {got.sha256}" + (" as pinned" if expected else ", recorded"))
    if trace.seen_sha256 is not None:
        same = got.sha256 == trace.seen_sha256
        typer.echo(
            "the same bytes as the copy that dcsim's fits were made from"
            if same
            else "note: not the bytes of the copy that dcsim's fits were made from"
        )
    _how_to_use(folder)


def _already(path: Path, actual: str, expected: str | None) -> None:
    typer.echo(f"{path} already exists; use --again to download it again")
    typer.echo(f"sha256 {actual}")
    if expected is not None and actual != expected.lower():
        refuse(f"the SHA-256 should be {expected.lower()}; use --again to download it again")


def _how_to_use(folder: Path) -> None:
    import os

    if not os.environ.get("DCSIM_DATA"):
        typer.echo(f"so that scenarios find it: export DCSIM_DATA={folder.parent}")


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    """A progress bar on stderr, where that is a terminal."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = (progress.BarColumn(), progress.DownloadColumn(), progress.TransferSpeedColumn())
    bar = progress.Progress(
        progress.TextColumn(name), *columns,
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task(name, total=None)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def _is_hash(text: str, length: int) -> bool:
    return len(text) == length and all(c in "0123456789abcdef" for c in text.lower())


def _folder() -> Path:
    from dcsim.data.places import data_folder

    try:
        return data_folder()
    except DataFolderError as error:
        refuse(error)
