"""The published generator, as a yardstick: a bidirectional GRU on two features, offline only.

docs/reference/method.md, Published generator: the number of active requests and its change,
standardised; a mixture of 10 normals of the configuration's watts; a network of its own for each
configuration that sees the future too; states and watts drawn independently at every step. It
cannot run in a simulation, where the future is not known, and no scenario may name it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from dcsim.arrays import FloatArray
from dcsim.lab.learn.isolated import isolated
from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.learn.states import Mixture, fit_mixture
from dcsim.lab.ledger_series import LedgerSeries

HIDDEN = 64
EPOCHS = 200
"""Published: up to 1000, stopped early on runs set aside; these few runs can spare none."""
LEARNING_RATE = 1e-3


class BiGru:
    """Trained on runs of one configuration; gives watts for the work of another run of it."""

    def __init__(self, runs: Sequence[MeasuredRun], epochs: int = EPOCHS, seed: int = 42) -> None:
        keys = {run.series.config.key for run in runs}
        if len(keys) != 1:
            raise ValueError(f"bigru learns from runs of one configuration, not {sorted(keys)}")
        power_w = np.concatenate([run.power_w for run in runs])
        self._mixture = fit_mixture(power_w)
        raw = [_features(run.series) for run in runs]
        every = np.concatenate(raw)
        self._mean, self._std = every.mean(axis=0), every.std(axis=0) + 1e-6
        room = 0.05 * float(np.ptp(power_w))
        self._low_w, self._high_w = float(power_w.min()) - room, float(power_w.max()) + room
        with isolated(seed):
            self._gru = nn.GRU(2, HIDDEN, batch_first=True, bidirectional=True)
            self._head = nn.Linear(2 * HIDDEN, len(self._mixture.weight))
            parameters = [*self._gru.parameters(), *self._head.parameters()]
            optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE)
            labels = [
                torch.from_numpy(self._mixture.posterior(run.power_w).argmax(axis=1))
                for run in runs
            ]
            inputs = [self._scaled(features) for features in raw]
            for _ in range(epochs):
                for x, label in zip(inputs, labels, strict=True):
                    optimiser.zero_grad()
                    loss = nn.functional.cross_entropy(self._logits(x), label)
                    loss.backward()
                    nn.utils.clip_grad_norm_(parameters, 1.0)
                    optimiser.step()

    def generate(self, series: LedgerSeries, seeds: int, seed: int = 42) -> FloatArray:
        """Watts, shape (steps, seeds); the whole series is seen at once."""
        mixture: Mixture = self._mixture
        with torch.inference_mode():
            logits = self._logits(self._scaled(_features(series)))
            weight = torch.softmax(logits, dim=1).double().numpy()
        rng = np.random.default_rng(seed)
        aim = rng.random((len(series), seeds))
        cumulative = weight.cumsum(axis=1)
        state = (cumulative[:, None, :] < aim[:, :, None]).sum(axis=2)
        state = np.minimum(state, weight.shape[1] - 1)
        watts = mixture.mean_w[state] + mixture.std_w[state] * rng.standard_normal(state.shape)
        clipped: FloatArray = np.clip(watts, self._low_w, self._high_w)
        return clipped

    def _scaled(self, features: FloatArray) -> torch.Tensor:
        return torch.from_numpy(((features - self._mean) / self._std).astype(np.float32))

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        hidden, _ = self._gru(x[None])
        logits: torch.Tensor = self._head(hidden[0])
        return logits


def _features(series: LedgerSeries) -> FloatArray:
    """Active requests, queued ones too, and their change, shape (steps, 2)."""
    active = series.columns["running"] + series.columns["waiting"]
    return np.stack([active, np.diff(active, prepend=active[0])], axis=1)
