"""Look-up power after Splitwise: shares of the board limit by phase and tokens in the batch.

Splitwise (Patel et al., ISCA 2024) tables peak and average power of llama2-70b by prompt size and
batch. Read as the published pipeline does (docs/reference/method.md, Baselines): computing prompts
draws the peak of its batch tokens, decoding the average of its context tokens, both together the
mean weighted by their tokens, and an idle GPU the least average. Values between rows are
interpolated, beyond them held; peaks over the board limit (up to 1.08) are cut at it.

The table was measured on A100s with llama2-70b only. Every other model and GPU borrows its shares,
as the published pipeline does, and is labelled extrapolated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.kv import kv_capacity_tokens
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.baseline_tables import LookUp, look_up_table
from dcsim.power.model import Provenance

UNSEEN_ERROR = 0.117
"""Of the energy of runs left out: +9.5 and +13.8 % (docs/fidelity-power.md)."""


class LookUpPower:
    """Splitwise's shares times the board limit of the replica's GPUs."""

    name: str = "lut"
    pack: str | None = None

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._rows, self._source = look_up_table()
        self._limit_w = self._capacity_tokens = np.zeros(0)
        self._members: list[tuple[LookUp, IntArray]] = []

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        self._limit_w = np.array([c.gpus * c.gpu_nameplate_w for c in configs])
        self._capacity_tokens = np.array(
            [capacity_tokens(c, self._catalogue) for c in configs], dtype=np.float64
        )
        chosen = np.array([nearest(self._rows, c.gpus) for c in configs])
        self._members = [
            (self._rows[parallel], np.flatnonzero(chosen == parallel))
            for parallel in sorted(set(chosen.tolist()))
        ]

    def step(self, ledger: WorkLedger) -> FloatArray:
        watts = np.zeros(len(ledger))
        context = ledger.kv_fraction * self._capacity_tokens
        chunk = ledger.prefill_tokens / np.maximum(ledger.iterations, 1e-9)
        prompts = ledger.prefill_tokens / np.maximum(
            ledger.prefill_tokens + ledger.decode_tokens, 1e-9
        )
        for rows, members in self._members:
            peak = np.interp(chunk[members], rows.batch_tokens, rows.peak)
            average = np.interp(context[members], rows.batch_tokens, rows.average)
            working = prompts[members] * peak + (1.0 - prompts[members]) * average
            idle = rows.average.min()
            watts[members] = idle + ledger.busy_fraction[members] * (working - idle)
        np.minimum(watts, 1.0, out=watts)
        watts *= self._limit_w
        watts[ledger.state == GpuState.OFF] = 0.0
        return watts

    def provenance(self, config: ReplicaConfig) -> Provenance:
        return Provenance(
            "extrapolated",
            f"{self._source}; {config.key} was not among what it measured",
            UNSEEN_ERROR,
        )


def nearest(rows: Mapping[int, LookUp], parallel: int) -> int:
    """The measured number of GPUs nearest to this one, by ratio."""
    return min(rows, key=lambda known: abs(float(np.log(known / parallel))))


def capacity_tokens(config: ReplicaConfig, catalogue: Catalogue) -> int:
    """Tokens of context that the replica's KV cache holds, which turn the ledger's KV fraction
    into tokens."""
    if config.kv_tokens is not None:
        return config.kv_tokens
    model = catalogue.models[config.model]
    return kv_capacity_tokens(model, config.hbm_bytes_per_gpu, config.gpus)
