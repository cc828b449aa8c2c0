"""Recorded requests, played back: a part of the trace, again and again, as many times over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np

from dcsim import seeds
from dcsim.arrays import FloatArray, IntArray
from dcsim.errors import TraceError
from dcsim.scenario.models import ReplayArrivals, TraceColumns
from dcsim.workload.arrivals import changes
from dcsim.workload.formats import BLOCK_TOKENS, FORMATS
from dcsim.workload.rates import Profile, rescaled
from dcsim.workload.reorder import reorder
from dcsim.workload.shared import recorded
from dcsim.workload.stream import BLOCK_REQUESTS, RequestBlock, RequestStream
from dcsim.workload.traces import Options, RowCounts, TraceRow, read

JITTER_S = 0.5
"""Repeats of a request are spread over this half-width, so that scaled traffic keeps its rhythm
without arriving in lockstep. Assumed: far below the minutes over which production traffic swells
and ebbs, well above a decode iteration."""
MOST_REPEATS = 1 << 22
"""Made at once: rate_scale's 1000 of a block's requests."""
COPIES = 1 << 10
"""Repeats of one request that have ids of their own."""


@dataclass(frozen=True, slots=True)
class TraceBatch:
    """Consecutive rows of a trace, and where they stand: `time_s` since the start of the replay
    at the trace's own pace; `lap` counts how often the trace began again."""

    time_s: FloatArray
    rows: list[TraceRow]
    lap: IntArray


def replay(
    spec: ReplayArrivals,
    stream: int,
    horizon_s: float,
    seed: np.random.SeedSequence,
    tally: RowCounts | None = None,
) -> RequestStream:
    """The trace's requests before `horizon_s`, read as they are needed; the moment `spec.from_s`
    is 0 s. What is left out is counted in `tally`.

    Raises TraceError at the first row that cannot be read, unless such rows are to be skipped.
    """
    rows = _laps(spec, RowCounts() if tally is None else tally)
    batches = _sampled(_batches(rows), spec.sample, seeds.generator(seed, seeds.SAMPLE))
    if spec.scaling == "compress":
        return _compressed(spec, stream, horizon_s, batches)
    rng = seeds.generator(seed, seeds.ARRIVALS)
    return reorder(_repeated(spec, stream, batches, rng), horizon_s)


def options(spec: ReplayArrivals) -> Options:
    """What the scenario asks of the trace's format."""
    return Options(
        spec.failed,
        spec.only_model,
        spec.block_tokens,
        spec.time_unit,
        named(spec.columns),
        spec.sort_within_s,
    )


def named(columns: TraceColumns | None) -> tuple[tuple[str, str], ...]:
    """Role and column of those that a scenario names."""
    given = {} if columns is None else columns.model_dump()
    return tuple((role, name) for role, name in given.items() if name is not None)


def _laps(spec: ReplayArrivals, tally: RowCounts) -> Iterator[tuple[float, TraceRow, int]]:
    """(time since the start of the replay, row, lap) of the wanted part of the trace."""
    lap, started_s = 0, 0.0
    while True:
        first_s = last_s = None
        played = 0
        counted = tally if lap == 0 else RowCounts()
        for row in read(
            spec.file,
            FORMATS[spec.format],
            options(spec),
            tally=counted,
            skip=spec.on_error == "skip",
        ):
            if row.time_s < spec.from_s:
                continue
            if spec.until_s is not None and row.time_s >= spec.until_s:
                break
            first_s = row.time_s if first_s is None else first_s
            last_s = row.time_s
            played += 1
            yield started_s + row.time_s - spec.from_s, row, lap
        if first_s is None or last_s is None:
            raise TraceError(spec.file, 0, "", "", "requests between `from` and `until`", True)
        if not spec.loop:
            return
        if spec.until_s is not None:
            started_s += spec.until_s - spec.from_s
        else:
            # After the last request as long as on average, so that laps join without a seam.
            gap_s = (last_s - first_s) / (played - 1) if last_s > first_s else 1.0
            started_s += last_s + gap_s - spec.from_s
        lap += 1


def _batches(rows: Iterator[tuple[float, TraceRow, int]]) -> Iterator[TraceBatch]:
    while batch := list(islice(rows, BLOCK_REQUESTS)):
        times_s, requests, laps = zip(*batch, strict=True)
        yield TraceBatch(np.array(times_s), list(requests), np.array(laps, dtype=np.int64))


def _sampled(
    batches: Iterator[TraceBatch], fraction: float, rng: np.random.Generator
) -> Iterator[TraceBatch]:
    for batch in batches:
        if fraction == 1.0:
            yield batch
            continue
        kept = np.flatnonzero(rng.random(len(batch.rows)) < fraction)
        rows = [batch.rows[at] for at in kept]
        yield TraceBatch(batch.time_s[kept], rows, batch.lap[kept])


def _block(spec: ReplayArrivals, batch: TraceBatch, stream: int) -> RequestBlock:
    rows = batch.rows
    prefix = None
    if any(row.blocks for row in rows):
        prefix = np.empty(len(rows), dtype=object)
        prefix[:] = [
            recorded(stream, lap * COPIES, row.blocks, row.prompt_tokens, _block_tokens(spec))
            for row, lap in zip(rows, batch.lap.tolist(), strict=True)
        ]
    return RequestBlock(
        batch.time_s,
        np.array([row.prompt_tokens for row in rows], dtype=np.int64),
        np.array([row.output_tokens for row in rows], dtype=np.int64),
        np.full(len(rows), stream, dtype=np.int64),
        prefix=prefix,
    )


def _block_tokens(spec: ReplayArrivals) -> int:
    """Tokens of the blocks whose ids the trace tells."""
    return spec.block_tokens or BLOCK_TOKENS.get(spec.format, 0)


# --- time divided ----------------------------------------------------------------------------


def _compressed(
    spec: ReplayArrivals, stream: int, horizon_s: float, batches: Iterator[TraceBatch]
) -> RequestStream:
    """The trace's time is what a process of rate 1 would count, so that a rate of `rate_scale`
    divides it, and changes of the rate stretch it further."""
    read_ahead: list[TraceBatch] = []

    def counts() -> Iterator[FloatArray]:
        for batch in batches:
            read_ahead.append(batch)
            yield batch.time_s

    for times_s in rescaled(counts(), Profile(spec.rate_scale, changes(spec)), horizon_s):
        batch = read_ahead.pop()
        if len(times_s):
            part = TraceBatch(times_s, batch.rows[: len(times_s)], batch.lap[: len(times_s)])
            yield _block(spec, part, stream)


# --- requests repeated -----------------------------------------------------------------------


def _repeated(
    spec: ReplayArrivals, stream: int, batches: Iterator[TraceBatch], rng: np.random.Generator
) -> Iterator[tuple[RequestBlock, float]]:
    """Each request appears `rate_scale` times: its whole part always, its fraction by chance. The
    first appearance keeps its instant, further ones are moved by up to JITTER_S. Changes of the
    rate change the scale."""
    factors = changes(spec)
    for batch in batches:
        if not len(batch.rows):
            continue
        scale = np.full(len(batch.rows), spec.rate_scale)
        for factor in factors:
            scale *= np.maximum(factor.at(batch.time_s), 0.0)
        # Under a huge factor a few rows at a time: their repeats are made together.
        ends = np.append(np.flatnonzero(np.diff(np.cumsum(scale) // MOST_REPEATS)) + 1, len(scale))
        for start, end in pairwise([0, *ends.tolist()]):
            rows = slice(start, end)
            part = TraceBatch(batch.time_s[rows], batch.rows[rows], batch.lap[rows])
            block = _block(spec, part, stream)
            # Later rows may still bring repeats from just before this block's end.
            moved = spec.rate_scale > 1.0 or bool(factors)
            edge_s = float(part.time_s[-1]) - (JITTER_S if moved else 0.0)
            if (scale[rows] != 1.0).any():
                block = _scaled(spec, block, part, stream, scale[rows], rng)
            yield block, edge_s


def _scaled(
    spec: ReplayArrivals,
    block: RequestBlock,
    batch: TraceBatch,
    stream: int,
    scale: FloatArray,
    rng: np.random.Generator,
) -> RequestBlock:
    whole = scale.astype(np.int64)
    copies = whole + (rng.random(len(block)) < scale - whole)
    at = np.repeat(np.arange(len(block)), copies)
    more = block.take(at)
    number = np.arange(len(at)) - np.repeat(np.cumsum(copies) - copies, copies)
    moved_s = np.where(number > 0, rng.uniform(-JITTER_S, JITTER_S, len(at)), 0.0)
    if more.prefix is not None:
        for place in np.flatnonzero(number > 0).tolist():
            row, lap = batch.rows[at[place]], int(batch.lap[at[place]])
            variant = lap * COPIES + int(number[place])
            more.prefix[place] = recorded(
                stream, variant, row.blocks, row.prompt_tokens, _block_tokens(spec)
            )
    # What would arrive before the start arrives as long after it.
    return replace(more, arrival_s=np.abs(more.arrival_s + moved_s))
