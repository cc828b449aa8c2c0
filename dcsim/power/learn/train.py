"""Fits one GRU and a head per configuration to sequences of features and states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
    updates: int = 1000
    window_steps: int = 128
    batch_windows: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 1e-3
    feature_noise: float = 0.05
    """Noise on standardised features, so that a short run is not learnt by heart."""
    seed: int = 1


def features_of(series: LedgerSeries, catalogue: Catalogue) -> npt.NDArray[np.float32]:
    """The feature matrix of a series, shape (steps, features)."""
    maker = FeatureMaker([series.config] * len(series), catalogue)
    return np.ascontiguousarray(maker(series.ledger()).T)


def train(
    name: str,
    subjects: Sequence[Subject],
    catalogue: Catalogue,
    recipe: Recipe | None = None,
    progress: Callable[[int, float], None] | None = None,
    notes: str = "",
) -> Pack:
    """Fit a pack: cross-entropy between the network's state probabilities and the posterior of
    the states given the watts, over random windows; every subject weighs alike.

    Deterministic for a recipe. `progress(update, loss)` is called after each update. Raises
    ValueError when a configuration has no run as long as a window.
    """
    recipe = recipe or Recipe()
    for subject in subjects:
        if not any(len(example.series) >= recipe.window_steps for example in subject.sequences):
            raise ValueError(
                f"{subject.config.key}: no run has {recipe.window_steps} steps in a row, the "
                "least to train on"
            )
    torch.set_num_threads(1)  # same sums on every machine, and hardly slower
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
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.updates)
    for update in range(1, recipe.updates + 1):
        x, y, who = _batch(inputs, goals, mean, std, size, recipe, rng)
        optimiser.zero_grad()
        log_p = torch.log_softmax(network(x, who), dim=2)
        loss = -(y * log_p).sum(dim=2)[:, WARM_UP_STEPS:].mean()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(update, float(loss.detach()))
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


def _batch(
    inputs: list[list[npt.NDArray[np.float32]]],
    goals: list[list[npt.NDArray[np.float32]]],
    mean: npt.NDArray[np.float32],
    std: npt.NDArray[np.float32],
    states: int,
    recipe: Recipe,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random windows: each subject as likely, then each of its steps."""
    width, count = recipe.window_steps, recipe.batch_windows
    x = np.empty((count, width, len(FEATURES)), dtype=np.float32)
    y = np.zeros((count, width, states), dtype=np.float32)
    who = rng.integers(len(inputs), size=count)
    for row, subject in enumerate(who.tolist()):
        spare = np.array([max(0, len(run) - width + 1) for run in inputs[subject]])
        run = int(rng.choice(len(spare), p=spare / spare.sum()))
        start = int(rng.integers(spare[run]))
        x[row] = (inputs[subject][run][start : start + width] - mean) / std
        goal = goals[subject][run][start : start + width]
        y[row, :, : goal.shape[1]] = goal
    x += recipe.feature_noise * rng.standard_normal(x.shape, dtype=np.float32)
    return torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(who)


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
