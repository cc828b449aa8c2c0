"""How long a run takes to fill: known before it starts, so that live watchers can leave it out.

A run begins without a request. If requests arrive at a steady rate and stay as long as they do at
a light load, the number in service grows as E[min(S, (t - T)+)] / E[S], where S is how long a
request stays and T how long after its conversation's start it comes (0 for one that stands alone):
the mean of an infinite-server queue that starts empty (Eick, Massey and Whitt, "The Physics of the
Mt/G/infinity Queue", Operations Research 41, 1993). The warm-up lasts until that is 99 %.
"""

from __future__ import annotations

import math
from itertools import islice

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.errors import TraceError
from dcsim.hardware.roofline import IterationModel
from dcsim.plant import Plant
from dcsim.results.warm_up import WarmUp
from dcsim.scenario.models import ReplayArrivals, Stream
from dcsim.spec.units import SECOND
from dcsim.workload import open_stream
from dcsim.workload.sessions import turn_delays_s
from dcsim.workload.tokens import sampler

LEAST_S = 30.0
MOST_OF_RUN = 0.2
MOST_GIVEN = 0.5
"""Of a run that is shorter than its file thought, half is left to measure."""
FILLED = 0.99
BATCH = 32
"""Requests that decode together in the estimate."""
DRAWS = 2000


def warm_up_of(plant: Plant) -> WarmUp:
    """What the scenario asks for, or what `auto` makes of it; the same for every seed.

    Whole seconds, or whole power steps where a run is too short for those.
    """
    scenario = plant.scenario
    stays = [stay for spec in scenario.workload if (stay := _stay(spec, plant)) is not None]
    if scenario.warm_up_s is not None:
        wanted_s, most, rule = scenario.warm_up_s, MOST_GIVEN, "as given"
    else:
        fills_s = max((_fills_s(stay) for stay in stays), default=0.0)
        wanted_s, most = max(LEAST_S, fills_s), MOST_OF_RUN
        rule = f"auto: {SECOND.format(LEAST_S)}"
        if fills_s > LEAST_S:
            share = f"{100 * FILLED:.0f} %"
            rule = f"auto: {fills_s:.0f} s until {share} of steady requests are in service"
    most_s = most * scenario.duration_s
    if wanted_s > most_s:
        rule += f", held to {100 * most:.0f} % of the run"
    cut_s = _rounded(min(wanted_s, most_s), scenario.power_step_s, down=wanted_s > most_s)
    whole_s = _rounded(wanted_s, scenario.power_step_s)
    return WarmUp(cut_s, rule, _filled(stays, cut_s), whole_s, most)


def _rounded(time_s: float, step_s: float, *, down: bool = False) -> float:
    """Whole seconds where steps fit into seconds and one is not too long, else whole steps."""
    per_second = round(1.0 / step_s)
    whole_s = step_s
    if time_s >= 1.0 and per_second >= 1 and abs(per_second * step_s - 1.0) < 1e-9:
        whole_s = 1.0
    count = time_s / whole_s
    return (math.floor(count + 1e-9) if down else math.ceil(count - 1e-9)) * whole_s


Stay = tuple[FloatArray, FloatArray]
"""Delays after the start of a conversation, and times in service, of sampled requests, s."""


def _stay(spec: Stream, plant: Plant) -> Stay | None:
    """None where a recording cannot be read: the run will say why."""
    rng = np.random.default_rng(0)
    delay_s = np.zeros(DRAWS)
    if isinstance(spec.arrivals, ReplayArrivals):
        try:
            seed = np.random.SeedSequence(0)
            blocks = list(islice(open_stream(spec, 0, plant.scenario.duration_s, seed), 1))
        except (TraceError, OSError):
            return None
        if not blocks or not len(blocks[0]):
            return None
        prompt, output = blocks[0].prompt_tokens[:DRAWS], blocks[0].output_tokens[:DRAWS]
        delay_s = np.zeros(len(prompt))
    else:
        assert spec.tokens is not None
        try:
            draw = sampler(spec.tokens)
            if spec.sessions is not None:
                delay_s = turn_delays_s(spec.sessions, DRAWS, rng)
            prompt, output = draw(len(delay_s), rng)
        except (TraceError, OSError):
            return None
    served = [_service_s(prompt, output, *timing) for timing in _timings(spec, plant)]
    return (delay_s, np.max(served, axis=0)) if served else None


def _timings(spec: Stream, plant: Plant) -> list[tuple[IterationModel, int]]:
    """Of the groups that serve the stream's model, with the batch assumed in each."""
    return [
        (group.timing, min(BATCH, group.spec.engine.max_num_seqs))
        for group in plant.groups
        if group.model.name == spec.model
    ]


def _service_s(
    prompt: IntArray,
    output: IntArray,
    timing: IterationModel,
    batch: int,
) -> FloatArray:
    """How long requests of such lengths stay, decoding `batch` together."""
    tokens = float(prompt.mean())
    token_s = timing.mixed_s(0, 0, tokens, tokens**2 / 2.0, 1.5 * tokens, 1) / tokens
    context = float((prompt + output / 2.0).mean())
    step_s = timing.decode_s[batch] + timing.context_s * batch * context
    return np.asarray(timing.first_token_overhead_s + token_s * prompt + step_s * output)


def _share(stay: Stay, time_s: float) -> float:
    """Of the steady number in service, expected so long after an empty start."""
    delay_s, service_s = stay
    there_s = np.clip(time_s - delay_s, 0.0, service_s)
    return float(there_s.sum() / service_s.sum())


def _fills_s(stay: Stay) -> float:
    """When that share reaches `FILLED`: by bisection, the share never falls."""
    low_s, high_s = 0.0, float((stay[0] + stay[1]).max())
    while high_s - low_s > 0.5:
        middle_s = (low_s + high_s) / 2.0
        if _share(stay, middle_s) < FILLED:
            low_s = middle_s
        else:
            high_s = middle_s
    return high_s


def _filled(stays: list[Stay], cut_s: float) -> float | None:
    """The least full of the streams; None where nothing is known of any."""
    return min((_share(stay, cut_s) for stay in stays), default=None)
