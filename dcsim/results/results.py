"""Reads a results file back, as pandas frames."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dcsim.arrays import AnyArray, Float32Array, FloatArray, IntArray
from dcsim.errors import ResultsError
from dcsim.records import LATER_COLUMNS, STATUS_NAMES, STORED_COLUMNS, Status
from dcsim.results import outline
from dcsim.results.recorder import FORMAT, FORMAT_VERSION
from dcsim.scenario.expand import named
from dcsim.scenario.start import Start, parse_start
from dcsim.spec.nearest import nearest, suggestion

if TYPE_CHECKING:
    import h5py
    import pandas as pd
    from matplotlib.figure import Figure

    from dcsim.results.schema import Summary

COLUMNS_AT_ONCE = 64
"""Nodes read together before they are averaged: a day of one is 1.4 MB."""


class Results:
    """One run. Use `Results.open`; a context manager, or call `close`.

    Whatever reads from the file raises ResultsError where the file is damaged.
    """

    def __init__(self, file: h5py.File, path: Path, summary: Mapping[str, Any]) -> None:
        """Take over an open file; `Results.open` is the way in.

        Parameters
        ----------
        file
            Open for reading, of dcsim's format.
        path
            Where it is.
        summary
            Of the run.
        """
        self._file = file
        self.path = path
        self.summary = cast("Summary", dict(summary))
        """What `dcsim run --json` prints; that of a file has no `wall_s`."""
        self.seed = int(file.attrs["seed"])
        self.step_s = float(file.attrs["step_s"])
        self.server_step_s = float(file.attrs["server_step_s"])
        self.scenario_yaml: str = file["scenario"].asstr()[()]
        self.versions: dict[str, str] = json.loads(file["versions"].asstr()[()])

    @classmethod
    def open(cls, path: str | Path, summary: Mapping[str, Any] | None = None) -> Results:
        """Open a results file.

        Parameters
        ----------
        path
            The HDF5 file.
        summary
            In place of the file's: that of a run that has just ended also has its `wall_s`.

        Returns
        -------
        Results
            Series and tables are read from the file when they are asked for.

        Raises
        ------
        ResultsError
            If the file is damaged, incomplete or not one of dcsim's.
        FileNotFoundError
            If there is no such file.
        PermissionError
            If it may not be read.
        """
        import h5py

        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such results file")
        try:
            file = h5py.File(path, "r")
        except PermissionError:
            raise
        except OSError as error:
            raise ResultsError(f"{path}: not an HDF5 file, or damaged") from error
        try:
            if file.attrs.get("format") != FORMAT:
                raise ResultsError(f"{path}: an HDF5 file, but not one of dcsim's results")
            version = int(file.attrs["format_version"])
            if version > FORMAT_VERSION:
                raise ResultsError(
                    f"{path}: format version {version}; this dcsim reads up to {FORMAT_VERSION}"
                )
            if summary is None:
                summary = json.loads(file["summary"].asstr()[()])
            return cls(file, path, summary or {})
        except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            file.close()
            if isinstance(error, ResultsError):
                raise
            raise ResultsError(f"{path}: a results file with parts missing ({error})") from error

    def close(self) -> None:
        """Close the file; the summary stays."""
        self._file.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether series, requests and events can still be read; the summary always can."""
        return bool(self._file)

    @property
    def duration_s(self) -> float:
        """Simulated time: whole power steps."""
        with self._reading():
            return len(self._file["load/time_s"]) * self.step_s

    @property
    def warm_up_s(self) -> float:
        """Time from the start that figures leave out; series and requests hold it. 0 in files
        from before there was any."""
        return float((self.summary.get("warm_up") or {}).get("cut_s", 0.0))

    @property
    def provenance(self) -> dict[str, Any]:
        """What stands behind the figures: seed, versions of the software, power models with
        their evidence (None where the summary does not tell)."""
        return {
            "seed": self.seed,
            "versions": self.versions,
            "power_model": self.summary.get("power_model"),
        }

    def plot(self, kind: str = "load", node: str | None = None) -> Figure:
        """Draw the run with matplotlib, which comes with the extra `plots`.

        Parameters
        ----------
        kind
            `load`, `duration`, `heatmap`, `states`, `smoothing` or `oneline`, as for `dcsim plot`.
        node
            One node (`load`, `duration`), or one level such as "row" (`heatmap`).

        Returns
        -------
        matplotlib.figure.Figure
            To be changed, shown or saved; a notebook shows it after `%matplotlib inline`.

        Raises
        ------
        PlotError
            For an unknown kind or node.
        MissingExtraError
            Without matplotlib.
        """
        from dcsim.report.plots import figure  # the one import upward: a method for notebooks

        return figure(self, kind, node)

    def __repr__(self) -> str:
        return outline.text(self)

    def _repr_html_(self) -> str:
        return outline.html(self)

    def nodes(self) -> pd.DataFrame:
        """Read the power tree.

        Returns
        -------
        pandas.DataFrame
            One row a node. Index: its name. Columns: kind, parent, rating_w, nameplate_w (labels of
            the servers below, without cooling and losses), nameplate_load_w (what the node would
            carry if they drew their labels, with cooling and losses).
        """
        import pandas as pd

        with self._reading():
            table = self._file["nodes"]
            names = table["name"].asstr()[:]
            parent = table["parent"][:]
            return pd.DataFrame(
                {
                    "kind": table["kind"].asstr()[:],
                    "parent": [names[p] if p >= 0 else None for p in parent],
                    "rating_w": table["rating_w"][:],
                    "nameplate_w": table["nameplate_w"][:],
                    "nameplate_load_w": table["nameplate_load_w"][:]
                    if "nameplate_load_w" in table
                    else np.full(len(names), np.nan),
                },
                index=pd.Index(names, name="node"),
            )

    def feeds(self) -> dict[str, tuple[str, ...]]:
        """Read which nodes feed which.

        Returns
        -------
        dict
            By node, the names of those that feed it, the preferred first; none for the site.
        """
        with self._reading():
            table = self._file["nodes"]
            names = table["name"].asstr()[:].tolist()
            ups = table["feeds"][:] if "feeds" in table else table["parent"][:][:, np.newaxis]
        return {
            name: tuple(names[up] for up in row if up >= 0)
            for name, row in zip(names, ups.tolist(), strict=True)
        }

    def load(
        self,
        kind: str,
        resample: str | float | None = None,
        nodes: Sequence[str] | None = None,
        measured: bool = False,
    ) -> pd.DataFrame:
        """Former name of `load_w`, kept for scripts until 1.0; warns with DeprecationWarning.

        Parameters
        ----------
        kind
            As of `load_w`.
        resample
            Length of the intervals, s or such as "1min".
        nodes, measured
            As of `load_w`.

        Returns
        -------
        DataFrame
            What `load_w` returns, in W.
        """
        warnings.warn("Results.load is now load_w", DeprecationWarning, stacklevel=2)
        return self.load_w(kind, resample, nodes, measured)

    def load_w(
        self,
        kind: str,
        resample: str | float | None = None,
        nodes: Sequence[str] | None = None,
        measured: bool = False,
    ) -> pd.DataFrame:
        """Loads over time, in W.

        Parameters
        ----------
        kind
            A kind of nodes, such as "row", or the name of one node.
        resample
            Length of the intervals, such as "1min" or 60.0 (seconds): means over them, labelled by
            their end; a recorded step counts where it ends. Without it, intervals as recorded.
        nodes
            Names of the nodes; all of the kind without it.
        measured
            Only intervals that begin after the warm-up, as figures are of.

        Returns
        -------
        DataFrame
            Index `time_s`, the end of each interval; a column a node.

        Raises
        ------
        KeyError
            For a kind or a node that the site does not have.
        ValueError
            For a `resample` shorter than what is recorded.
        """
        import pandas as pd

        with self._reading():
            kinds = self._file["nodes/kind"].asstr()[:]
            every = self._file["nodes/name"].asstr()[:]
        if nodes is None and kind not in kinds and kind in every:
            kind, nodes = str(kinds[every == kind][0]), [kind]
        of_kind = every[kinds == kind].tolist()
        if not of_kind:
            raise KeyError(_no_kind(kind, dict(zip(every.tolist(), kinds.tolist(), strict=True))))
        place = {name: column for column, name in enumerate(of_kind)}
        names = of_kind if nodes is None else list(nodes)
        missing = [name for name in names if name not in place]
        if missing:
            hint = suggestion(missing[0], of_kind)
            message = f"no {kind} named {', '.join(missing)} in this site"
            raise KeyError(message + (f" ({hint})" if hint else ""))
        columns = np.array([place[name] for name in names], dtype=np.int64)
        server = kind == "server"
        step_s = self.server_step_s if server else self.step_s
        with self._reading():
            series = self._file[f"load/{kind}_w"]
            time_s = self._file["load/server_time_s" if server else "load/time_s"][:]
        if resample is None:
            with self._reading():
                data: AnyArray = _read(series, columns)
        else:
            width_s = (
                pd.Timedelta(resample).total_seconds() if isinstance(resample, str) else resample
            )
            if width_s < step_s * (1 - 1e-9):
                raise ValueError(f"{kind} loads are recorded every {step_s:g} s, not {width_s:g} s")
            with self._reading():
                time_s, data = _means(series, columns, time_s, step_s, width_s)
            step_s = width_s
        if measured:
            # The last interval may be shorter: by its number, not by its end.
            first = math.ceil(self.warm_up_s / step_s - 1e-9)
            time_s, data = time_s[first:], data[first:]
        return pd.DataFrame(data, index=pd.Index(time_s, name="time_s"), columns=names)

    def requests(self) -> pd.DataFrame:
        """Read the requests.

        Returns
        -------
        pandas.DataFrame
            One row a request, in order of leaving, times in seconds; no rows where the scenario
            did not keep them. `tpot_s` is NaN but for completed requests of two tokens or more.
        """
        import pandas as pd

        with self._reading():
            table = self._file.get("requests")
            frame = pd.DataFrame(
                {name: _column(table, name, dtype) for name, dtype in STORED_COLUMNS.items()}
            )
            codes = frame["status"].to_numpy(dtype=np.int64)
            frame["status"] = pd.Categorical.from_codes(codes, categories=pd.Index(STATUS_NAMES))
        gaps = (frame["generated_tokens"] - 1).where(
            (frame["generated_tokens"] > 1) & (codes == Status.COMPLETED)
        )
        frame["tpot_s"] = (frame["end_s"] - frame["arrival_s"] - frame["ttft_s"]) / gaps
        return frame

    def request_blocks(
        self, columns: Sequence[str], rows: int = 1 << 19
    ) -> Iterator[dict[str, AnyArray]]:
        """Read columns of the requests block by block: a day of a site has millions.

        Parameters
        ----------
        columns
            Names of columns of the file, such as "ttft_s".
        rows
            Most rows of a block.

        Yields
        ------
        dict of numpy.ndarray
            By column, in order of leaving, times in seconds; no block where the scenario did not
            keep the requests.
        """
        with self._reading():
            table = self._file.get("requests")
            count = 0 if table is None else len(table["id"])
        for low in range(0, count, rows):
            with self._reading():
                block = {
                    name: table[name][low : low + rows]
                    if name in table or name not in LATER_COLUMNS
                    else np.zeros(min(rows, count - low), STORED_COLUMNS[name])
                    for name in columns
                }
            yield block

    def events(self) -> pd.DataFrame:
        """Read the events: what limits, breakers, faults and policies flagged.

        Returns
        -------
        pandas.DataFrame
            One row an event: time_s, kind, node, node_kind, load_w, limit_w, margin_w (negative
            above the limit), message; where the scenario has a `start`, clock_time after time_s.
        """
        import pandas as pd

        with self._reading():
            table = self._file["events"]
            at = table["node"][:]
            frame = pd.DataFrame(
                {
                    "time_s": table["time_s"][:],
                    "kind": table["kind"].asstr()[:],
                    "node": self._file["nodes/name"].asstr()[:][at],
                    "node_kind": self._file["nodes/kind"].asstr()[:][at],
                    "load_w": table["load_w"][:],
                    "limit_w": table["limit_w"][:],
                    "message": table["message"].asstr()[:],
                }
            )
        frame.insert(6, "margin_w", frame["limit_w"] - frame["load_w"])
        start = self.start
        if start is not None:
            frame.insert(1, "clock_time", [start.iso(time_s) for time_s in frame["time_s"]])
        return frame

    @property
    def start(self) -> Start | None:
        """When the run started by the clock; None where its scenario does not say."""
        text = self.summary.get("start")
        return None if text is None else parse_start(text)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Whatever HDF5 makes of a damaged file is one clear error."""
        if not self._file:
            raise ValueError(f"{self.path}: already closed")
        try:
            yield
        except (KeyError, IndexError, OSError, RuntimeError, ValueError) as error:
            raise ResultsError(f"{self.path}: damaged ({error})") from error


def _no_kind(kind: str, kinds: Mapping[str, str]) -> str:
    """What to ask for instead of a kind that is not there. `kinds`: of each node, by name."""
    there = list(dict.fromkeys(kinds.values()))
    matches = named(kinds, kind)
    if matches:
        return f"{kind!r} is the {kinds[matches[0]]} {matches[0]!r}: load_w({matches[0]!r})"
    near = nearest(kind, [*there, *kinds])
    hint = f"; did you mean {near!r}?" if near else ""
    return f"no kind of node {kind!r} in this site; there is {', '.join(there)}{hint}"


def _read(series: h5py.Dataset, columns: IntArray) -> Float32Array:
    """All rows of some columns; neighbours are read in one go."""
    low, high = (int(columns.min()), int(columns.max()) + 1) if len(columns) else (0, 0)
    block: Float32Array = series[:, low:high]
    return block if np.array_equal(columns, np.arange(low, high)) else block[:, columns - low]


def _means(
    series: h5py.Dataset,
    columns: IntArray,
    time_s: FloatArray,
    step_s: float,
    width_s: float,
) -> tuple[FloatArray, FloatArray]:
    """Ends of the intervals of `width_s`, the last cut short by the run's end, and the means."""
    # Interval (a, b] gets the steps that end in it; a hair less keeps b on its own side.
    interval = np.ceil(time_s / width_s - 1e-9)
    starts = np.flatnonzero(np.diff(interval, prepend=-1.0))
    means_w = np.empty((len(starts), len(columns)))
    if not len(starts):
        return time_s, means_w
    counts = np.diff(starts, append=len(time_s)).astype(np.float64)
    # The last step weighs as long as it was.
    cut = 1.0 - (time_s[-1] - (len(time_s) - 1) * step_s) / step_s
    counts[-1] -= cut
    for low in range(0, len(columns), COLUMNS_AT_ONCE):
        block = slice(low, low + COLUMNS_AT_ONCE)
        data = _read(series, columns[block])
        sums_w = np.add.reduceat(data, starts, axis=0, dtype=np.float64)
        sums_w[-1] -= cut * data[-1]
        means_w[:, block] = sums_w / counts[:, np.newaxis]
    return np.minimum(interval[starts] * width_s, time_s[-1]), means_w


def _column(table: Any, name: str, dtype: str) -> AnyArray:
    """A column of the requests; zeros where the file is older than the column."""
    if table is None:
        return np.zeros(0, dtype)
    if name in LATER_COLUMNS and name not in table:
        return np.zeros(len(table["id"]), dtype)
    return np.asarray(table[name][:])
