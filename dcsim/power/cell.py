"""One step of a GRU for many replicas at once: one matrix product, then sweeps in place.

Same numbers as `torch.nn.GRUCell` to rounding. Replicas are columns, so that each feature and each
hidden unit is a contiguous row.
"""

from __future__ import annotations

import numpy as np

from dcsim.arrays import Float32Array
from dcsim.power.pack import Pack

HALF = np.float32(0.5)


class Cell:
    """A pack's GRU with the memory of `count` replicas, zero at first.

    Fill `inputs`, then call `step`.

    Attributes
    ----------
    inputs : float32 array, shape (features, count)
        Features of the next step, as the pack's training saw them before standardising.
    hidden : float32 array, shape (hidden, count)
        The memory; `step` updates it in place.
    hidden_and_one : float32 array, shape (hidden + 1, count)
        The memory and below it a row of ones, so that a linear layer on top can hold its bias as
        the last column of its weights.
    """

    def __init__(self, pack: Pack, count: int) -> None:
        features, hidden = len(pack.feature_mean), pack.hidden
        # Standardising is linear, so it can live in the input weights and cost nothing.
        weight_ih = pack.weight_ih / pack.feature_std
        bias_ih = pack.bias_ih - weight_ih @ pack.feature_mean
        # With sigmoid(x) = (1 + tanh(x / 2)) / 2 every nonlinearity is a hyperbolic tangent, which
        # numpy has in vector instructions, and the factors 1/2 live in the weights, too. With
        # r = (1 + R) / 2 the candidate tanh(i + r h) becomes tanh((i + h / 2) + R h / 2).
        # Columns: features, memory, one. Rows: R and Z of the reset and update gates, h / 2 and
        # i + h / 2 of the candidate.
        gates = 2 * hidden
        weight = np.zeros((4 * hidden, features + hidden + 1), dtype=np.float32)
        weight[:gates, :features] = 0.5 * weight_ih[:gates]
        weight[:gates, features:-1] = 0.5 * pack.weight_hh[:gates]
        weight[:gates, -1] = 0.5 * (bias_ih[:gates] + pack.bias_hh[:gates])
        weight[gates:-hidden, features:-1] = 0.5 * pack.weight_hh[gates:]
        weight[gates:-hidden, -1] = 0.5 * pack.bias_hh[gates:]
        weight[-hidden:] = weight[gates:-hidden]
        weight[-hidden:, :features] += weight_ih[gates:]
        weight[-hidden:, -1] += bias_ih[gates:]
        self._weight = weight
        self._columns = np.zeros((features + hidden + 1, count), dtype=np.float32)
        self._columns[-1] = 1.0
        self.inputs: Float32Array = self._columns[:features]
        self.hidden: Float32Array = self._columns[features:-1]
        self.hidden_and_one: Float32Array = self._columns[features:]
        sums = np.zeros((4 * hidden, count), dtype=np.float32)
        self._sums, self._gates = sums, sums[:gates]
        self._reset, self._update = sums[:hidden], sums[hidden:gates]
        self._half_memory, self._rest = sums[gates:-hidden], sums[-hidden:]

    def step(self) -> Float32Array:
        """Take the inputs in; returns `hidden`."""
        np.dot(self._weight, self._columns, out=self._sums)
        np.tanh(self._gates, out=self._gates)
        candidate = self._half_memory
        candidate *= self._reset
        candidate += self._rest
        np.tanh(candidate, out=candidate)
        # hidden = (1 - z) candidate + z hidden, with z = (1 + Z) / 2.
        hidden, difference = self.hidden, self._reset
        np.subtract(hidden, candidate, out=difference)
        difference *= self._update
        hidden += candidate
        hidden += difference
        hidden *= HALF
        return hidden
