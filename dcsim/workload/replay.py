"""Recorded requests, played back at the trace's own rhythm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from dcsim.scenario.models import ReplayArrivals
from dcsim.workload.azure import Row, read
from dcsim.workload.stream import BLOCK_REQUESTS, RequestBlock, RequestStream, join

JITTER_S = 0.5
"""Repeats of a request are spread over this half-width, so that scaled traffic keeps its rhythm
without arriving in lockstep. Assumed: far below the minutes over which production traffic swells
and ebbs, well above a decode iteration."""


def replay(
    spec: ReplayArrivals, stream: int, horizon_s: float, rng: np.random.Generator
) -> RequestStream:
    """The trace's requests before `horizon_s`, its first at 0 s, read as they are needed.

    Each request appears `rate_scale` times: its whole part always, its fraction by chance. The
    first appearance keeps its instant, further ones are moved by up to JITTER_S. Raises
    TraceError at the first row that cannot be read.
    """
    reach_s = JITTER_S if spec.rate_scale > 1.0 else 0.0
    late: RequestBlock | None = None
    for block in _blocks(read(spec.file), stream):
        # The next rows may still bring requests from just before this block's end.
        edge_s = float(block.arrival_s[-1]) - reach_s
        known = _scaled(block, spec.rate_scale, rng)
        if late is not None:
            known = join([late, known])
        ready = int(np.searchsorted(known.arrival_s, min(edge_s, horizon_s)))
        late = known.take(slice(ready, None))
        if ready:
            yield known.take(slice(0, ready))
        if edge_s >= horizon_s:
            return
    if late is not None:
        rest = late.take(slice(0, int(np.searchsorted(late.arrival_s, horizon_s))))
        if len(rest):
            yield rest


def _scaled(block: RequestBlock, rate_scale: float, rng: np.random.Generator) -> RequestBlock:
    if rate_scale == 1.0:
        return block
    whole = int(rate_scale)
    copies = whole + (rng.random(len(block)) < rate_scale - whole)
    at = np.repeat(np.arange(len(block)), copies)
    more = block.take(at)
    repeated = np.zeros(len(at), dtype=bool)
    repeated[1:] = at[1:] == at[:-1]
    moved_s = np.where(repeated, rng.uniform(-JITTER_S, JITTER_S, len(at)), 0.0)
    # What would arrive before the start arrives as long after it.
    times_s = np.abs(more.arrival_s + moved_s)
    return replace(more, arrival_s=times_s).take(np.argsort(times_s, kind="stable"))


def _blocks(rows: Iterator[Row], stream: int) -> Iterator[RequestBlock]:
    while batch := list(islice(rows, BLOCK_REQUESTS)):
        times_s, prompts, outputs = zip(*batch, strict=True)
        yield RequestBlock(
            np.array(times_s, dtype=np.float64),
            np.array(prompts, dtype=np.int64),
            np.array(outputs, dtype=np.int64),
            np.full(len(batch), stream, dtype=np.int64),
        )
