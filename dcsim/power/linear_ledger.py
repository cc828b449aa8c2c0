"""The published linear model: watts from the work ledger by four coefficients.

Per GPU (reference-method.md 4.6, powertrace-sim's clean model v4 for dense models):

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

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.model import Provenance

FITTED_MODELS = ("llama-3-8b", "llama-3-70b")
"""Catalogue models among those that the published coefficients were fitted on."""


class LinearLedger:
    """Coefficients from the catalogue's `ledger_power`, capped at the GPUs' nameplate."""

    name: str = "ledger"
    pack: str | None = None

    def __init__(self, catalogue: Catalogue, phases: bool = True) -> None:
        """`phases`: tell iterations with prompts from the others where the ledger does; otherwise
        the law is applied to each step's means."""
        self._catalogue = catalogue
        self._phases = phases
        self._idle_w = self._weight_w = self._compute_w = self._memory_w = np.zeros(0)
        self._limit_w = np.zeros(0)

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        fits = [self._catalogue.gpus[c.gpu].ledger_power for c in configs]
        gpus = np.array([c.gpus for c in configs], dtype=np.float64)
        held = np.array([c.weight_bytes / (c.gpus * c.hbm_bytes_per_gpu) for c in configs])
        self._idle_w = gpus * np.array([fit.idle_w for fit in fits])
        self._weight_w = gpus * np.array([fit.active_weight_w for fit in fits])
        self._weight_w *= np.minimum(held, 1.0)
        self._compute_w = gpus * np.array([fit.compute_w for fit in fits])
        self._memory_w = gpus * np.array([fit.memory_w for fit in fits])
        self._limit_w = gpus * np.array([c.gpu_nameplate_w for c in configs])

    def step(self, ledger: WorkLedger) -> FloatArray:
        busy, compute, memory = ledger.busy_fraction, ledger.compute_util, ledger.memory_util
        idle_w = self._idle_w
        if ledger.prompt_share is None or not self._phases:
            watts = self._law(idle_w, busy, compute, np.sqrt(busy * memory))
            np.minimum(watts, self._limit_w, out=watts)
        else:
            assert ledger.prompt_compute_util is not None
            assert ledger.prompt_memory_util is not None
            assert ledger.prompt_memory_root is not None
            span_w, share = self._limit_w - idle_w, ledger.prompt_share
            watts = self._law(0.0, share, ledger.prompt_compute_util, ledger.prompt_memory_root)
            np.minimum(watts, share * span_w, out=watts)
            # What is left are iterations that only decode; rounding may leave less than nothing.
            share = np.maximum(busy - share, 0.0)
            compute = np.maximum(compute - ledger.prompt_compute_util, 0.0)
            memory = np.maximum(memory - ledger.prompt_memory_util, 0.0)
            decode_w = self._law(0.0, share, compute, np.sqrt(share * memory))
            watts += np.minimum(decode_w, share * span_w)
            watts += idle_w
        watts[ledger.state == GpuState.OFF] = 0.0
        return watts

    def _law(
        self, idle_w: FloatArray | float, busy: FloatArray, compute: FloatArray, root: FloatArray
    ) -> FloatArray:
        """Watts of work that takes the share `busy` of a step."""
        watts: FloatArray = idle_w + self._weight_w * busy
        watts += self._compute_w * compute
        watts += self._memory_w * root
        return watts

    def provenance(self, config: ReplicaConfig) -> Provenance:
        power = self._catalogue.gpus[config.gpu].ledger_power
        source = power.source
        if power.evidence == "extrapolated":
            return Provenance("extrapolated", source)
        if config.model in FITTED_MODELS:
            return Provenance("fitted", source)
        return Provenance("extrapolated", f"{source}; {config.model} was not among its runs")
