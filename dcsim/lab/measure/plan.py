"""A campaign as parts whose every request is fixed before the first is sent.

The same file and seed give the same requests: instants of arrival and lengths come from the
workload room. Each part and repeat has random streams of its own, so adding a part leaves the
others alone.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dcsim import seeds
from dcsim.lab.measure.campaign import (
    AnyPart,
    Campaign,
    Expect,
    IdlePart,
    StaircasePart,
    StepsPart,
)
from dcsim.scenario.models import GammaArrivals, Spec, Tokens
from dcsim.workload.arrivals import ArrivalContext, arrivals
from dcsim.workload.tokens import sampler

EDGES, LENGTHS, PROMPTS = range(3)
"""Children of a part's seed."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to come."""

    number: int
    """Within the part, from 0, in the order of sending where that is known."""
    prompt_tokens: int
    output_tokens: int
    at_s: float | None = None
    """After the part's first idle time; None: when its stream's turn comes (staircases)."""
    stair: int = 0
    stream: int = 0


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One run folder to be."""

    name: str
    """Also the folder's name."""
    kind: str
    seed_key: tuple[int | str, ...]
    """Its place in the campaign's seed tree."""
    before_s: float
    after_s: float
    window_s: float
    """For which the part lasts at least, without its idle ends."""
    rest_s: float
    """Between stairs."""
    asks: tuple[Ask, ...]
    duration_s: float
    """Expected, idle ends included."""

    @property
    def prompt_tokens(self) -> int:
        return sum(ask.prompt_tokens for ask in self.asks)

    @property
    def output_tokens(self) -> int:
        return sum(ask.output_tokens for ask in self.asks)

    def generator(self, seed: int, which: int) -> np.random.Generator:
        """The random stream `which` of this part."""
        return seeds.generator(np.random.SeedSequence(seed), *self.seed_key, which)

    def to_dict(self) -> dict[str, Any]:
        """For the manifest: what was planned, and a digest of every request."""
        rows = [
            (a.number, a.prompt_tokens, a.output_tokens, a.at_s, a.stair, a.stream)
            for a in self.asks
        ]
        return {
            "part": self.name,
            "kind": self.kind,
            "requests": len(self.asks),
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "before_s": self.before_s,
            "window_s": self.window_s,
            "after_s": self.after_s,
            "digest": hashlib.sha256(
                json.dumps([self.before_s, self.window_s, self.after_s, self.rest_s, rows]).encode()
            ).hexdigest()[:16],
        }


DrawnPart = tuple[list[Ask], float, float, float]
"""Requests, least time without the idle ends, rest between stairs, expected time: seconds."""
Draw = Callable[[np.random.SeedSequence, Expect], DrawnPart]


def make_plan(campaign: Campaign) -> list[PlannedPart]:
    """All parts, in order. Raises OSError or TraceError for a file of lengths that cannot be
    read."""
    parts: list[PlannedPart] = []
    variants = itertools.chain.from_iterable(map(_variants, campaign.parts))
    for label, spec, repeat, draw in variants:
        key = (label, 256 + repeat)
        seed = seeds.child(np.random.SeedSequence(campaign.seed), *key)
        asks, window_s, rest_s, busy_s = draw(seed, campaign.expect)
        name = f"{len(parts) + 1:02d}-{label}" + (f"-{repeat + 1}" if spec.repeats > 1 else "")
        parts.append(
            PlannedPart(
                name=name,
                kind=spec.kind,
                seed_key=key,
                before_s=spec.before_s,
                after_s=spec.after_s,
                window_s=window_s,
                rest_s=rest_s,
                asks=tuple(asks),
                duration_s=spec.before_s + busy_s + spec.after_s,
            )
        )
    return parts


def _variants(spec: AnyPart) -> Iterator[tuple[str, AnyPart, int, Draw]]:
    """Label, part of the file, repeat, and what draws the requests."""
    for repeat in range(spec.repeats):
        if isinstance(spec, IdlePart):
            yield spec.name, spec, repeat, partial(_idle, spec)
        elif isinstance(spec, StaircasePart):
            yield spec.name, spec, repeat, partial(_stairs, spec)
        elif isinstance(spec, StepsPart):
            yield spec.name, spec, repeat, partial(_steps, spec)
        else:
            grid = itertools.product(spec.rates_per_s, spec.burstiness, enumerate(spec.tokens))
            for rate_per_s, burstiness, (number, tokens) in grid:
                label = f"{spec.name}-r{rate_per_s:g}"
                label += f"-b{burstiness:g}" if len(spec.burstiness) > 1 else ""
                label += f"-t{number + 1}" if len(spec.tokens) > 1 else ""
                draw = partial(_rates, rate_per_s, burstiness, tokens, spec.duration_s)
                yield label, spec, repeat, draw


def _rates(
    rate_per_s: float,
    burstiness: float,
    tokens: Tokens,
    duration_s: float,
    seed: np.random.SeedSequence,
    expect: Expect,
) -> DrawnPart:
    process = GammaArrivals.model_validate(
        {"kind": "gamma", "rate": f"{rate_per_s!r} req/s", "burstiness": burstiness}
    )
    blocks = arrivals(process, ArrivalContext(duration_s, seeds.child(seed, EDGES)))
    times = np.concatenate([np.empty(0), *blocks])
    prompt, output = _lengths(tokens, len(times), seed)
    asks = [Ask(n, prompt[n], output[n], at_s) for n, at_s in enumerate(times.tolist())]
    ends_s = [_answered_s(ask, expect) + (ask.at_s or 0.0) for ask in asks]
    return asks, duration_s, 0.0, max([duration_s, *ends_s])


def _idle(spec: IdlePart, seed: np.random.SeedSequence, expect: Expect) -> DrawnPart:
    return [], spec.duration_s, 0.0, spec.duration_s


def _stairs(spec: StaircasePart, seed: np.random.SeedSequence, expect: Expect) -> DrawnPart:
    prompt, output = _lengths(spec.tokens, spec.rounds * sum(spec.batches), seed)
    asks: list[Ask] = []
    busy_s = spec.rest_s * (len(spec.batches) - 1)
    for stair, batch in enumerate(spec.batches):
        streams_s = [0.0] * batch
        for _, stream in itertools.product(range(spec.rounds), range(batch)):
            number = len(asks)
            ask = Ask(number, prompt[number], output[number], None, stair, stream)
            asks.append(ask)
            streams_s[stream] += _answered_s(ask, expect)
        busy_s += max(streams_s)
    return asks, 0.0, spec.rest_s, busy_s


def _steps(spec: StepsPart, seed: np.random.SeedSequence, expect: Expect) -> DrawnPart:
    prompt, output = _lengths(spec.tokens, spec.count * spec.batch, seed)
    asks = [
        Ask(number, prompt[number], output[number], spec.period_s * (number // spec.batch))
        for number in range(len(prompt))
    ]
    window_s = spec.period_s * spec.count
    return (
        asks,
        window_s,
        0.0,
        max(window_s, *(_answered_s(ask, expect) + (ask.at_s or 0.0) for ask in asks)),
    )


def _answered_s(ask: Ask, expect: Expect) -> float:
    return ask.prompt_tokens / expect.prompt_rate + ask.output_tokens * expect.token_time_s


def _lengths(
    tokens: Tokens, count: int, seed: np.random.SeedSequence
) -> tuple[list[int], list[int]]:
    if not count:
        return [], []
    prompt, output = sampler(tokens)(count, seeds.generator(seed, LENGTHS))
    return prompt.tolist(), output.tolist()


def digest(campaign: Campaign) -> str:
    """Of all that decides what is measured; two campaigns alike have the same."""
    spec: Spec = campaign
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:16]
