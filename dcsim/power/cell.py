"""One step of a GRU for many replicas at once: one matrix product, then four sweeps in place.

Same numbers as `torch.nn.GRUCell` to rounding, in three quarters of its time. Replicas are
columns, so that each feature and each hidden unit is a contiguous row.
"""

from __future__ import annotations

import numpy as np
import torch

from dcsim.arrays import Float32Array
from dcsim.power.pack import Pack


class Cell:
    """The pack's GRU with a memory for each of `count` replicas, zero at first.

    Fill `inputs`, shape (features, count), then call `step`.
    """

    def __init__(self, pack: Pack, count: int) -> None:
        features, hidden = len(pack.feature_mean), pack.hidden
        # Standardising is linear, so it can live in the input weights and cost nothing.
        weight_ih = pack.weight_ih / pack.feature_std
        bias_ih = pack.bias_ih - weight_ih @ pack.feature_mean
        # Columns: features, memory, one. Rows: reset and update gates, then the candidate's
        # share from the memory (which the reset gate scales) and from the features. The
        # candidate's rows are doubled since tanh(x) = 2 sigmoid(2x) - 1, and the sigmoid is
        # several times quicker.
        both = 2 * hidden
        weight = np.zeros((4 * hidden, features + hidden + 1), dtype=np.float32)
        weight[:both, :features] = weight_ih[:both]
        weight[:both, features:-1] = pack.weight_hh[:both]
        weight[:both, -1] = bias_ih[:both] + pack.bias_hh[:both]
        weight[both : 3 * hidden, features:-1] = 2.0 * pack.weight_hh[both:]
        weight[both : 3 * hidden, -1] = 2.0 * pack.bias_hh[both:]
        weight[3 * hidden :, :features] = 2.0 * weight_ih[both:]
        weight[3 * hidden :, -1] = 2.0 * bias_ih[both:]
        self._weight = torch.from_numpy(weight)
        self._columns = torch.zeros(features + hidden + 1, count)
        self._columns[-1] = 1.0
        self.inputs: Float32Array = self._columns[:features].numpy()
        self.hidden = self._columns[features:-1]
        """Shape (hidden, count)."""
        sums = torch.zeros(4 * hidden, count)
        self._sums, self._gates = sums, sums[:both]
        self._reset, self._update = sums[:hidden], sums[hidden:both]
        self._from_memory, self._from_inputs = sums[both : 3 * hidden], sums[3 * hidden :]

    def settle(self, steps: int) -> None:
        """Take the same inputs in so many times: the memory of somebody who has seen nothing else
        for so long."""
        with torch.inference_mode():
            for _ in range(steps):
                self.step()

    def step(self) -> torch.Tensor:
        """Take the inputs in; returns `hidden`. Call inside `torch.inference_mode`."""
        torch.mm(self._weight, self._columns, out=self._sums)
        torch.sigmoid(self._gates, out=self._gates)
        candidate = self._from_memory
        torch.addcmul(self._from_inputs, candidate, self._reset, out=candidate)
        torch.sigmoid(candidate, out=candidate)
        candidate.mul_(2.0).sub_(1.0)
        return torch.lerp(candidate, self.hidden, self._update, out=self.hidden)
