"""The causal GRU: work so far decides how likely each power state is, and one is drawn.

Each step the network turns the ledger's features and its memory into state probabilities. Two
normal variates per replica, each correlated in time, then choose a state by its rank and a place
within it. At every step the drawn watts follow exactly the mixture that the network gives, so
energy stays unbiased, and yet neighbouring steps are alike as measured power is. (Drawing states
independently, as the published method does, loses that likeness; its autoregressive variant
keeps it at the price of energy.) Each variate has a quick part and one that drifts over seconds,
as what the features do not tell does in measured runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.special import ndtr

from dcsim.arrays import Float32Array, FloatArray, IntArray
from dcsim.errors import PackError
from dcsim.hardware.catalogue import Catalogue
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.blas import SingleThread
from dcsim.power.cell import Cell
from dcsim.power.features import FeatureMaker
from dcsim.power.linear_ledger import LinearLedger
from dcsim.power.model import Provenance
from dcsim.power.pack import FALLBACK_KINDS, ModelKind, Pack, States, any_key, model_kind

KIND_NAMES: dict[ModelKind, str] = {
    "dense": "a dense model",
    "experts": "a model with experts of 16 bits",
    "narrow-experts": "a model with experts of fewer than 16 bits",
}
NOISE_STEPS = 64
"""Steps of noise drawn at a time: one call of the generator costs as much as a step's noise."""
REST_STEPS = 240
"""A minute at the packs' step: long enough for the quick part of the memory, and no longer than the
runs that it was trained on."""
OVER_NAMEPLATE = 1.05
"""Boards exceed their limit for moments; the published generator, too, allows 5 % above what it
was trained on (docs/reference/method.md, Published generator). Where a configuration was measured
higher still (the A100s of the Qwen3 runs show up to 515 W, not 400), the ceiling is three sigma
above its highest state: what was measured outranks the data sheet. So it does for configurations
that nobody measured, by the highest state of any that was on the same GPU."""


class GruPower:
    """A pack, stepping `n` replicas in one batch.

    With `extrapolate`, a configuration that the pack lacks gets the linear ledger model's watts,
    times ratios of the table that stands for all configurations on its GPU; in a pack without that
    table, per-GPU states of the nearest that it has (weights filling a like share of memory). It is
    labelled so.
    """

    name: str = "gru"

    def __init__(self, pack: Pack, catalogue: Catalogue, extrapolate: bool = False) -> None:
        self.pack: str | None = pack.name
        self._pack = pack
        self._catalogue = catalogue
        self._extrapolate = extrapolate
        self._single_thread = SingleThread()

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        """Raises PackError for a configuration that the pack does not know, or another step."""
        kinds = {config.key: config for config in configs}
        for config in kinds.values():
            refusal = self._pack.refusal(config, step_s, self._extrapolate)
            if refusal is not None:
                raise PackError(refusal)
        tables = [self._states(config) for config in kinds.values()]
        row_of = {key: row for row, key in enumerate(kinds)}
        rows = np.array([row_of[config.key] for config in configs], dtype=np.int64)
        self._set_network(configs, tables, rows)
        self._set_bounds(configs, step_s, seed, tables, rows)
        self._set_noise(seed, tables, rows)

    def _set_network(
        self, configs: Sequence[ReplicaConfig], tables: Sequence[States], rows: IntArray
    ) -> None:
        """The cell, and for each table the linear layer that weighs its states."""
        pack, count = self._pack, len(configs)
        size = max(len(table.mean_w) for table in tables)
        self._mean_w = np.zeros((len(tables), size))
        self._std_w = np.zeros((len(tables), size))
        # The last column is the bias; absent states get one that makes them impossible.
        heads = np.zeros((len(tables), size, pack.hidden + 1), dtype=np.float32)
        heads[:, :, -1] = -1e9
        for row, table in enumerate(tables):
            filled = len(table.mean_w)
            self._mean_w[row, :filled] = table.mean_w
            self._std_w[row, :filled] = table.std_w
            heads[row, :filled, :-1] = table.head_weight
            heads[row, :filled, -1] = table.head_bias
        self._offset = rows * size
        # In the cell the replicas of one table stand side by side, so that each head reads a slice.
        order = np.argsort(rows, kind="stable")
        edges = np.searchsorted(rows[order], np.arange(len(tables) + 1)).tolist()
        spans = [slice(first, last) for first, last in pairwise(edges)]
        self._cell = Cell(pack, count)
        self._logits = np.zeros((size, count), dtype=np.float32)
        self._heads = [
            (heads[row], self._cell.hidden_and_one[:, span], self._logits[:, span])
            for row, span in enumerate(spans)
        ]
        self._order = order if (np.diff(rows) < 0).any() else None
        unsorted = None if self._order is not None else self._cell.inputs
        self._features = FeatureMaker(configs, self._catalogue, unsorted)
        if self._order is not None:
            self._cell.inputs[:] = self._features.out[:, order]
        self._rest()
        self._cumulated = np.empty((size, count), dtype=np.float32)
        self._triangle = np.tril(np.ones((size, size), dtype=np.float32))

    def _rest(self) -> None:
        """Start with the memory of replicas that have rested: an empty one takes seconds of high
        watts to find out that there is nothing to do. Features of rest are those that stand in the
        inputs before the first step."""
        distinct, columns = np.unique(self._cell.inputs, axis=1, return_inverse=True)
        rested = Cell(self._pack, distinct.shape[1])
        rested.inputs[:] = distinct
        with self._single_thread:
            for _ in range(REST_STEPS):
                rested.step()
        self._cell.hidden[:] = rested.hidden[:, columns.reshape(-1)]

    def _set_bounds(
        self,
        configs: Sequence[ReplicaConfig],
        step_s: float,
        seed: np.random.SeedSequence,
        tables: Sequence[States],
        rows: IntArray,
    ) -> None:
        """The watts between which each replica draws, and the linear model that ratios refer to."""
        self._floor_w = 0.9 * self._mean_w[rows, 0]
        relative = np.array([self._relative(config) for config in configs])
        self._relatives = np.flatnonzero(relative)
        # Packs were trained on the law of each step's means.
        self._prior = LinearLedger(self._catalogue, phases=False)
        self._prior.reset(configs, step_s, seed)
        nameplate_w = np.array([c.gpus * c.gpu_nameplate_w for c in configs])
        highest_w = np.array([_highest_w(table) for table in tables])[rows]
        if len(self._relatives):
            at = self._relatives
            highest_w[at] = [self._measured_w(configs[row]) for row in at.tolist()]
            idle_w = [self._catalogue.gpus[c.gpu].ledger_power.idle_w for c in configs]
            gpus = np.array([c.gpus for c in configs])
            self._floor_w[at] = 0.9 * (gpus * np.array(idle_w))[at]
        self._ceiling_w = np.maximum(OVER_NAMEPLATE * nameplate_w, highest_w)

    def _set_noise(
        self, seed: np.random.SeedSequence, tables: Sequence[States], rows: IntArray
    ) -> None:
        """The correlated variates of each replica, at their first values."""
        count = len(rows)
        self._rng = np.random.default_rng(seed)
        correlation = np.array(
            [
                [table.state_correlation, table.noise_correlation, table.slow_correlation]
                for table in tables
            ]
        )[rows].T
        self._keep = np.ascontiguousarray(correlation)
        self._renew = np.sqrt(1.0 - self._keep**2)
        self._variates = self._rng.standard_normal((3, count))
        self._noise = np.empty((NOISE_STEPS, 3, count))
        slow = np.array([table.slow_share for table in tables])[rows]
        self._slow, self._fast = np.sqrt(slow), np.sqrt(1.0 - slow)
        self._drawn = np.empty((2, count))
        self._drift = np.empty(count)
        self._noise_used = NOISE_STEPS

    def step(self, ledger: WorkLedger) -> FloatArray:
        cumulative = self._cumulative(ledger)
        state_variate, within = self._draw()
        aim = ndtr(state_variate)
        if self._order is not None:
            aim = aim[self._order]
        aim *= cumulative[-1]  # cumulative weights are not normalised; their sum is the last row
        state = (cumulative < aim).sum(axis=0)
        np.minimum(state, len(cumulative) - 1, out=state)
        if self._order is not None:
            state[self._order] = state.copy()
        state += self._offset
        watts = self._mean_w.take(state)
        within = within * self._std_w.take(state)
        watts += within
        if len(self._relatives):
            at = self._relatives
            watts[at] *= self._prior.step(ledger)[at]
        np.maximum(watts, self._floor_w, out=watts)
        np.minimum(watts, self._ceiling_w, out=watts)
        off = ledger.state == GpuState.OFF
        if off.any():
            watts[off] = 0.0
        return watts

    def probabilities(self, ledger: WorkLedger) -> FloatArray:
        """Advance one step and return state probabilities, shape (n, states), without drawing."""
        cumulative = self._cumulative(ledger)
        weights = np.diff(cumulative.astype(np.float64), axis=0, prepend=0.0)
        shares = np.empty_like(weights)
        shares[:, slice(None) if self._order is None else self._order] = weights
        shares /= shares.sum(axis=0)
        return shares.T

    def means_w(self) -> FloatArray:
        """State means of each replica, shape (n, states); 0 where a state is absent."""
        return self._mean_w.reshape(-1)[self._offset[:, None] + np.arange(self._mean_w.shape[1])]

    def provenance(self, config: ReplicaConfig) -> Provenance:
        table = self._states(config)
        low, high = (table.figures.get(f"unseen_mean_bias_pct_{edge}") for edge in ("p10", "p90"))
        band = ""
        if self._relative(config) and low is not None and high is not None:
            band = f"; on configurations left out the mean was off by {low:+.0f} to {high:+.0f} %"
        if self._relative(config):
            kind = model_kind(self._catalogue.models[config.model])
            if self._general(config) != any_key(config.gpu, kind):
                band += f"; none of them is like {config.model}, {KIND_NAMES[kind]}"
        unseen_pct = table.figures.get("unseen_mean_error_pct_median")
        error = None if unseen_pct is None else unseen_pct / 100.0
        return Provenance(table.evidence, table.source + band, error)

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

    def _draw(self) -> FloatArray:
        """The two variates of this step, shape (2, n): standard normal, correlated in time. Each is
        a quick part of its own and a slow part that both share."""
        if self._noise_used == NOISE_STEPS:
            self._rng.standard_normal(out=self._noise)
            self._noise *= self._renew
            self._noise_used = 0
        variates = self._variates
        variates *= self._keep
        variates += self._noise[self._noise_used]
        self._noise_used += 1
        np.multiply(variates[2], self._slow, out=self._drift)
        np.multiply(variates[:2], self._fast, out=self._drawn)
        self._drawn += self._drift
        return self._drawn

    def _states(self, config: ReplicaConfig) -> States:
        configs = self._pack.configs
        found = configs.get(config.key)
        if found is not None:
            return found
        general = self._general(config)
        if general is not None:
            return configs[general]
        donor = self._nearest(config)
        scale = config.gpus / int(donor.split("/tp")[1])
        states = configs[donor]
        return replace(
            states,
            mean_w=states.mean_w * np.float32(scale),
            std_w=states.std_w * np.float32(scale),
            evidence="extrapolated",
            source=f"per-GPU states of {donor} ({states.source})",
            figures={},
        )

    def _measured_w(self, config: ReplicaConfig) -> float:
        """Three sigma above the highest state that any configuration was measured in on that GPU,
        for as many GPUs; 0 where none was."""
        found = (
            _highest_w(table) / int(key.split("/tp")[1])
            for key, table in self._pack.configs.items()
            if table.evidence == "fitted" and key.split("/")[1] == config.gpu
        )
        return config.gpus * max(found, default=0.0)

    def _general(self, config: ReplicaConfig) -> str | None:
        """The table that answers for a configuration that has none."""
        kind = model_kind(self._catalogue.models[config.model])
        keys = [any_key(config.gpu, one) for one in (kind, *FALLBACK_KINDS[kind])]
        return next((key for key in keys if key in self._pack.configs), None)

    def _relative(self, config: ReplicaConfig) -> bool:
        """Whether the configuration's states are ratios to the linear ledger model."""
        return config.key not in self._pack.configs and self._general(config) is not None

    def _nearest(self, config: ReplicaConfig) -> str:
        """The configuration on the same GPU whose weights a GPU are nearest, by ratio."""
        near = [key for key in self._pack.configs if key.split("/")[1] == config.gpu]
        share = config.weight_bytes / config.gpus

        def distance(key: str) -> float:
            model, _, parallel = key.split("/")
            bytes_per_gpu = self._catalogue.models[model].weight_bytes / int(parallel[2:])
            return abs(float(np.log(bytes_per_gpu / share)))

        return min(near, key=distance)


def _highest_w(table: States) -> float:
    """Three sigma above the highest state. A wide one below it may reach further on paper: it
    stands for all that lies between two levels, and was not seen there."""
    top = int(table.mean_w.argmax())
    return float(table.mean_w[top] + 3.0 * table.std_w[top])
