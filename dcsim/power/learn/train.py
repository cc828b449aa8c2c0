"""Fits one GRU and a head per configuration to sequences of features and states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import ndtri
from torch import nn

from dcsim.ledger import ReplicaConfig
from dcsim.power.features import FEATURES, FeatureMaker
from dcsim.power.learn.runs import LedgerSeries
from dcsim.power.learn.states import Mixture
from dcsim.power.model import Evidence
from dcsim.power.pack import Pack, States
from dcsim.scenario.catalogue import Catalogue

WARM_UP_STEPS = 8
"""Steps at a window's start whose loss is not counted, the memory still being empty."""


@dataclass(frozen=True)
class Example:
    """Work and watts of one replica over time."""

    series: LedgerSeries
    power_w: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Subject:
    """A configuration to learn: its states and the sequences that show them."""

    config: ReplicaConfig
    mixture: Mixture
    sequences: Sequence[Example]
    evidence: Evidence
    source: str
    state_correlation: float | None = None
    """None: estimated from the sequences."""
    noise_correlation: float | None = None
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults take minutes on two cores."""

    hidden: int = 32
    epochs: int = 60
    window_steps: int = 128
    batch_windows: int = 64
    learning_rate: float = 5e-3
    seed: int = 1


def features_of(series: LedgerSeries, catalogue: Catalogue) -> npt.NDArray[np.float32]:
    """The feature matrix of a series, shape (steps, features)."""
    maker = FeatureMaker([series.config] * len(series), catalogue)
    return maker(series.ledger()).copy()


def train(
    name: str,
    subjects: Sequence[Subject],
    catalogue: Catalogue,
    recipe: Recipe | None = None,
    progress: Callable[[int, float], None] | None = None,
    notes: str = "",
) -> Pack:
    """Fit a pack: cross-entropy between the network's state probabilities and the posterior of
    the states given the watts, over shuffled windows; every subject weighs alike.

    Deterministic for a recipe. `progress(epoch, loss)` is called after each epoch. Raises
    ValueError when there is nothing to learn from.
    """
    recipe = recipe or Recipe()
    if not any(len(s.series) > recipe.window_steps for t in subjects for s in t.sequences):
        raise ValueError(f"no run is longer than {recipe.window_steps} steps: nothing to train on")
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    inputs = [[features_of(s.series, catalogue) for s in t.sequences] for t in subjects]
    every = np.concatenate([matrix for runs in inputs for matrix in runs])
    mean, std = every.mean(axis=0), np.maximum(every.std(axis=0), 1e-3)
    goals = [
        [t.mixture.posterior(s.power_w).astype(np.float32) for s in t.sequences] for t in subjects
    ]
    size = max(len(t.mixture.weight) for t in subjects)
    network = _Network(len(subjects), recipe.hidden, size)
    network.start_heads([t.mixture.weight for t in subjects])
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs)
    for epoch in range(recipe.epochs):
        losses = []
        for x, y, who, weight in _windows(inputs, goals, mean, std, size, recipe, rng):
            optimiser.zero_grad()
            log_p = torch.log_softmax(network(x, who), dim=2)
            each = -(y * log_p).sum(dim=2)[:, WARM_UP_STEPS:].mean(dim=1)
            loss = (each * weight).sum() / weight.sum()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
        schedule.step()
        if progress is not None:
            progress(epoch + 1, float(np.mean(losses)))
    return _pack(name, network, subjects, inputs, mean, std, notes)


class _Network(nn.Module):
    """The shared GRU and one linear head per subject; absent states get no probability."""

    def __init__(self, subjects: int, hidden: int, states: int) -> None:
        super().__init__()
        self.gru = nn.GRU(len(FEATURES), hidden, batch_first=True)
        self.weight = nn.Parameter(0.1 * torch.randn(subjects, states, hidden))
        self.bias = nn.Parameter(torch.full((subjects, states), -1e4))

    def start_heads(self, weights: Sequence[npt.NDArray[np.float64]]) -> None:
        """Begin at the mixtures' own weights."""
        with torch.no_grad():
            for row, weight in enumerate(weights):
                self.bias[row, : len(weight)] = torch.from_numpy(np.log(weight)).float()

    def forward(self, x: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.gru(x)
        return torch.einsum("bth,bkh->btk", hidden, self.weight[who]) + self.bias[who][:, None]


def _windows(
    inputs: list[list[npt.NDArray[np.float32]]],
    goals: list[list[npt.NDArray[np.float32]]],
    mean: npt.NDArray[np.float32],
    std: npt.NDArray[np.float32],
    states: int,
    recipe: Recipe,
    rng: np.random.Generator,
) -> Any:
    """One epoch of shuffled batches; windows start anew at random offsets in every epoch."""
    width = recipe.window_steps
    picks = []
    for subject, runs in enumerate(inputs):
        own = []
        for run, matrix in enumerate(runs):
            spare = len(matrix) - width
            if spare < 0:
                continue
            shift = int(rng.integers(0, min(width, spare + 1)))
            own += [(subject, run, start) for start in range(shift, spare + 1, width)]
        picks += [(*pick, 1.0 / len(own)) for pick in own]
    order = rng.permutation(len(picks))
    scale = len(picks) / len(inputs)
    for low in range(0, len(order), recipe.batch_windows):
        chosen = [picks[i] for i in order[low : low + recipe.batch_windows]]
        x = np.stack([(inputs[s][r][a : a + width] - mean) / std for s, r, a, _ in chosen])
        y = np.zeros((len(chosen), width, states), dtype=np.float32)
        for row, (s, r, a, _) in enumerate(chosen):
            y[row, :, : goals[s][r].shape[1]] = goals[s][r][a : a + width]
        who = torch.tensor([pick[0] for pick in chosen])
        weight = torch.tensor([pick[3] * scale for pick in chosen])
        yield torch.from_numpy(x), torch.from_numpy(y), who, weight


def _pack(
    name: str,
    network: _Network,
    subjects: Sequence[Subject],
    inputs: list[list[npt.NDArray[np.float32]]],
    mean: npt.NDArray[np.float32],
    std: npt.NDArray[np.float32],
    notes: str,
) -> Pack:
    gru = network.gru
    configs = {}
    for row, subject in enumerate(subjects):
        count = len(subject.mixture.weight)
        correlation = subject.state_correlation
        if correlation is None:
            scaled = [(matrix - mean) / std for matrix in inputs[row]]
            correlation = _correlation(network, row, subject, scaled)
        noise = subject.noise_correlation
        configs[subject.config.key] = States(
            mean_w=subject.mixture.mean_w.astype(np.float32),
            std_w=subject.mixture.std_w.astype(np.float32),
            head_weight=network.weight[row, :count].detach().numpy().copy(),
            head_bias=network.bias[row, :count].detach().numpy().copy(),
            state_correlation=correlation,
            noise_correlation=correlation if noise is None else noise,
            evidence=subject.evidence,
            source=subject.source,
            figures=dict(subject.figures),
        )
    return Pack(
        name=name,
        step_s=subjects[0].sequences[0].series.step_s,
        feature_mean=mean.astype(np.float32),
        feature_std=std.astype(np.float32),
        weight_ih=gru.get_parameter("weight_ih_l0").detach().numpy().copy(),
        weight_hh=gru.get_parameter("weight_hh_l0").detach().numpy().copy(),
        bias_ih=gru.get_parameter("bias_ih_l0").detach().numpy().copy(),
        bias_hh=gru.get_parameter("bias_hh_l0").detach().numpy().copy(),
        configs=configs,
        notes=notes,
    )


def _correlation(
    network: _Network, row: int, subject: Subject, scaled: list[npt.NDArray[np.float32]]
) -> float:
    """Lag-one correlation of where the measured watts lie in the network's distribution.

    If the network were all there is to know, these normal scores would be independent; what
    correlation they have is what the generator must add.
    """
    count = len(subject.mixture.weight)
    products = squares = 0.0
    for sequence, matrix in zip(subject.sequences, scaled, strict=True):
        with torch.inference_mode():
            logits = network(torch.from_numpy(matrix)[None], torch.tensor([row]))[0, :, :count]
            weight = torch.softmax(logits, dim=1).double().numpy()
        share = subject.mixture.cdf(sequence.power_w, weight)
        score = ndtri(np.clip(share, 1e-4, 1 - 1e-4))
        products += float((score[1:] * score[:-1]).sum())
        squares += float((score * score).sum())
    return float(np.clip(products / squares, 0.0, 0.98)) if squares else 0.0
