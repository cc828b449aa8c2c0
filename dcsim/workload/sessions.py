"""Conversations: turns that follow each other, each with all that was said before in its prompt.

An open loop: a turn comes a think time after the turn before it **arrived**, however long the
answer took. So the traffic does not hang on the site, and two sites can be compared under it; what
a slow site does to its users is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dcsim.arrays import BoolArray, FloatArray, IntArray, ObjectArray
from dcsim.scenario.models import (
    ExponentialThinking,
    FixedThinking,
    FixedTurns,
    GeometricTurns,
    Sessions,
)
from dcsim.workload.reorder import reorder
from dcsim.workload.shared import SYSTEM_PROMPT, first_id
from dcsim.workload.stream import BLOCK_REQUESTS, Prefix, RequestBlock, RequestStream, Segments
from dcsim.workload.tokens import Sampler

Number = TypeVar("Number", np.float64, np.int64)

STARTS_AT_ONCE = BLOCK_REQUESTS // 8
"""Conversations drawn together: what is drawn ahead is held."""


def conversations(
    starts: Iterator[FloatArray],
    spec: Sessions,
    draw: Sampler,
    *,
    system_prompt: int,
    stream: int,
    horizon_s: float,
    what: np.random.Generator,
    course: np.random.Generator,
    owners: Callable[[int], IntArray] | None = None,
) -> RequestStream:
    """The requests of conversations, and of those who ask once, that begin at `starts`.

    `what` draws lengths, `course` who goes on and how long they think, `owners` a tenant for so
    many. Held are the turns to come of conversations that have begun.
    """
    chances = _chances(spec)

    def made() -> Iterator[tuple[RequestBlock, float]]:
        next_id = first_id(stream) | SYSTEM_PROMPT
        for begun_s in starts:
            for at in range(0, len(begun_s), STARTS_AT_ONCE):
                times_s = begun_s[at : at + STARTS_AT_ONCE]
                count = len(times_s)
                talks = course.random(count) < spec.share
                turns = 1 + np.searchsorted(chances, course.random(count), side="right")
                turns = np.where(talks, turns, 1)
                total = int(turns.sum())
                thinking_s = _thinking_s(spec, course, total)
                prompt, output = draw(total, what)
                block, talk = _played(
                    times_s, turns, talks, thinking_s, prompt, output,
                    system_prompt=system_prompt, most=spec.max_context,
                    stream=stream, next_id=next_id + 1,
                )  # fmt: skip
                next_id += total
                if owners is not None:
                    block = replace(block, tenant=owners(count)[talk])
                yield block, float(times_s[-1])

    return reorder(made(), horizon_s)


def mean_turns(spec: Sessions) -> float:
    """Requests that come of one arrival on average, before `max_context` ends any."""
    chances = _chances(spec)
    turns = 1.0 + float(np.sum(1.0 - chances[:-1]))
    return 1.0 + spec.share * (turns - 1.0)


def turn_delays_s(spec: Sessions, count: int, rng: np.random.Generator) -> FloatArray:
    """How long after the start of its conversation each turn comes, of `count` conversations or
    single requests, s; before `max_context` ends any."""
    talks = rng.random(count) < spec.share
    turns = 1 + np.searchsorted(_chances(spec), rng.random(count), side="right")
    turns = np.where(talks, turns, 1)
    first = np.cumsum(turns) - turns
    talk = np.repeat(np.arange(count), turns)
    thinking_s = _thinking_s(spec, rng, len(talk))
    return _sum_within(np.where(np.arange(len(talk)) == first[talk], 0.0, thinking_s), first, talk)


def _chances(spec: Sessions) -> FloatArray:
    """By number of turns, from 1 on: the chance of at most so many."""
    turns = spec.turns
    if isinstance(turns, FixedTurns):
        return np.append(np.zeros(turns.count - 1), 1.0)
    if isinstance(turns, GeometricTurns):
        number = np.arange(1, turns.most + 1)
        return np.append(1.0 - (1.0 - 1.0 / turns.mean) ** number[:-1], 1.0)
    summed = np.cumsum(turns.weights)
    shares: FloatArray = summed / summed[-1]
    return shares


def _thinking_s(spec: Sessions, rng: np.random.Generator, count: int) -> FloatArray:
    think = spec.think_time
    if isinstance(think, FixedThinking):
        return np.full(count, think.time_s)
    if isinstance(think, ExponentialThinking):
        return think.mean_s * rng.standard_exponential(count)
    return think.median_s * np.exp(think.sigma * rng.standard_normal(count))


def _played(
    begun_s: FloatArray,
    turns: IntArray,
    talks: BoolArray,
    thinking_s: FloatArray,
    prompt: IntArray,
    output: IntArray,
    *,
    system_prompt: int,
    most: int,
    stream: int,
    next_id: int,
) -> tuple[RequestBlock, IntArray]:
    """All turns of the conversations that begin at `begun_s`, in no order, and for each the
    index of its conversation."""
    first = np.cumsum(turns) - turns
    talk = np.repeat(np.arange(len(turns)), turns)
    thought_s = _sum_within(
        np.where(np.arange(len(talk)) == first[talk], 0.0, thinking_s), first, talk
    )
    context = _sum_within(prompt + output, first, talk)
    # Before a turn: the system prompt and all that was said in the turns before it.
    before = system_prompt + context - prompt - output
    place = np.arange(len(talk)) - first[talk]
    # What is said only grows, so a conversation that once is too long stays so.
    kept = np.flatnonzero((place == 0) | (system_prompt + context <= most))
    prefix = np.empty(len(talk), dtype=object)
    if system_prompt or talks.any():
        _chain(prefix, kept, talk, turns, prompt + output, system_prompt, stream, next_id)
    block = RequestBlock(
        (begun_s[talk] + thought_s)[kept],
        (before + prompt)[kept],
        output[kept],
        np.full(len(kept), stream, dtype=np.int64),
        prefix=prefix[kept],
    )
    return block, talk[kept]


def _chain(
    prefix: ObjectArray,
    kept: IntArray,
    talk: IntArray,
    turns: IntArray,
    context: IntArray,
    system_prompt: int,
    stream: int,
    next_id: int,
) -> None:
    """Fill in what each turn has in common with those before it, and is met again as."""
    opening: Segments = ()
    if system_prompt:
        opening = ((first_id(stream) | SYSTEM_PROMPT, system_prompt),)
    alone = Prefix(opening) if opening else None
    segments, session = opening, -1
    for at, talk_index, length, tokens in zip(
        kept.tolist(),
        talk[kept].tolist(),
        turns[talk[kept]].tolist(),
        context[kept].tolist(),
        strict=True,
    ):
        if length == 1:
            prefix[at] = alone
            continue
        if talk_index != session:
            segments, session = opening, talk_index
        prefix[at] = Prefix(segments, next_id + at)
        segments = (*segments, (next_id + at, tokens))


def _sum_within(
    values: npt.NDArray[Number], first: IntArray, talk: IntArray
) -> npt.NDArray[Number]:
    """Running sums that begin anew with each group; `first` are the groups' first places."""
    summed = np.cumsum(values, dtype=values.dtype)
    return summed - (summed - values)[first][talk]
