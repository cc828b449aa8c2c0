"""Ids for what prompts share: unique among streams, and among repeats of the same recording.

An id has 63 bits: 13 for the stream, then 18 for a variant of it (which lap of a loop, which
repeat) and 32 of the recording's own; a stream that makes its own ids counts through all 50.
Repeats share nothing with each other: they stand for other people with the same rhythm, not for
the same question asked twice.
"""

from __future__ import annotations

import numpy as np

from dcsim.arrays import ObjectArray
from dcsim.workload.stream import Prefix

OWN_BITS = 50
VARIANT_BITS = 18
BLOCK_BITS = 32
SYSTEM_PROMPT = 1
"""Own id of a stream's system prompt; conversations count from the next."""


def first_id(stream: int) -> int:
    """Of a stream's ids; not 0, which stands for none."""
    return (stream + 1) << OWN_BITS


def recorded(
    stream: int, variant: int, blocks: tuple[int, ...], prompt_tokens: int, block_tokens: int
) -> Prefix | None:
    """What a recorded prompt shares: whole blocks, and the last as long as the prompt goes."""
    if not blocks:
        return None
    base = first_id(stream) | (variant % (1 << VARIANT_BITS)) << BLOCK_BITS
    size = block_tokens
    segments = [(base | block, size) for block in blocks]
    over = len(blocks) * size - prompt_tokens
    if over > 0:
        segments[-1] = (segments[-1][0], size - over)
    return Prefix(tuple(segments))


def begins_alike(stream: int, tokens: int, count: int) -> ObjectArray:
    """The prefixes of `count` requests that share a system prompt only."""
    column = np.empty(count, dtype=object)
    column.fill(Prefix(((first_id(stream) | SYSTEM_PROMPT, tokens),)))
    return column
