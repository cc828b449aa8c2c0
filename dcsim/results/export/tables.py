"""Parquet and CSV: requests, events, nodes, and loads by time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dcsim.extras import optional
from dcsim.results.export.needs import whole_folder, whole_steps
from dcsim.results.results import Results

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["parquet", "csv"]
TABLES = ("nodes", "requests", "events", "loads_w", "servers_w")
"""Files that are written, without their ending."""


def export_tables(
    results: Results,
    out: Path,
    form: Format,
    every_s: float | None = None,
    force: bool = False,
) -> list[Path]:
    """Write a file a table into the folder `out`.

    `nodes` has the power tree, `requests` and `events` what `Results` gives, `loads_w` watts of
    every node above the servers and `servers_w` of the servers: a column `time_s` (end of the
    interval) and one a node, at the recorded step or, with `every_s`, as means over that long.
    What is unknown is empty in CSV and null in Parquet.

    Raises MissingExtraError without pyarrow (Parquet only), ExportError where `out` is in the way
    or for an `every_s` below the recorded step.
    """
    whole_steps(every_s, results.step_s)
    if form == "parquet":
        optional("pyarrow", "--to parquet")
    with whole_folder(out, force) as folder:
        for name in TABLES:
            _write(_table(results, name, every_s), folder / f"{name}.{form}", form)
    return [out / f"{name}.{form}" for name in TABLES]


def loads_w(results: Results, every_s: float | None = None) -> pd.DataFrame:
    """Watts of all nodes above the servers: index `time_s`, a column a node, in node order."""
    import pandas as pd

    kinds = dict.fromkeys(results.nodes()["kind"])
    frames = [results.load_w(kind, every_s) for kind in kinds if kind != "server"]
    return pd.concat(frames, axis=1)


def _table(results: Results, name: str, every_s: float | None) -> pd.DataFrame:
    if name == "nodes":
        return results.nodes().reset_index()
    if name == "requests":
        return results.requests()
    if name == "events":
        return results.events()
    if name == "loads_w":
        return loads_w(results, every_s).reset_index()
    # Servers are recorded at a step of their own, which may be the longer one.
    step_s = None if every_s is None else max(every_s, results.server_step_s)
    return results.load_w("server", step_s).reset_index()


def _write(frame: pd.DataFrame, path: Path, form: Format) -> None:
    if form == "parquet":
        frame.to_parquet(path, engine="pyarrow", index=False)
    else:
        # Nine digits carry a float32 and microseconds of a day; more would be noise.
        frame.to_csv(path, index=False, float_format="%.9g", lineterminator="\n")
