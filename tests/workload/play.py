"""Plays a stream given as plain data, as a scenario file would give it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.scenario.models import Stream
from dcsim.workload import RequestBlock, open_stream
from dcsim.workload.stream import join
from dcsim.workload.traces import RowCounts

FIXED = {"kind": "fixed", "prompt": 100, "output": 20}


def stream(arrivals: dict[str, Any], **keys: Any) -> Stream:
    """A stream named `s`; fixed tokens unless it is a replay or others are given."""
    if arrivals["kind"] != "replay":
        keys.setdefault("tokens", FIXED)
    return Stream.model_validate({"name": "s", "model": "m", "arrivals": arrivals, **keys})


def play(
    arrivals: dict[str, Any],
    horizon_s: float,
    seed: int = 0,
    index: int = 0,
    tally: RowCounts | None = None,
    **keys: Any,
) -> RequestBlock:
    """All of its requests as one block, after checking the contract: blocks are not empty, in
    order, before the horizon, and of requests of one token or more."""
    spec = stream(arrivals, **keys)
    seeds = np.random.SeedSequence(seed)
    blocks = list(open_stream(spec, index, horizon_s, seeds, tally))
    for before, after in pairwise(blocks):
        assert before.arrival_s[-1] <= after.arrival_s[0]
    for block in blocks:
        assert len(block)
        assert (np.diff(block.arrival_s) >= 0).all()
        assert block.arrival_s[0] >= 0
        assert block.arrival_s[-1] < horizon_s
        assert block.prompt_tokens.min() >= 1
        assert block.output_tokens.min() >= 1
        assert (block.stream == index).all()
    if not blocks:
        none = np.zeros(0, dtype=np.int64)
        return RequestBlock(np.zeros(0), none, none, none)
    return join(blocks)


def times_s(arrivals: dict[str, Any], horizon_s: float, seed: int = 0, **keys: Any) -> FloatArray:
    """Their arrival times."""
    return play(arrivals, horizon_s, seed, **keys).arrival_s


def dispersion(arrival_s: FloatArray, span_s: float, length_s: float) -> float:
    """Variance over mean of the counts in windows: 1 for a Poisson process."""
    counts = np.bincount((arrival_s / span_s).astype(int), minlength=int(length_s / span_s))
    return float(counts.var() / counts.mean())
