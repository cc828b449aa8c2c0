"""Fits one GRU and a head per configuration to sequences of features and states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtri
from torch import nn

from dcsim.arrays import Float32Array, FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.isolated import isolated
from dcsim.lab.learn.persistence import Persistence, fit_persistence
from dcsim.lab.learn.subjects import Example, Subject, with_out_of_range
from dcsim.power.features import FEATURES
from dcsim.power.pack import Pack, States

WARM_UP_STEPS = 8
"""Steps at a window's start whose loss is not counted, the memory still being empty."""
LEAST_STD = 0.05
"""Least divisor of a feature. One that never varied in the runs (no request ever waited) must not
be blown up when it does."""
HOLDOUT_EVERY = 25
"""Updates between two evaluations of the loss on holdouts."""
WEIGHTS = FEATURES.index("weight_fraction")


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults take minutes on two cores."""

    hidden: int = 32
    updates: int = 2000
    window_steps: int = 128
    batch_windows: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 1e-3
    feature_noise: float = 0.3
    """Noise on standardised features, so that a short run is not learnt by heart."""
    synthetic_share: float = 0.25
    """Of the windows: work out of the subject's range (`Subject.out_of_range`)."""
    synthetic_steps: int = 4000
    """Synthetic work of each subject."""
    seed: int = 1

    @property
    def out_of_range_steps(self) -> int:
        """Steps of synthetic work a subject gets: a window at least."""
        return max(self.synthetic_steps, self.window_steps)

    def out_of_range_seed(self, row: int) -> int:
        """Seed of the synthetic work of the subject at this place among those trained."""
        return self.seed + 1000 * row

    def out_of_range(self, subject: Subject, catalogue: Catalogue, row: int) -> Subject:
        """The subject at this place among those trained, with its work out of range."""
        return with_out_of_range(
            subject, catalogue, self.out_of_range_steps, self.out_of_range_seed(row)
        )


@dataclass
class Holdout:
    """A sequence that is not trained on, and the loss on it as training goes."""

    key: str
    """Of the subject that should predict its states."""
    example: Example
    losses: list[tuple[int, float]] = field(default_factory=list)
    """Updates and cross-entropy in nats a step."""


def train(
    name: str,
    subjects: Sequence[Subject],
    catalogue: Catalogue,
    recipe: Recipe | None = None,
    progress: Callable[[int, float], None] | None = None,
    notes: str = "",
    start: Pack | None = None,
    holdouts: Sequence[Holdout] = (),
) -> Pack:
    """Fit a pack: cross-entropy between the network's state probabilities and the posterior of
    the states given the watts, over random windows, each subject by its share.

    With a pack to `start` from, its network is kept as it is: only the subjects' tables are
    fitted, and join or replace the pack's, of which the others stay as they were.

    Deterministic for a recipe. `progress(update, loss)` is called after each update; every
    HOLDOUT_EVERY, the holdouts get the loss on their sequences.

    Raises
    ------
    ValueError
        If a configuration has no run as long as a window.
    """
    recipe = recipe or Recipe()
    for subject in subjects:
        if not any(len(example.series) >= recipe.window_steps for example in subject.sequences):
            raise ValueError(
                f"{subject.key}: no run has {recipe.window_steps} steps in a row, the "
                "least to train on"
            )
    with isolated(recipe.seed):
        training = _Training(subjects, catalogue, recipe, start)
        for update in range(1, recipe.updates + 1):
            loss = training.update()
            if progress is not None:
                progress(update, loss)
            if update % HOLDOUT_EVERY == 0 or update == recipe.updates:
                for holdout in holdouts:
                    holdout.losses.append((update, training.loss_on(holdout)))
        pack = training.pack(name, notes)
    if start is None:
        return pack
    return replace(pack, step_s=start.step_s, configs={**start.configs, **pack.configs})


class _Network(nn.Module):
    """The shared GRU and one linear head per subject; absent states get no probability."""

    def __init__(self, mixture_weights: Sequence[FloatArray], hidden: int) -> None:
        """Heads begin at the mixtures' own weights."""
        super().__init__()
        subjects, states = len(mixture_weights), max(len(weight) for weight in mixture_weights)
        self.gru = nn.GRU(len(FEATURES), hidden, batch_first=True)
        self.weight = nn.Parameter(0.1 * torch.randn(subjects, states, hidden))
        self.bias = nn.Parameter(torch.full((subjects, states), -1e4))
        with torch.no_grad():
            for row, weight in enumerate(mixture_weights):
                self.bias[row, : len(weight)] = torch.from_numpy(np.log(weight)).float()

    def keep(self, pack: Pack) -> None:
        """Take the recurrent part of a pack, and leave it as it is."""
        with torch.no_grad():
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                parameter = self.gru.get_parameter(f"{name}_l0")
                parameter.copy_(torch.from_numpy(getattr(pack, name)))
                parameter.requires_grad_(False)

    def forward(self, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.gru(x)
        return torch.einsum("bth,bkh->btk", hidden, self.weight[rows]) + self.bias[rows][:, None]

    def logits(self, scaled: Float32Array, row: int, states: int) -> torch.Tensor:
        """Of a whole sequence for one subject, shape (steps, states)."""
        batch: torch.Tensor = self(torch.from_numpy(scaled)[None], torch.tensor([row]))
        return batch[0, :, :states]


class _Sequence(NamedTuple):
    """An example as the network sees it."""

    scaled: Float32Array
    """Standardised features, shape (steps, features)."""
    posterior: Float32Array
    """Probability of each state given the watts, shape (steps, states)."""
    weight: float


class _Training:
    """A network, the sequences that it learns from, and the optimiser between them."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        catalogue: Catalogue,
        recipe: Recipe,
        start: Pack | None,
    ) -> None:
        self._catalogue = catalogue
        self._recipe = recipe
        self._rng = np.random.default_rng(recipe.seed)
        self._subjects = [
            recipe.out_of_range(subject, catalogue, row) for row, subject in enumerate(subjects)
        ]
        if start is None:
            every = np.concatenate(
                [e.features(catalogue) for s in self._subjects for e in s.sequences]
            )
            self._mean, self._std = every.mean(axis=0), np.maximum(every.std(axis=0), LEAST_STD)
        else:
            self._mean, self._std = start.feature_mean, start.feature_std
        self._within = [self._sequences(s, s.sequences) for s in self._subjects]
        self._beyond = [self._sequences(s, s.out_of_range or ()) for s in self._subjects]
        shares = np.array([subject.share for subject in subjects])
        self._shares = shares / shares.sum()
        self._network = _Network(
            [subject.mixture.weight for subject in self._subjects],
            recipe.hidden if start is None else start.hidden,
        )
        if start is not None:
            self._network.keep(start)
        self._learned = [p for p in self._network.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(
            self._learned, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimiser, recipe.updates)

    def update(self) -> float:
        """Learn from one batch of windows; returns its loss, in nats a step."""
        x, y, rows = self._batch()
        self._optimiser.zero_grad()
        log_p = torch.log_softmax(self._network(x, rows), dim=2)
        loss = -(y * log_p).sum(dim=2)[:, WARM_UP_STEPS:].mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self._learned, 1.0)
        self._optimiser.step()
        self._schedule.step()
        return float(loss.detach())

    def loss_on(self, holdout: Holdout) -> float:
        """Cross-entropy on a holdout, in nats a step."""
        row = next(r for r, subject in enumerate(self._subjects) if subject.key == holdout.key)
        (sequence,) = self._sequences(self._subjects[row], [holdout.example])
        goal = sequence.posterior
        with torch.inference_mode():
            logits = self._network.logits(sequence.scaled, row, self._network.bias.shape[1])
            log_p = torch.log_softmax(logits, dim=1)[:, : goal.shape[1]]
            return float(-(torch.from_numpy(goal) * log_p).sum(dim=1)[WARM_UP_STEPS:].mean())

    def pack(self, name: str, notes: str) -> Pack:
        """What was learned."""
        gru = {
            key: self._network.gru.get_parameter(f"{key}_l0").detach().numpy().copy()
            for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        return Pack(
            name=name,
            step_s=self._subjects[0].sequences[0].series.step_s,
            feature_mean=self._mean.astype(np.float32),
            feature_std=self._std.astype(np.float32),
            **gru,
            configs={s.key: self._table(row, s) for row, s in enumerate(self._subjects)},
            notes=notes,
        )

    def _sequences(self, subject: Subject, examples: Sequence[Example]) -> list[_Sequence]:
        return [
            _Sequence(
                (example.features(self._catalogue) - self._mean) / self._std,
                subject.mixture.posterior(example.power_w).astype(np.float32),
                example.weight,
            )
            for example in examples
        ]

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Random windows: a subject by its share, then each of its steps, or of those out of its
        range."""
        recipe, rng = self._recipe, self._rng
        width, count = recipe.window_steps, recipe.batch_windows
        x = np.empty((count, width, len(FEATURES)), dtype=np.float32)
        y = np.zeros((count, width, self._network.bias.shape[1]), dtype=np.float32)
        rows = rng.choice(len(self._subjects), size=count, p=self._shares)
        for window, row in enumerate(rows.tolist()):
            source = self._beyond if rng.random() < recipe.synthetic_share else self._within
            sequences = source[row]
            spare = np.array([s.weight * max(0, len(s.scaled) - width + 1) for s in sequences])
            chosen = sequences[int(rng.choice(len(spare), p=spare / spare.sum()))]
            first = int(rng.integers(len(chosen.scaled) - width + 1))
            x[window] = chosen.scaled[first : first + width]
            x[window, :, WEIGHTS] += self._subjects[row].weight_jitter * rng.standard_normal()
            goal = chosen.posterior[first : first + width]
            y[window, :, : goal.shape[1]] = goal
        x += recipe.feature_noise * rng.standard_normal(x.shape, dtype=np.float32)
        return torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(rows)

    def _table(self, row: int, subject: Subject) -> States:
        """A subject's states, its head, and the persistence of what the network does not know."""
        mixture, count = subject.mixture, len(subject.mixture.weight)
        scores = [
            self._scores(row, example, sequence.scaled)
            for example, sequence in zip(subject.sequences, self._within[row], strict=True)
        ]
        persistence = persistence_of(subject, scores)
        correlation, noise = subject.state_correlation, subject.noise_correlation
        if correlation is None:
            correlation = persistence.quick
        return States(
            mean_w=mixture.mean_w.astype(np.float32),
            std_w=mixture.std_w.astype(np.float32),
            head_weight=self._network.weight[row, :count].detach().numpy().copy(),
            head_bias=self._network.bias[row, :count].detach().numpy().copy(),
            state_correlation=correlation,
            noise_correlation=correlation if noise is None else noise,
            evidence=subject.evidence,
            source=subject.source,
            figures=dict(subject.figures),
            slow_share=persistence.slow_share,
            slow_correlation=persistence.slow,
        )

    def _scores(self, row: int, example: Example, scaled: Float32Array) -> FloatArray:
        """Where the measured watts lie in the network's distribution, as normal scores.

        If the network were all there is to know, these would be independent in time; what
        correlation they have is what the generator must add.
        """
        mixture = self._subjects[row].mixture
        with torch.inference_mode():
            logits = self._network.logits(scaled, row, len(mixture.weight))
            weight = torch.softmax(logits, dim=1).double().numpy()
        share = mixture.cdf(example.power_w, weight)
        scores: FloatArray = ndtri(np.clip(share, 1e-4, 1 - 1e-4))
        return scores


def persistence_of(subject: Subject, scores: Sequence[FloatArray]) -> Persistence:
    """The temporal correlation of the scores, by the sequences that were measured in time, or by
    all where none was.

    Where the subject stands for others, the mean of each sequence is taken off first: that a whole
    run lies high is its machine, which the error band states, and no deviation that comes and
    goes.
    """
    rows = list(zip(subject.sequences, scores, strict=True))
    timed = [(example, score) for example, score in rows if example.timed]
    rows = timed or rows
    if subject.weight_jitter and timed:
        rows = [(example, score - score.mean()) for example, score in rows]
    return fit_persistence([score for _, score in rows], [example.weight for example, _ in rows])
