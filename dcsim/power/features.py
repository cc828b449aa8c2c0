"""What the GRU sees of a power step: the ledger, normalised by hardware and architecture.

Nothing here is in tokens of one model or watts of one GPU, so that one network can serve many
configurations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dcsim.arrays import Float32Array
from dcsim.hardware.catalogue import Catalogue
from dcsim.ledger import ReplicaConfig, WorkLedger

FEATURES = (
    "busy",
    "compute_util",
    "memory_util",
    "ledger_level",
    "log_running",
    "log_waiting",
    "prefill_share",
    "kv_fraction",
    "weight_fraction",
)
"""In row order. `ledger_level` is the published linear model's power between idle (0) and
nameplate (1), a physical prior; logarithms are scaled by that of 257, a full default batch."""

_LOG_SCALE = 1.0 / math.log(257.0)


class FeatureMaker:
    """Features of `n` replicas, made afresh each step in one float32 array, shape
    (len(FEATURES), n): `out` where given. Before the first step it shows replicas at rest."""

    def __init__(
        self,
        configs: Sequence[ReplicaConfig],
        catalogue: Catalogue,
        out: Float32Array | None = None,
    ) -> None:
        fits = [catalogue.gpus[c.gpu].ledger_power for c in configs]
        nameplate_w = np.array([c.gpu_nameplate_w for c in configs])
        span_w = nameplate_w - np.array([fit.idle_w for fit in fits])
        held = np.array([c.weight_bytes / (c.gpus * c.hbm_bytes_per_gpu) for c in configs])
        self._weights = np.array([fit.active_weight_w for fit in fits]) * np.minimum(held, 1)
        self._weights /= span_w
        self._compute = np.array([fit.compute_w for fit in fits]) / span_w
        self._memory = np.array([fit.memory_w for fit in fits]) / span_w
        if out is None:
            out = np.zeros((len(FEATURES), len(configs)), dtype=np.float32)
        self.out = out
        self.out[8] = held

    def __call__(self, ledger: WorkLedger) -> Float32Array:
        """Features of one step; the array is used again."""
        out = self.out
        busy = ledger.busy_fraction
        memory = np.sqrt(busy * ledger.memory_util)
        out[0] = busy
        out[1] = ledger.compute_util
        out[2] = memory
        level = self._weights * busy + self._compute * ledger.compute_util + self._memory * memory
        out[3] = np.minimum(level, 1.0)
        out[4] = _LOG_SCALE * np.log1p(ledger.running)
        out[5] = _LOG_SCALE * np.log1p(ledger.waiting)
        prefill = ledger.prefill_tokens
        out[6] = prefill / (prefill + ledger.decode_tokens + 1.0)
        out[7] = ledger.kv_fraction
        return out
