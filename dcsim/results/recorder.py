"""Writes a run's results while it goes: one HDF5 file, complete or absent under its name."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from dcsim.arrays import Float32Array, FloatArray, IntArray, RecordArray
from dcsim.files import partial_path
from dcsim.plant import Plant
from dcsim.records import STORED_COLUMNS, Status
from dcsim.results.columns import TableDataset, store
from dcsim.results.disk import Disk
from dcsim.results.goodput import Goodput, TenantSlo
from dcsim.results.loads import Loads
from dcsim.results.warm_up import WarmUp

FORMAT = "dcsim-results"
FORMAT_VERSION = 1
LIBVER = ("earliest", "v110")
"""Fixed, so that neither bytes nor readers depend on HDF5's defaults."""
STRING = h5py.string_dtype()
EVENT_COLUMNS = {
    "time_s": "<f8",
    "kind": STRING,
    "node": "<i8",
    "load_w": "<f8",
    "limit_w": "<f8",
    "message": STRING,
}
EVENT_ROWS = 256


@dataclass(frozen=True, slots=True)
class NodeTable:
    """The power tree in node order: site first, servers last."""

    names: Sequence[str]
    kinds: Sequence[str]
    rating_w: FloatArray
    """NaN where unknown."""
    parent_index: IntArray
    nameplate_w: FloatArray | None = None
    """Sum of the nameplates of the servers below; None, or NaN for a node: unknown."""
    nameplate_load_w: FloatArray | None = None
    """Load with every server at its nameplate, through the site's cooling and losses."""
    feeds: IntArray | None = None
    """All nodes that feed each, the preferred first, -1 where there is none; None: the parent."""

    @classmethod
    def from_plant(cls, plant: Plant, nameplate_load_w: FloatArray) -> NodeTable:
        """Of a plant's nodes."""
        topology = plant.topology
        return cls(
            names=topology.names,
            kinds=topology.kinds,
            rating_w=topology.rating_w,
            parent_index=topology.parent_index,
            feeds=topology.feeds,
            nameplate_w=topology.sum_loads(plant.servers.nameplate_w).copy(),
            nameplate_load_w=nameplate_load_w,
        )


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
    Sums, peaks and latencies are also kept in memory for the summary: 12 bytes a request. They
    leave out the warm-up, which the file has in full.

    Raises OSError, at once, when the file cannot be written where `path` says, and later when
    the disk is full; ValueError when `server_step_s` is no multiple of `step_s`.
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
        slos: Sequence[TenantSlo] = (),
        warm_up: WarmUp | None = None,
    ) -> None:
        self.path = path
        self.nodes = nodes
        self.seed = seed
        self.step_s = step_s
        self.event_counts: dict[str, int] = {}
        self.warm_up_trips = 0
        self.latencies: dict[str, list[Float32Array]] = {
            "ttft_s": [],
            "tpot_s": [],
            "e2e_s": [],
        }
        """Of completed requests that arrived after the warm-up, block by block."""
        self.warm_up = WarmUp() if warm_up is None else warm_up
        self.goodput = Goodput(slos) if slos else None
        window = round(server_step_s / step_s)
        if window < 1 or abs(window * step_s - server_step_s) > 1e-9 * server_step_s:
            raise ValueError("record.server_step must be a whole multiple of power_step")
        self._index = {name: i for i, name in enumerate(nodes.names)}
        self._part = _part_of(path)
        # Whoever is interrupted before `abort` can be called leaves nothing behind either.
        self._leftover = weakref.finalize(self, self._part.unlink, missing_ok=True)
        try:
            self._disk = Disk(self._part)
        except OSError as error:
            raise self._write_error(error) from error
        try:
            self._file = h5py.File(self._disk, "w", libver=LIBVER)
        except BaseException:
            self._disk.close()
            self._leftover()
            raise
        try:
            with self._writing():
                self._describe(scenario_yaml, server_step_s, versions)
                self.loads = Loads(
                    self._file, nodes.kinds, window, round(self.warm_up.cut_s / step_s)
                )
                self._requests = (
                    TableDataset(self._file, "requests", STORED_COLUMNS) if keep_requests else None
                )
                self._events = TableDataset(self._file, "events", EVENT_COLUMNS, EVENT_ROWS)
        except BaseException:
            self.abort()
            raise

    def _describe(
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
        unknown_w = np.full(len(self.nodes.names), np.nan)
        for name in ("nameplate_w", "nameplate_load_w"):
            watts = getattr(self.nodes, name)
            table.create_dataset(name, data=unknown_w if watts is None else watts)
        table.create_dataset("parent", data=self.nodes.parent_index)
        feeds = self.nodes.feeds
        table.create_dataset(
            "feeds", data=self.nodes.parent_index[:, np.newaxis] if feeds is None else feeds
        )

    # --- while running ---------------------------------------------------------------------

    def step(self, node_w: FloatArray) -> None:
        """Loads of all nodes over one power step, shape (nodes,); copied."""
        self.loads.step(node_w)
        if self._disk.error is not None:
            raise self._write_error(self._disk.error)

    def requests(self, records: RecordArray) -> None:
        """Requests that have left, as structured records; copied."""
        if self._requests is not None:
            with self._writing():
                self._requests.append(
                    {name: records[name] for name in STORED_COLUMNS}, len(records)
                )
        if self.warm_up.cut_s > 0.0:
            records = records[records["arrival_s"] >= self.warm_up.cut_s]
        completed = records["status"] == Status.COMPLETED
        done = records[completed]
        # What a client sees of its last token: arrival to end, and the gaps after the first.
        e2e_s = done["end_s"] - done["arrival_s"]
        gaps = done["generated_tokens"] - 1
        tpot_s = np.full(len(done), np.nan)
        np.divide(e2e_s - done["ttft_s"], gaps, out=tpot_s, where=gaps > 0)
        self.latencies["ttft_s"].append(done["ttft_s"].astype(np.float32))
        self.latencies["e2e_s"].append(e2e_s.astype(np.float32))
        self.latencies["tpot_s"].append(tpot_s[gaps > 0].astype(np.float32))
        if self.goodput is not None:
            self.goodput.add(records, completed, tpot_s)

    def event(self, event: Event) -> None:
        """One flag."""
        self.event_counts[event.kind] = self.event_counts.get(event.kind, 0) + 1
        if event.kind == "trip" and event.time_s <= self.warm_up.cut_s + 0.5 * self.step_s:
            self.warm_up_trips += 1
        row = {name: [getattr(event, name)] for name in EVENT_COLUMNS}
        row["node"] = [self._index[event.node]]
        with self._writing():
            self._events.append(row, 1)

    # --- afterwards ------------------------------------------------------------------------

    def close_series(self) -> None:
        """Write the loads that wait in memory; no steps may follow."""
        with self._writing():
            self.loads.close()

    def percentile_w(self, percent: float) -> FloatArray:
        """A percentile of each node's recorded loads (servers: of their window means)."""
        self.close_series()
        return self.loads.percentile(percent)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Complete the file and give it its name."""
        self.close_series()
        with self._writing():
            if self._requests is not None:
                self._requests.flush()
            self._events.flush()
            for name, axis_s in self.loads.times_s(self.step_s).items():
                store(self._file, f"load/{name}", axis_s)
            # NaN is no JSON: what is unknown must be None.
            text = json.dumps(summary, allow_nan=False)
            self._file.create_dataset("summary", data=text, dtype=STRING)
            self._file.close()
            self._disk.sync()
            self._disk.close()
        self._part.replace(self.path)
        self._leftover.detach()

    def abort(self) -> None:
        """Give up: leave nothing behind. Does nothing after `finish`."""
        self._file.close()
        self._disk.close()
        self._leftover()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Work on the file that may meet a full disk."""
        yield
        if self._disk.error is not None:
            raise self._write_error(self._disk.error)

    def _write_error(self, error: OSError) -> OSError:
        """The system's error, with the name that the user knows."""
        return OSError(error.errno, f"cannot write results: {error.strerror}", str(self.path))


def _part_of(path: Path) -> Path:
    """The temporary name beside `path`. Raises OSError where no file may be made."""
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(2, "cannot write results: no such folder", str(folder))
    if path.is_dir():
        raise IsADirectoryError(21, "cannot write results: that is a folder", str(path))
    if path.exists() and not path.is_file():  # a device: renaming a file onto it would remove it
        raise OSError(22, "cannot write results: that is no plain file", str(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, "cannot write results: the folder is not writable", str(folder))
    return partial_path(path)
