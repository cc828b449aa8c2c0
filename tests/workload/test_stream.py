"""Merging, against a plain sort."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.workload import RequestBlock, RequestStream, merge

Blocks = list[list[int]]


def blocks_of(times: list[int], cuts: list[int]) -> Blocks:
    """Rising times cut into blocks, some of them empty."""
    places = sorted(min(cut, len(times)) for cut in cuts)
    ends = [*places, len(times)]
    return [times[start:end] for start, end in zip([0, *places], ends, strict=True)]


# Few distinct instants: equal ones, within and across blocks, are where merging goes wrong.
streams_of_blocks = st.lists(
    st.builds(
        blocks_of,
        st.lists(st.integers(0, 8), max_size=12).map(sorted),
        st.lists(st.integers(0, 12), max_size=4),
    ),
    max_size=4,
)


def stream(index: int, blocks: Blocks) -> RequestStream:
    number = 0
    for times in blocks:
        ids = np.arange(number, number + len(times)) + 1
        number += len(times)
        yield RequestBlock(
            np.array(times, dtype=np.float64), ids, ids * 2, np.full(len(times), index)
        )


@settings(deadline=None)
@given(streams_of_blocks)
def test_merge_is_a_stable_sort(streams: list[Blocks]) -> None:
    """In order of arrival; equal instants by stream, then as they came; nothing lost or mixed."""
    merged = list(merge([stream(i, blocks) for i, blocks in enumerate(streams)]))
    rows = [
        row
        for block in merged
        for row in zip(
            block.arrival_s.tolist(),
            block.stream.tolist(),
            block.prompt_tokens.tolist(),
            block.output_tokens.tolist(),
            strict=True,
        )
    ]
    expected = [
        (float(time), index, number, 2 * number)
        for index, blocks in enumerate(streams)
        for number, time in enumerate((time for times in blocks for time in times), 1)
    ]
    assert rows == sorted(expected)
    assert all(len(block) for block in merged)


def test_merge_asks_for_blocks_only_as_it_needs_them() -> None:
    asked: list[float] = []

    def endless(step_s: float) -> Iterator[RequestBlock]:
        start_s = 0.0
        while True:
            times_s = start_s + step_s * np.arange(1, 101)
            start_s = times_s[-1]
            asked.append(step_s)
            ones = np.ones(100, dtype=np.int64)
            yield RequestBlock(times_s, ones, ones, ones)

    merged = merge([endless(1.0), endless(10.0)])
    assert asked == []
    first = next(merged)
    # Until 100 s: all of one block and a tenth of the other, whose request at 100 s itself must
    # wait for what the first stream may still bring at that instant.
    assert len(first) == 109
    assert len(asked) <= 3
