"""The published linear model: watts from the work ledger by four coefficients.

Per GPU (docs/reference/method.md, Linear ledger law; powertrace-sim's clean model v4 for dense
models):

    P = idle + a busy min(1, w / (tp HBM)) + b u_c + c sqrt(busy u_m)

with w the weight bytes, u_c compute and u_m memory-traffic utilisation. The law is that of a GPU at
one kind of work: where the ledger knows iterations with prompts from those that only decode, each
kind draws by its own utilisations, up to the nameplate, for its share of the step, so that a run's
energy does not depend on the power step. A root taken of a step's mean, over a prompt and the
answers after it, says up to a tenth more than the mean of the roots. The delay and the H100's
one-second mean that were fitted beside it belong to the meter, not to the GPU; they are in
`meter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.gpus import LedgerPower
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.model import Provenance

FITTED_MODELS = ("llama-3-8b", "llama-3-70b")
"""Catalogue models among those that the published coefficients were fitted on."""


Amount = TypeVar("Amount", float, FloatArray)


@dataclass(frozen=True, slots=True)
class LinearLaw(Generic[Amount]):
    """The law's coefficients for one replica, or for `n` as arrays of shape (n,). In W of one GPU
    as made; then as `times` and `above_idle` say."""

    idle: Amount
    weight: Amount
    """Already times the share of the memory that weights fill."""
    compute: Amount
    memory: Amount

    def times(self, gpus: Amount) -> LinearLaw[Amount]:
        """For so many GPUs together."""
        return LinearLaw(
            self.idle * gpus, self.weight * gpus, self.compute * gpus, self.memory * gpus
        )

    def above_idle(self, unit_w: Amount) -> LinearLaw[Amount]:
        """What comes on top of idle power, in units of `unit_w`."""
        return LinearLaw(
            0.0 * unit_w, self.weight / unit_w, self.compute / unit_w, self.memory / unit_w
        )

    def __call__(self, busy: Amount, compute_util: Amount, root_traffic: Amount) -> Amount:
        """Power of a step.

        Parameters
        ----------
        busy, compute_util : float or ndarray, shape (n,)
            `busy_fraction` and `compute_util` of the work ledger.
        root_traffic : float or ndarray, shape (n,)
            Root of `busy_fraction * memory_util`.
        """
        return (
            self.idle
            + self.weight * busy
            + self.compute * compute_util
            + self.memory * root_traffic
        )


def weight_fraction(config: ReplicaConfig) -> float:
    """Share of a replica's GPU memory that its weights fill; above 1 where they do not fit."""
    return config.weight_bytes / (config.gpus * config.hbm_bytes_per_gpu)


def law_of(config: ReplicaConfig, power: LedgerPower) -> LinearLaw[float]:
    """The law of one replica, by the coefficients of its GPU."""
    weight_w = power.active_weight_w * min(weight_fraction(config), 1.0)
    return LinearLaw(power.idle_w, weight_w, power.compute_w, power.memory_w)


def laws_of(configs: Sequence[ReplicaConfig], catalogue: Catalogue) -> LinearLaw[FloatArray]:
    """The laws of `n` replicas as arrays."""
    laws = [law_of(config, catalogue.gpus[config.gpu].ledger_power) for config in configs]
    return LinearLaw(
        np.array([law.idle for law in laws]),
        np.array([law.weight for law in laws]),
        np.array([law.compute for law in laws]),
        np.array([law.memory for law in laws]),
    )


class LinearLedger:
    """Coefficients from the catalogue's `ledger_power`, capped at the GPUs' nameplate."""

    name: str = "ledger"
    pack: str | None = None

    def __init__(self, catalogue: Catalogue, phases: bool = True) -> None:
        """`phases`: tell iterations with prompts from the others where the ledger does; otherwise
        the law is applied to each step's means."""
        self._catalogue = catalogue
        self._phases = phases
        self._law = self._above_idle = laws_of([], catalogue)
        self._limit_w = np.zeros(0)

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        gpus = np.array([c.gpus for c in configs], dtype=np.float64)
        self._law = laws_of(configs, self._catalogue).times(gpus)
        self._above_idle = self._law.above_idle(np.ones(len(configs)))
        self._limit_w = gpus * np.array([c.gpu_nameplate_w for c in configs])

    def step(self, ledger: WorkLedger) -> FloatArray:
        busy, compute, memory = ledger.busy_fraction, ledger.compute_util, ledger.memory_util
        idle_w = self._law.idle
        if ledger.prompt_share is None or not self._phases:
            watts = self._law(busy, compute, np.sqrt(busy * memory))
            np.minimum(watts, self._limit_w, out=watts)
        else:
            assert ledger.prompt_compute_util is not None
            assert ledger.prompt_memory_util is not None
            assert ledger.prompt_memory_root is not None
            span_w, share = self._limit_w - idle_w, ledger.prompt_share
            watts = self._above_idle(share, ledger.prompt_compute_util, ledger.prompt_memory_root)
            np.minimum(watts, share * span_w, out=watts)
            # What is left are iterations that only decode; rounding may leave less than nothing.
            share = np.maximum(busy - share, 0.0)
            compute = np.maximum(compute - ledger.prompt_compute_util, 0.0)
            memory = np.maximum(memory - ledger.prompt_memory_util, 0.0)
            decode_w = self._above_idle(share, compute, np.sqrt(share * memory))
            watts += np.minimum(decode_w, share * span_w)
            watts += idle_w
        watts[ledger.state == GpuState.OFF] = 0.0
        return watts

    def provenance(self, config: ReplicaConfig) -> Provenance:
        power = self._catalogue.gpus[config.gpu].ledger_power
        source = power.source
        if power.evidence == "extrapolated":
            return Provenance("extrapolated", source)
        if config.model in FITTED_MODELS:
            return Provenance("fitted", source)
        return Provenance("extrapolated", f"{source}; {config.model} was not among its runs")
