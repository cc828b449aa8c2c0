"""How likely each power state is: a pack's GRU and the heads of its tables, for many replicas."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from dcsim.arrays import Float32Array, FloatArray, IntArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.ledger import ReplicaConfig, WorkLedger
from dcsim.power.blas import SingleThread
from dcsim.power.cell import Cell
from dcsim.power.features import FeatureMaker
from dcsim.power.pack import Pack, States

REST_STEPS = 240
"""A minute at the packs' step: long enough for the quick part of the memory, and no longer than the
runs that it was trained on."""
IMPOSSIBLE = -1e9
"""Bias of a state that a table lacks."""


class StateNetwork:
    """The network of a pack with the memory of `n` replicas, which begin as if they had rested.

    Parameters
    ----------
    tables
        Distinct tables of states.
    rows : ndarray, shape (n,)
        The table of each replica.
    """

    def __init__(
        self,
        pack: Pack,
        configs: Sequence[ReplicaConfig],
        tables: Sequence[States],
        rows: IntArray,
        catalogue: Catalogue,
    ) -> None:
        count, size = len(configs), max(len(table.mean_w) for table in tables)
        # The last column is the bias.
        heads = np.zeros((len(tables), size, pack.hidden + 1), dtype=np.float32)
        heads[:, :, -1] = IMPOSSIBLE
        for head, table in zip(heads, tables, strict=True):
            head[: len(table.mean_w), :-1] = table.head_weight
            head[: len(table.mean_w), -1] = table.head_bias
        self._single_thread = SingleThread()
        self._cell = Cell(pack, count)
        # In the cell the replicas of one table stand side by side, so that each head reads a slice.
        order = np.argsort(rows, kind="stable")
        edges = np.searchsorted(rows[order], np.arange(len(tables) + 1)).tolist()
        self._logits = np.zeros((size, count), dtype=np.float32)
        self._heads = [
            (head, self._cell.hidden_and_one[:, first:last], self._logits[:, first:last])
            for head, (first, last) in zip(heads, pairwise(edges), strict=True)
        ]
        self._order = order if (np.diff(rows) < 0).any() else None
        """The replica at each place in the cell; None: as they come."""
        unsorted = None if self._order is not None else self._cell.inputs
        self._features = FeatureMaker(configs, catalogue, unsorted)
        if self._order is not None:
            self._cell.inputs[:] = self._features.out[:, order]
        self._rest(pack)
        self._cumulated = np.empty((size, count), dtype=np.float32)
        self._triangle = np.tril(np.ones((size, size), dtype=np.float32))

    def choose(self, ledger: WorkLedger, share: FloatArray) -> IntArray:
        """Advance one step; the state of each replica whose rank among its states, weighed by
        their probabilities, is `share`, shape (n,)."""
        cumulative, order = self._cumulative(ledger), self._order
        if order is not None:
            share = share[order]
        # Cumulative weights are not normalised; their sum is the last row.
        state = (cumulative < share * cumulative[-1]).sum(axis=0)
        np.minimum(state, len(cumulative) - 1, out=state)
        if order is not None:
            state[order] = state.copy()
        chosen: IntArray = state
        return chosen

    def probabilities(self, ledger: WorkLedger) -> FloatArray:
        """Advance one step; the probability of each state, shape (n, states)."""
        weights = np.diff(self._cumulative(ledger).astype(np.float64), axis=0, prepend=0.0)
        shares = np.empty_like(weights)
        shares[:, slice(None) if self._order is None else self._order] = weights
        shares /= shares.sum(axis=0)
        return shares.T

    def _rest(self, pack: Pack) -> None:
        """Start with the memory of replicas that have rested: an empty one takes seconds of high
        watts to find out that there is nothing to do. Features of rest are those that stand in the
        inputs before the first step."""
        distinct, columns = np.unique(self._cell.inputs, axis=1, return_inverse=True)
        rested = Cell(pack, distinct.shape[1])
        rested.inputs[:] = distinct
        with self._single_thread:
            for _ in range(REST_STEPS):
                rested.step()
        self._cell.hidden[:] = rested.hidden[:, columns.reshape(-1)]

    def _cumulative(self, ledger: WorkLedger) -> Float32Array:
        """Running sums over the states of their unnormalised weights, shape (states, n), replicas
        in the cell's order."""
        features = self._features(ledger)
        if self._order is not None:
            np.take(features, self._order, axis=1, out=self._cell.inputs, mode="clip")
        with self._single_thread:
            self._cell.step()
            for head, hidden_and_one, logits in self._heads:
                np.matmul(head, hidden_and_one, out=logits)
            logits = self._logits
            logits -= logits.max(axis=0)
            np.exp(logits, out=logits)
            # A product with a triangle of ones: several times quicker than numpy's cumsum.
            return np.matmul(self._triangle, logits, out=self._cumulated)
