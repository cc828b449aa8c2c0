"""The request stream contract: requests as lazy blocks of arrays, in order of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLOCK_REQUESTS = 4096
"""Requests per block: large enough to amortise numpy calls, small enough to stay in cache."""


@dataclass(frozen=True, slots=True)
class RequestBlock:
    """Consecutive requests. All arrays share one length; `arrival_s` never decreases,
    within a block and from block to block."""

    arrival_s: npt.NDArray[np.float64]
    """Seconds since the start of the run."""
    prompt_tokens: npt.NDArray[np.int64]
    """At least 1."""
    output_tokens: npt.NDArray[np.int64]
    """At least 1."""
    stream: npt.NDArray[np.int64]
    """Index of the workload stream (its place in the scenario's `workload` list)."""

    def __len__(self) -> int:
        return len(self.arrival_s)


RequestStream = Iterator[RequestBlock]
