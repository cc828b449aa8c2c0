"""Writes a run's results while it goes: one HDF5 file, complete or absent under its name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt

FORMAT = "dcsim-results"
FORMAT_VERSION = 1
BUFFER_BYTES = 4 << 20
"""About one chunk of each series: what is kept in memory before it is written."""
STRING = h5py.string_dtype()
COMPRESSION = {"compression": "lzf", "shuffle": True}
"""lzf: a third of the size at a tenth of gzip's time, and every HDF5 of h5py reads it."""


@dataclass(frozen=True, slots=True)
class NodeTable:
    """The power tree in node order: site first, servers last."""

    names: Sequence[str]
    kinds: Sequence[str]
    rating_w: npt.NDArray[np.float64]
    """NaN where unknown."""
    parent_index: npt.NDArray[np.int64]


class Event(Protocol):
    """What the recorder reads of a flag."""

    @property
    def time_s(self) -> float: ...
    @property
    def kind(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def load_w(self) -> float: ...
    @property
    def limit_w(self) -> float: ...
    @property
    def message(self) -> str: ...


class Recorder:
    """One run's results file.

    Loads above the servers are kept at every power step, servers as means over `server_step_s`.
    Sums, peaks and latencies are also kept in memory in full precision for the summary.

    Raises OSError when the file cannot be written, ValueError when `server_step_s` is no
    multiple of `step_s`.
    """

    def __init__(
        self,
        path: Path,
        *,
        scenario_yaml: str,
        seed: int,
        step_s: float,
        server_step_s: float,
        nodes: NodeTable,
        versions: Mapping[str, str],
        keep_requests: bool = True,
    ) -> None:
        self.path = path
        self.nodes = nodes
        self.seed = seed
        self.step_s = step_s
        self.steps = 0
        self.event_counts: dict[str, int] = {}
        self.latencies: dict[str, list[npt.NDArray[np.float32]]] = {
            "ttft_s": [],
            "tpot_s": [],
            "e2e_s": [],
        }
        """Of completed requests, block by block."""
        count = len(nodes.names)
        self._upper = count - sum(kind == "server" for kind in nodes.kinds)
        self.energy_j = np.zeros(count)
        self.peak_w = np.full(count, -np.inf)
        self._index = {name: i for i, name in enumerate(nodes.names)}
        self._keep_requests = keep_requests
        self._window = round(server_step_s / step_s)
        if self._window < 1 or abs(self._window * step_s - server_step_s) > 1e-9 * server_step_s:
            raise ValueError("record.server_step must be a whole multiple of power_step")
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file = h5py.File(self._part, "w")
        try:
            self._create(scenario_yaml, server_step_s, versions)
        except BaseException:
            self.abort()
            raise

    def _create(
        self, scenario_yaml: str, server_step_s: float, versions: Mapping[str, str]
    ) -> None:
        file = self._file
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["seed"] = self.seed
        file.attrs["step_s"] = self.step_s
        file.attrs["server_step_s"] = server_step_s
        file.create_dataset("scenario", data=scenario_yaml, dtype=STRING)
        file.create_dataset("versions", data=json.dumps(dict(versions)), dtype=STRING)
        table = file.create_group("nodes")
        table.create_dataset("name", data=list(self.nodes.names), dtype=STRING)
        table.create_dataset("kind", data=list(self.nodes.kinds), dtype=STRING)
        table.create_dataset("rating_w", data=self.nodes.rating_w)
        table.create_dataset("parent", data=self.nodes.parent_index)
        upper, servers = self._upper, len(self.nodes.names) - self._upper
        self._upper_series = _Series(file, "load/upper_w", upper)
        self._server_series = _Series(file, "load/server_w", servers)
        self._server_sum = np.zeros(servers)
        self._in_window = 0
        self._events: list[Event] = []

    # --- while running ---------------------------------------------------------------------

    def step(self, node_w: npt.NDArray[np.float64]) -> None:
        """Loads of all nodes over one power step, shape (nodes,)."""
        self.steps += 1
        np.add(self.energy_j, node_w, out=self.energy_j)
        np.maximum(self.peak_w, node_w, out=self.peak_w)
        self._upper_series.append(node_w[: self._upper])
        np.add(self._server_sum, node_w[self._upper :], out=self._server_sum)
        self._in_window += 1
        if self._in_window == self._window:
            self._close_window()

    def requests(self, records: npt.NDArray[np.void]) -> None:
        """Finished requests as structured records; the array is not kept."""
        done = records[records["status"] == 0]
        # What a client sees of its last token: arrival to end, and the gaps after the first.
        e2e_s = done["end_s"] - done["arrival_s"]
        gaps = done["generated_tokens"] - 1
        many = gaps > 0
        self.latencies["ttft_s"].append(done["ttft_s"].astype(np.float32))
        self.latencies["e2e_s"].append(e2e_s.astype(np.float32))
        self.latencies["tpot_s"].append(
            ((e2e_s - done["ttft_s"])[many] / gaps[many]).astype(np.float32)
        )
        if not self._keep_requests:
            return
        table = self._file.require_group("requests")
        for name in records.dtype.names or ():
            column = records[name]
            if name not in table:
                table.create_dataset(
                    name,
                    shape=(0,),
                    maxshape=(None,),
                    dtype=column.dtype,
                    chunks=(1 << 16,),
                    **COMPRESSION,
                )
            dataset = table[name]
            dataset.resize(len(dataset) + len(column), axis=0)
            dataset[-len(column) :] = column

    def event(self, event: Event) -> None:
        """One flag."""
        self.event_counts[event.kind] = self.event_counts.get(event.kind, 0) + 1
        self._events.append(event)

    def _close_window(self) -> None:
        self._server_series.append(self._server_sum / self._in_window)
        self._server_sum[:] = 0.0
        self._in_window = 0

    # --- afterwards ------------------------------------------------------------------------

    def close_series(self) -> None:
        """Write what is left in the buffers; no steps may follow."""
        if self._in_window:
            self._close_window()
        self._upper_series.flush()
        self._server_series.flush()

    def percentile_w(self, percent: float) -> npt.NDArray[np.float64]:
        """A percentile of each node's recorded loads (servers: of their window means)."""
        self.close_series()
        return np.concatenate(
            [self._upper_series.percentile(percent), self._server_series.percentile(percent)]
        )

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Complete the file and give it its name."""
        self.close_series()
        events = self._file.create_group("events")
        flags = self._events
        events.create_dataset("time_s", data=np.array([e.time_s for e in flags], dtype=np.float64))
        events.create_dataset("kind", data=[e.kind for e in flags], dtype=STRING)
        events.create_dataset(
            "node", data=np.array([self._index[e.node] for e in flags], dtype=np.int64)
        )
        events.create_dataset("load_w", data=np.array([e.load_w for e in flags], dtype=np.float64))
        events.create_dataset(
            "limit_w", data=np.array([e.limit_w for e in flags], dtype=np.float64)
        )
        events.create_dataset("message", data=[e.message for e in flags], dtype=STRING)
        self._file.create_dataset("summary", data=json.dumps(summary), dtype=STRING)
        self._file.close()
        self._part.replace(self.path)

    def abort(self) -> None:
        """Give up: leave nothing behind."""
        self._file.close()
        self._part.unlink(missing_ok=True)


class _Series:
    """A growing (time, node) float32 dataset, written a block at a time."""

    def __init__(self, file: h5py.File, name: str, width: int) -> None:
        rows = max(16, min(4096, BUFFER_BYTES // (4 * max(width, 1))))
        self._width = width
        self._buffer = np.empty((rows, width), dtype=np.float32)
        self._filled = 0
        self._dataset = file.create_dataset(
            name,
            shape=(0, width),
            maxshape=(None, width),
            dtype=np.float32,
            chunks=(min(rows, 1024), max(1, min(width, 64))),
            **COMPRESSION,
        )

    def append(self, row: npt.NDArray[np.float64]) -> None:
        self._buffer[self._filled] = row
        self._filled += 1
        if self._filled == len(self._buffer):
            self.flush()

    def flush(self) -> None:
        if self._filled:
            start = len(self._dataset)
            self._dataset.resize(start + self._filled, axis=0)
            self._dataset[start:] = self._buffer[: self._filled]
            self._filled = 0

    def percentile(self, percent: float) -> npt.NDArray[np.float64]:
        """By node, a few chunks' columns at a time: a day of thousands of servers is large."""
        values = np.full(self._width, np.nan)
        if len(self._dataset):
            for low in range(0, self._width, 64):
                block = self._dataset[:, low : low + 64]
                values[low : low + 64] = np.percentile(block, percent, axis=0)
        return values
