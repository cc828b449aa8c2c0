"""Puts requests in order that were made out of order: repeats moved a little, later turns of
conversations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dcsim.workload.stream import BLOCK_REQUESTS, RequestBlock, RequestStream, join


def reorder(made: Iterator[tuple[RequestBlock, float]], horizon_s: float) -> RequestStream:
    """Requests before `horizon_s`, in order of arrival, in blocks of up to BLOCK_REQUESTS.

    `made` gives blocks in any order with an edge that rises: nothing that comes later arrives
    before it. What arrives after the edge is held until it is passed.
    """
    late: RequestBlock | None = None
    for block, edge_s in made:
        known = join([block] if late is None else [late, block])
        if late is None:
            known = known.take(np.argsort(known.arrival_s, kind="stable"))
        ready = int(np.searchsorted(known.arrival_s, min(edge_s, horizon_s)))
        late = known.take(slice(ready, None))
        yield from pieces(known.take(slice(0, ready)))
        if edge_s >= horizon_s:
            return
    if late is not None:
        yield from pieces(late.take(slice(0, int(np.searchsorted(late.arrival_s, horizon_s)))))


def pieces(block: RequestBlock) -> RequestStream:
    """A block cut into some of up to BLOCK_REQUESTS."""
    for start in range(0, len(block), BLOCK_REQUESTS):
        yield block.take(slice(start, start + BLOCK_REQUESTS))
