"""The request stream contract: requests as lazy blocks of arrays, in order of arrival."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dcsim.arrays import FloatArray, IntArray, ObjectArray

BLOCK_REQUESTS = 4096
"""Requests per block: large enough to amortise numpy calls, small enough to stay in cache."""


Segments = tuple[tuple[int, int], ...]
"""(id, tokens) of consecutive pieces of a prompt, from its first token on."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """What a prompt has in common with others, for engines that keep KV blocks for reuse.

    An id stands for a piece of text *and all that comes before it*, as a chain of block hashes
    does: equal ids have equal predecessors and equal lengths.
    """

    segments: Segments
    """Leading pieces of the prompt that others have too, or may have later. Their tokens sum to
    at most the prompt's."""
    becomes: int = 0
    """Id under which the rest of the prompt together with the answer can be met again, such as
    by the next turn of a conversation; 0: never."""


@dataclass(frozen=True, slots=True)
class RequestBlock:
    """Consecutive requests. All arrays share one length; `arrival_s` never decreases,
    within a block and from block to block."""

    arrival_s: FloatArray
    """Seconds since the start of the run."""
    prompt_tokens: IntArray
    """At least 1."""
    output_tokens: IntArray
    """At least 1."""
    stream: IntArray
    """Index of the workload stream (its place in the scenario's `workload` list)."""
    tenant: IntArray | None = None
    """Index among the scenario's `tenants`; None where it names none."""
    prefix: ObjectArray | None = None
    """A `Prefix` or None for each request; None where no request shares anything."""

    def __len__(self) -> int:
        return len(self.arrival_s)

    def take(self, rows: slice | IntArray) -> RequestBlock:
        """Some of the requests, in the order given."""
        return RequestBlock(
            self.arrival_s[rows],
            self.prompt_tokens[rows],
            self.output_tokens[rows],
            self.stream[rows],
            None if self.tenant is None else self.tenant[rows],
            None if self.prefix is None else self.prefix[rows],
        )


RequestStream = Iterator[RequestBlock]


def merge(streams: Sequence[RequestStream]) -> RequestStream:
    """All streams as one, in order of arrival; equal instants keep the order of the streams.

    Holds one block of each stream at a time. Streams may give empty blocks; none comes out.
    """
    if len(streams) == 1:
        yield from filter(len, streams[0])
        return
    heads = [(block, stream) for stream in streams if (block := _next(stream)) is not None]
    while heads:
        # Whatever arrives before the earliest of the blocks' ends is complete in the heads. At
        # that very instant only the streams up to the one that ends there are: its next block may
        # go on with it, and goes before those of later streams.
        until_s = min(block.arrival_s[-1] for block, _ in heads)
        ready = []
        rest = []
        ended = False
        for block, stream in heads:
            side: Literal["left", "right"] = "left" if ended else "right"
            count = int(np.searchsorted(block.arrival_s, until_s, side=side))
            ended = ended or block.arrival_s[-1] == until_s
            if count:
                ready.append(block.take(slice(0, count)))
            left = block.take(slice(count, None)) if count < len(block) else _next(stream)
            if left is not None:
                rest.append((left, stream))
        heads = rest
        yield join(ready)


def join(blocks: Sequence[RequestBlock]) -> RequestBlock:
    """Blocks, at least one, as one in order of arrival; equal instants keep the order given."""
    if len(blocks) == 1:
        return blocks[0]
    together = RequestBlock(
        np.concatenate([block.arrival_s for block in blocks]),
        np.concatenate([block.prompt_tokens for block in blocks]),
        np.concatenate([block.output_tokens for block in blocks]),
        np.concatenate([block.stream for block in blocks]),
        _tenants(blocks),
        _prefixes(blocks),
    )
    return together.take(np.argsort(together.arrival_s, kind="stable"))


def _tenants(blocks: Sequence[RequestBlock]) -> IntArray | None:
    """A scenario has tenants or not, so all of its blocks have the column or none."""
    columns = [block.tenant for block in blocks if block.tenant is not None]
    return np.concatenate(columns) if columns else None


def _prefixes(blocks: Sequence[RequestBlock]) -> ObjectArray | None:
    if all(block.prefix is None for block in blocks):
        return None
    none = [np.full(len(block), None) if block.prefix is None else block.prefix for block in blocks]
    return np.concatenate(none)


def _next(stream: RequestStream) -> RequestBlock | None:
    """The next block that is not empty."""
    for block in stream:
        if len(block):
            return block
    return None
