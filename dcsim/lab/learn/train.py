"""Fits one GRU and a head per configuration to sequences of features and states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.special import ndtri
from torch import nn

from dcsim.arrays import Float32Array, FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.imagined import imagine
from dcsim.lab.learn.isolated import isolated
from dcsim.lab.learn.persistence import Persistence, fit_persistence
from dcsim.lab.learn.runs import LedgerSeries
from dcsim.lab.learn.states import Mixture, with_headroom
from dcsim.lab.learn.targets import Levels, Prior, carry_over
from dcsim.power.features import FEATURES, FeatureMaker
from dcsim.power.model import Evidence
from dcsim.power.pack import Pack, States

WARM_UP_STEPS = 8
"""Steps at a window's start whose loss is not counted, the memory still being empty."""
LEAST_STD = 0.05
"""Least divisor of a feature. One that never varied in the runs (no request ever waited) must not
be blown up when it does."""
MIXTURE_SEED = 42
JUDGE_EVERY = 25
"""Updates between two looks at sequences held out."""
WEIGHTS = FEATURES.index("weight_fraction")
Pool = list[tuple[Float32Array, Float32Array, float]]
"""Feature matrices, state posteriors and weights of examples."""


@dataclass(frozen=True)
class Example:
    """Work and watts of one replica over time."""

    series: LedgerSeries
    power_w: FloatArray
    weight: float = 1.0
    """Of a step of it, beside those of the subject's other sequences."""
    timed: bool = True
    """Whether the watts were measured in this order; constructed ones were not."""


@dataclass(frozen=True)
class Subject:
    """A configuration to learn: its states and the sequences that show them.

    A subject may also stand for many configurations (`pooled`): then every sequence is of its own
    configuration, and for watts stand ratios to the linear ledger model.
    """

    key: str
    """`ReplicaConfig.key`, or what stands in its place."""
    mixture: Mixture
    sequences: Sequence[Example]
    evidence: Evidence
    source: str
    levels: Levels | None = None
    """For work beyond the sequences; None: as in the sequences."""
    state_correlation: float | None = None
    """None: estimated from the sequences."""
    noise_correlation: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    beyond: Sequence[Example] | None = None
    """Work beyond the sequences; None: made up (`imagined`)."""
    prior: Prior | None = None
    """What made-up work should draw where it goes beyond the sequences; None: by the linear ledger
    model."""
    also: Sequence[Example] = ()
    """Measured work beyond the sequences, learned from beside the made-up."""
    share: float = 1.0
    """Of the training windows, beside the other subjects'."""
    campaign: str = ""
    """Whose measurements they are. Machines and engines of two campaigns differ more than two
    models of one, so what stands for unseen models (`pooled`) weighs campaigns alike."""
    blur: float = 0.0
    """Standard deviations by which a window's weight fraction is moved. That feature tells
    configurations apart; a subject that stands for unseen ones must not lean on it."""


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
    imagined_share: float = 0.25
    """Of the windows: work beyond the subject's own (see `imagined`)."""
    imagined_steps: int = 4000
    """Made up for each subject."""
    seed: int = 1


@dataclass
class Judged:
    """A sequence that is not trained on, and the loss on it as training goes."""

    key: str
    """Of the subject that should tell its states."""
    example: Example
    losses: list[tuple[int, float]] = field(default_factory=list)
    """Updates and cross-entropy."""


def features_of(series: LedgerSeries, catalogue: Catalogue) -> Float32Array:
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
    start: Pack | None = None,
    judged: Sequence[Judged] = (),
) -> Pack:
    """Fit a pack: cross-entropy between the network's state probabilities and the posterior of
    the states given the watts, over random windows, each subject by its share.

    With a pack to `start` from, its network is kept as it is: only the subjects' tables are
    fitted, and join or replace the pack's, of which the others stay as they were.

    Deterministic for a recipe. `progress(update, loss)` is called after each update; every
    JUDGE_EVERY, those of `judged` get the loss on their own sequence. Raises ValueError when a
    configuration has no run as long as a window.
    """
    recipe = recipe or Recipe()
    for subject in subjects:
        if not any(len(example.series) >= recipe.window_steps for example in subject.sequences):
            raise ValueError(
                f"{subject.key}: no run has {recipe.window_steps} steps in a row, the "
                "least to train on"
            )
    with isolated(recipe.seed):
        rng = np.random.default_rng(recipe.seed)
        subjects = [
            with_beyond(subject, catalogue, recipe, row) for row, subject in enumerate(subjects)
        ]
        own = [_pool(subject, subject.sequences, catalogue) for subject in subjects]
        every = np.concatenate([matrix for pool in own for matrix, *_ in pool])
        mean, std = every.mean(axis=0), np.maximum(every.std(axis=0), LEAST_STD)
        if start is not None:
            recipe = replace(recipe, hidden=start.hidden)
            mean, std = start.feature_mean, start.feature_std
        beyond = [_pool(subject, subject.beyond or (), catalogue) for subject in subjects]
        size = max(len(t.mixture.weight) for t in subjects)
        shares = np.array([subject.share for subject in subjects])
        shares /= shares.sum()
        blurs = [subject.blur for subject in subjects]
        network = _Network(len(subjects), recipe.hidden, size)
        network.start_heads([t.mixture.weight for t in subjects])
        if start is not None:
            network.keep(start)
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(
            learning, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.updates)
        for update in range(1, recipe.updates + 1):
            x, y, who = _batch(own, beyond, mean, std, size, shares, blurs, recipe, rng)
            optimiser.zero_grad()
            log_p = torch.log_softmax(network(x, who), dim=2)
            loss = -(y * log_p).sum(dim=2)[:, WARM_UP_STEPS:].mean()
            loss.backward()
            nn.utils.clip_grad_norm_(learning, 1.0)
            optimiser.step()
            schedule.step()
            if progress is not None:
                progress(update, float(loss.detach()))
            if update % JUDGE_EVERY == 0 or update == recipe.updates:
                for one in judged:
                    one.losses.append(
                        (update, _loss_on(network, one, subjects, catalogue, mean, std))
                    )
        pack = _pack(name, network, subjects, own, mean, std, notes)
        if start is None:
            return pack
        return replace(pack, step_s=start.step_s, configs={**start.configs, **pack.configs})


class _Network(nn.Module):
    """The shared GRU and one linear head per subject; absent states get no probability."""

    def __init__(self, subjects: int, hidden: int, states: int) -> None:
        super().__init__()
        self.gru = nn.GRU(len(FEATURES), hidden, batch_first=True)
        self.weight = nn.Parameter(0.1 * torch.randn(subjects, states, hidden))
        self.bias = nn.Parameter(torch.full((subjects, states), -1e4))

    def start_heads(self, weights: Sequence[FloatArray]) -> None:
        """Begin at the mixtures' own weights."""
        with torch.no_grad():
            for row, weight in enumerate(weights):
                self.bias[row, : len(weight)] = torch.from_numpy(np.log(weight)).float()

    def keep(self, pack: Pack) -> None:
        """Take the recurrent part of a pack, and leave it as it is."""
        with torch.no_grad():
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                own = self.gru.get_parameter(f"{name}_l0")
                own.copy_(torch.from_numpy(getattr(pack, name)))
                own.requires_grad_(False)

    def forward(self, x: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.gru(x)
        return torch.einsum("bth,bkh->btk", hidden, self.weight[who]) + self.bias[who][:, None]


def _loss_on(
    network: _Network,
    judged: Judged,
    subjects: Sequence[Subject],
    catalogue: Catalogue,
    mean: Float32Array,
    std: Float32Array,
) -> float:
    """Cross-entropy on a sequence, in nats a step."""
    row = next(row for row, subject in enumerate(subjects) if subject.key == judged.key)
    ((matrix, goal, _),) = _pool(subjects[row], [judged.example], catalogue)
    with torch.inference_mode():
        logits = network(torch.from_numpy((matrix - mean) / std)[None], torch.tensor([row]))[0]
        log_p = torch.log_softmax(logits, dim=1)[:, : goal.shape[1]]
        return float(-(torch.from_numpy(goal) * log_p).sum(dim=1)[WARM_UP_STEPS:].mean())


def _pool(subject: Subject, examples: Sequence[Example], catalogue: Catalogue) -> Pool:
    return [
        (
            features_of(example.series, catalogue),
            subject.mixture.posterior(example.power_w).astype(np.float32),
            example.weight,
        )
        for example in examples
    ]


def with_beyond(subject: Subject, catalogue: Catalogue, recipe: Recipe, row: int = 0) -> Subject:
    """The subject with work beyond its sequences, and with states for what that draws.

    Made up where it has none, with watts in keeping with the sequences.
    """
    if subject.beyond is not None:
        return subject
    seen = [example.series for example in subject.sequences]
    steps = max(recipe.imagined_steps, recipe.window_steps)
    seed = recipe.seed + 1000 * row
    series = imagine(seen[0].config, catalogue, seen[0].step_s, steps, seed)
    levels = subject.levels
    if levels is None:
        levels = Levels.of_runs(seen, [example.power_w for example in subject.sequences])
    rng = np.random.default_rng(seed)
    watts = carry_over([series], seen, levels, catalogue, rng, subject.prior)[0]
    beyond = [Example(series, watts), *subject.also]
    drawn = np.concatenate([one.power_w for one in beyond])
    return replace(
        subject, beyond=beyond, mixture=with_headroom(subject.mixture, drawn, MIXTURE_SEED)
    )


def _batch(
    own: list[Pool],
    beyond: list[Pool],
    mean: Float32Array,
    std: Float32Array,
    states: int,
    shares: FloatArray,
    blurs: Sequence[float],
    recipe: Recipe,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random windows: a subject by its share, then each of its steps, or of those beyond."""
    width, count = recipe.window_steps, recipe.batch_windows
    x = np.empty((count, width, len(FEATURES)), dtype=np.float32)
    y = np.zeros((count, width, states), dtype=np.float32)
    who = rng.choice(len(own), size=count, p=shares)
    for row, subject in enumerate(who.tolist()):
        pool = (beyond if rng.random() < recipe.imagined_share else own)[subject]
        spare = np.array([weight * max(0, len(matrix) - width + 1) for matrix, _, weight in pool])
        matrix, goal, _ = pool[int(rng.choice(len(spare), p=spare / spare.sum()))]
        start = int(rng.integers(len(matrix) - width + 1))
        x[row] = (matrix[start : start + width] - mean) / std
        x[row, :, WEIGHTS] += blurs[subject] * rng.standard_normal()
        y[row, :, : goal.shape[1]] = goal[start : start + width]
    x += recipe.feature_noise * rng.standard_normal(x.shape, dtype=np.float32)
    return torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(who)


def _pack(
    name: str,
    network: _Network,
    subjects: Sequence[Subject],
    own: list[Pool],
    mean: Float32Array,
    std: Float32Array,
    notes: str,
) -> Pack:
    gru = network.gru
    configs = {}
    for row, subject in enumerate(subjects):
        count = len(subject.mixture.weight)
        scaled = [(matrix - mean) / std for matrix, *_ in own[row]]
        scores = [
            _scores(network, row, subject, example, matrix)
            for example, matrix in zip(subject.sequences, scaled, strict=True)
        ]
        found = persistence_of(subject, scores)
        correlation, noise = subject.state_correlation, subject.noise_correlation
        if correlation is None:
            correlation = found.quick
        configs[subject.key] = States(
            mean_w=subject.mixture.mean_w.astype(np.float32),
            std_w=subject.mixture.std_w.astype(np.float32),
            head_weight=network.weight[row, :count].detach().numpy().copy(),
            head_bias=network.bias[row, :count].detach().numpy().copy(),
            state_correlation=correlation,
            noise_correlation=correlation if noise is None else noise,
            evidence=subject.evidence,
            source=subject.source,
            figures=dict(subject.figures),
            slow_share=found.slow_share,
            slow_correlation=found.slow,
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


def _scores(
    network: _Network,
    row: int,
    subject: Subject,
    example: Example,
    scaled: Float32Array,
) -> FloatArray:
    """Where the measured watts lie in the network's distribution, as normal scores.

    If the network were all there is to know, these would be independent in time; what correlation
    they have is what the generator must add.
    """
    count = len(subject.mixture.weight)
    with torch.inference_mode():
        logits = network(torch.from_numpy(scaled)[None], torch.tensor([row]))[0, :, :count]
        weight = torch.softmax(logits, dim=1).double().numpy()
    share = subject.mixture.cdf(example.power_w, weight)
    found: FloatArray = ndtri(np.clip(share, 1e-4, 1 - 1e-4))
    return found


def persistence_of(subject: Subject, scores: Sequence[FloatArray]) -> Persistence:
    """How long luck lasts, by the sequences that were measured in time, or all where none was.

    Where the subject stands for others, less the mean of each of those: that a whole run lies high
    is its machine, which the error band tells, and no luck that comes and goes.
    """
    rows = list(zip(subject.sequences, scores, strict=True))
    timed = [(example, score) for example, score in rows if example.timed]
    rows = timed or rows
    if subject.blur and timed:
        rows = [(example, score - score.mean()) for example, score in rows]
    return fit_persistence([score for _, score in rows], [example.weight for example, _ in rows])
