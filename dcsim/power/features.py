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
from dcsim.power.linear_ledger import laws_of, weight_fraction

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
        law = laws_of(configs, catalogue)
        self._level = law.above_idle(np.array([c.gpu_nameplate_w for c in configs]) - law.idle)
        if out is None:
            out = np.zeros((len(FEATURES), len(configs)), dtype=np.float32)
        self.out = out
        self.out[8] = [weight_fraction(config) for config in configs]

    def __call__(self, ledger: WorkLedger) -> Float32Array:
        """Features of one step; the array is used again."""
        out = self.out
        busy = ledger.busy_fraction
        memory = np.sqrt(busy * ledger.memory_util)
        out[0] = busy
        out[1] = ledger.compute_util
        out[2] = memory
        out[3] = np.minimum(self._level(busy, ledger.compute_util, memory), 1.0)
        out[4] = _LOG_SCALE * np.log1p(ledger.running)
        out[5] = _LOG_SCALE * np.log1p(ledger.waiting)
        prefill = ledger.prefill_tokens
        out[6] = prefill / (prefill + ledger.decode_tokens + 1.0)
        out[7] = ledger.kv_fraction
        return out
