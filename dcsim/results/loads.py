"""The loads of a run: kept in full precision for its figures, in single precision on file."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np
import numpy.typing as npt

from dcsim.results.columns import Series

BLOCK_BYTES = 1 << 20
"""Steps are gathered until they are about this much: few calls of numpy, within the cache."""


class Loads:
    """Watts of all nodes, step by step.

    Nodes above the servers are written at every step, servers (which come last) as means over
    `window` steps; the last window may be shorter. `sum_w` and `peak_w`, shape (nodes,), are of
    all steps, servers too; they are up to date after `close`.
    """

    def __init__(self, file: h5py.File, kinds: Sequence[str], window: int) -> None:
        nodes = len(kinds)
        servers = sum(kind == "server" for kind in kinds)
        self.steps = 0
        self.sum_w = np.zeros(nodes)
        self.peak_w = np.full(nodes, -np.inf)
        self._upper = nodes - servers
        self._window = window
        self._upper_series = Series(file, "load/upper_w", self._upper)
        self._server_series = Series(file, "load/server_w", servers)
        self._server_sum_w = np.zeros(servers)
        self._in_window = 0
        self._block_w = np.empty((max(16, min(1024, BLOCK_BYTES // (8 * max(nodes, 1)))), nodes))
        self._filled = 0

    def step(self, node_w: npt.NDArray[np.float64]) -> None:
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
        self._upper_series.flush()
        self._server_series.flush()

    def percentile(self, percent: float) -> npt.NDArray[np.float64]:
        """Of each node's written loads, once closed; of servers, of their window means."""
        return np.concatenate(
            [self._upper_series.percentile(percent), self._server_series.percentile(percent)]
        )

    def _take(self) -> None:
        """Book the gathered steps."""
        if not self._filled:
            return
        block_w = self._block_w[: self._filled]
        self._filled = 0
        self.sum_w += block_w.sum(axis=0)
        np.maximum(self.peak_w, block_w.max(axis=0), out=self.peak_w)
        self._upper_series.append(block_w[:, : self._upper])
        self._window_means(block_w[:, self._upper :])

    def _window_means(self, server_w: npt.NDArray[np.float64]) -> None:
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
