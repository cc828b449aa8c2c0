"""The loads of a run: kept in full precision for its figures, in single precision on file."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from dcsim.arrays import Float32Array, FloatArray
from dcsim.results.columns import SeriesDataset

BLOCK_BYTES = 1 << 20
"""Steps are gathered until they are about this much: few calls of numpy, within the cache."""


class Loads:
    """Watts of all nodes, step by step.

    Nodes of one kind stand together, servers last. Those above the servers are written at every
    step, servers as means over `window` steps; the last window may be shorter. All steps are
    written. `sum_w` and `peak_w`, shape (nodes,), are of the `measured` steps after the first
    `warm_up` ones, servers too, `total_w` of all; they are up to date after `close`.
    """

    def __init__(
        self, file: h5py.File, kinds: Sequence[str], window: int, warm_up: int = 0
    ) -> None:
        nodes = len(kinds)
        servers = sum(kind == "server" for kind in kinds)
        self.steps = 0
        self.sum_w = np.zeros(nodes)
        self.total_w = np.zeros(nodes)
        self._warm_up = warm_up
        self._booked = 0
        self.peak_w = np.full(nodes, -np.inf)
        self._upper = nodes - servers
        self._window = window
        self._levels: list[tuple[slice, SeriesDataset]] = []
        """Where each kind above the servers stands among the nodes."""
        for kind in dict.fromkeys(kinds[: self._upper]):
            first, count = list(kinds).index(kind), list(kinds).count(kind)
            level = SeriesDataset(file, f"load/{kind}_w", count)
            self._levels.append((slice(first, first + count), level))
        self._server_series = SeriesDataset(file, "load/server_w", servers)
        self._server_sum_w = np.zeros(servers)
        self._in_window = 0
        self._block_w = np.empty((max(16, min(1024, BLOCK_BYTES // (8 * max(nodes, 1)))), nodes))
        self._filled = 0

    def step(self, node_w: FloatArray) -> None:
        """Loads over one step, shape (nodes,); copied."""
        self.steps += 1
        block_w = self._block_w
        block_w[self._filled] = node_w
        self._filled += 1
        if self._filled == len(block_w):
            self._take()

    def close(self) -> None:
        """Write what is left; no steps may follow. Closing again does nothing."""
        self._take()
        if self._in_window:
            self._server_series.append((self._server_sum_w / self._in_window)[np.newaxis])
            self._in_window = 0
        for _, series in self._levels:
            series.flush()
        self._server_series.flush()

    @property
    def measured(self) -> int:
        """Steps after the warm-up."""
        return max(0, self.steps - self._warm_up)

    def percentile(self, percent: float) -> FloatArray:
        """Of each node's written loads after the warm-up, once closed; of servers, of the means
        of windows that begin after it."""
        first = -(-self._warm_up // self._window)
        parts = [series.percentile(percent, self._warm_up) for _, series in self._levels]
        return np.concatenate([*parts, self._server_series.percentile(percent, first)])

    def site_w(self) -> Float32Array:
        """The site's load at each step, the warm-up's too, once closed."""
        return self.node_w(0)

    def node_w(self, node: int) -> Float32Array:
        """The load at each step of a node above the servers, by its place among all, once closed;
        empty for another."""
        for nodes, series in self._levels:
            if nodes.start <= node < nodes.stop:
                return series.column(node - nodes.start, self.steps)
        return np.zeros(0, np.float32)

    def times_s(self, step_s: float) -> dict[str, FloatArray]:
        """The time axes: the end of each step, and of each window of the servers."""
        windows = np.arange(1, -(-self.steps // self._window) + 1) * self._window
        steps = np.arange(1, self.steps + 1)
        return {
            "time_s": np.multiply(steps, step_s),
            "server_time_s": np.multiply(np.minimum(windows, self.steps), step_s),
        }

    def _take(self) -> None:
        """Book the gathered steps."""
        if not self._filled:
            return
        block_w = self._block_w[: self._filled]
        self._filled = 0
        early = min(max(0, self._warm_up - self._booked), len(block_w))
        self._booked += len(block_w)
        if early:
            self.total_w += block_w[:early].sum(axis=0)
        if early < len(block_w):
            sum_w = block_w[early:].sum(axis=0)
            self.sum_w += sum_w
            self.total_w += sum_w
            np.maximum(self.peak_w, block_w[early:].max(axis=0), out=self.peak_w)
        for nodes, series in self._levels:
            series.append(block_w[:, nodes])
        self._window_means(block_w[:, self._upper :])

    def _window_means(self, server_w: FloatArray) -> None:
        window = self._window
        start = 0
        while start < len(server_w):
            whole = (len(server_w) - start) // window
            if not self._in_window and whole:
                end = start + whole * window
                windows_w = server_w[start:end].reshape(whole, window, server_w.shape[1])
                self._server_series.append(windows_w.sum(axis=1) / window)
            else:
                end = min(len(server_w), start + window - self._in_window)
                self._server_sum_w += server_w[start:end].sum(axis=0)
                self._in_window += end - start
                if self._in_window == window:
                    self._server_series.append((self._server_sum_w / window)[np.newaxis])
                    self._server_sum_w[:] = 0.0
                    self._in_window = 0
            start = end
