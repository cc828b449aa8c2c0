"""Reads a results file back, as pandas frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from dcsim.results.recorder import FORMAT, FORMAT_VERSION

if TYPE_CHECKING:
    import h5py
    import pandas as pd

STATUS_NAMES = ("completed", "rejected", "failed", "running", "waiting")
"""By code in the file's `requests/status`."""


class ResultsError(ValueError):
    """A file that is no complete results file of dcsim."""


class Results:
    """One run. Use `Results.open`; a context manager, or call `close`."""

    def __init__(self, file: h5py.File, path: Path, summary: Mapping[str, Any]) -> None:
        self._file = file
        self.path = path
        self.summary: dict[str, Any] = dict(summary)
        self.seed = int(file.attrs["seed"])
        self.step_s = float(file.attrs["step_s"])
        self.server_step_s = float(file.attrs["server_step_s"])
        self.scenario_yaml: str = file["scenario"].asstr()[()]
        self.versions: dict[str, str] = json.loads(file["versions"].asstr()[()])

    @classmethod
    def open(cls, path: str | Path, summary: Mapping[str, Any] | None = None) -> Results:
        """Open a results file. `summary`, if given, stands in for the file's own: that of a run
        just ended also has its `wall_s`.

        Raises ResultsError for a damaged or foreign file, FileNotFoundError for none.
        """
        import h5py

        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such results file")
        try:
            file = h5py.File(path, "r")
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
        except (KeyError, OSError, ValueError) as error:
            file.close()
            if isinstance(error, ResultsError):
                raise
            raise ResultsError(f"{path}: a results file with parts missing ({error})") from error

    def close(self) -> None:
        """Close the file; the summary stays."""
        self._file.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def nodes(self) -> pd.DataFrame:
        """The power tree: one row a node (index: name), with kind, parent and rating_w."""
        import pandas as pd

        table = self._file["nodes"]
        names = table["name"].asstr()[:]
        parent = table["parent"][:]
        return pd.DataFrame(
            {
                "kind": table["kind"].asstr()[:],
                "parent": [names[p] if p >= 0 else None for p in parent],
                "rating_w": table["rating_w"][:],
            },
            index=pd.Index(names, name="node"),
        )

    def load(self, kind: str, resample: str | None = None) -> pd.DataFrame:
        """Loads in W of all nodes of a kind: index `time_s` (end of each interval), a column a
        node. `resample`, such as "1min", gives means over longer intervals, labelled by their
        end. Raises KeyError for a kind that the site does not have.
        """
        import pandas as pd

        kinds = self._file["nodes/kind"].asstr()[:]
        at = np.flatnonzero(kinds == kind)
        if not len(at):
            raise KeyError(f"no {kind!r} in this site; there is {', '.join(dict.fromkeys(kinds))}")
        names = self._file["nodes/name"].asstr()[:][at]
        if kind == "server":
            data = self._file["load/server_w"][:]
            window_s = self.server_step_s
        else:
            data = self._file["load/upper_w"][:, at[0] : at[-1] + 1]
            window_s = self.step_s
        time_s = np.arange(1, len(data) + 1) * window_s
        # The last window may have been cut short by the end of the run.
        time_s = np.minimum(time_s, len(self._file["load/upper_w"]) * self.step_s)
        frame = pd.DataFrame(data, index=pd.Index(time_s, name="time_s"), columns=names)
        if resample is None:
            return frame
        width_s = pd.Timedelta(resample).total_seconds()
        # Interval (a, b] gets the steps that end in it; a hair less keeps b on its own side.
        interval = np.ceil(frame.index.to_numpy() / width_s - 1e-9)
        means = frame.groupby(interval).mean()
        means.index = pd.Index(means.index * width_s, name="time_s")
        return means

    def requests(self) -> pd.DataFrame:
        """One row a request, in order of leaving; empty where the scenario did not keep them."""
        import pandas as pd

        if "requests" not in self._file:
            return pd.DataFrame()
        table = self._file["requests"]
        frame = pd.DataFrame({name: table[name][:] for name in table})
        codes = frame["status"].to_numpy()
        frame["status"] = pd.Categorical(np.array(STATUS_NAMES)[codes], categories=STATUS_NAMES)
        gaps = (frame["generated_tokens"] - 1).where(frame["generated_tokens"] > 1)
        frame["tpot_s"] = (frame["end_s"] - frame["arrival_s"] - frame["ttft_s"]) / gaps
        return frame

    def events(self) -> pd.DataFrame:
        """One row a flag: time_s, kind, node, load_w, limit_w, margin_w, message."""
        import pandas as pd

        table = self._file["events"]
        names = self._file["nodes/name"].asstr()[:]
        frame = pd.DataFrame(
            {
                "time_s": table["time_s"][:],
                "kind": table["kind"].asstr()[:],
                "node": names[table["node"][:]],
                "load_w": table["load_w"][:],
                "limit_w": table["limit_w"][:],
            }
        )
        frame["margin_w"] = frame["limit_w"] - frame["load_w"]
        frame["message"] = table["message"].asstr()[:]
        return frame
