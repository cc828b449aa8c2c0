"""From a scenario's `workload` to one stream of requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from dcsim.scenario.models import (
    ClientsArrivals,
    ReplayArrivals,
    Scenario,
    ServegenArrivals,
    Stream,
    Tenant,
)
from dcsim.workload import luck
from dcsim.workload.arrivals import arrivals
from dcsim.workload.clients import made_up, servegen
from dcsim.workload.rates import Floats
from dcsim.workload.replay import replay
from dcsim.workload.sessions import conversations, mean_turns
from dcsim.workload.shared import begins_alike
from dcsim.workload.stream import RequestBlock, RequestStream, merge
from dcsim.workload.tokens import sampler
from dcsim.workload.traces import Tally


class Requests:
    """A scenario's requests as an iterator of blocks, and what was left out of its traces so far.

    Lazily drawn, in order of arrival. Raises TraceError or OSError, when iterated, for a file that
    cannot be read.
    """

    def __init__(self, scenario: Scenario, seed: np.random.SeedSequence) -> None:
        self.tally = {spec.name: Tally() for spec in scenario.workload}
        """By stream, as far as its trace has been read; a trace that is looped counts once."""
        streams = []
        for index, spec in enumerate(scenario.workload):
            own = luck.branch(seed, spec.name)
            stream = open_stream(spec, index, scenario.duration_s, own, self.tally[spec.name])
            streams.append(owned(stream, spec, scenario.tenants, luck.child(own, luck.TENANTS)))
        self._blocks = merge(streams)

    def __iter__(self) -> Iterator[RequestBlock]:
        return self

    def __next__(self) -> RequestBlock:
        return next(self._blocks)

    @property
    def skipped(self) -> dict[str, int]:
        """Rows that were wrong and skipped, by stream; streams without any are left out."""
        return {name: tally.skipped for name, tally in self.tally.items() if tally.skipped}

    @property
    def dropped(self) -> dict[str, int]:
        """Rows that were right and not wanted, by stream; streams without any are left out."""
        return {name: tally.dropped for name, tally in self.tally.items() if tally.dropped}


def requests(scenario: Scenario, seed: np.random.SeedSequence) -> Requests:
    """All of a scenario's requests before its end, lazily, in order of arrival."""
    return Requests(scenario, seed)


def owned(
    stream: RequestStream, spec: Stream, tenants: Sequence[Tenant], seed: np.random.SeedSequence
) -> RequestStream:
    """The stream's requests given to its tenants by chance, in proportion to their shares."""
    if not tenants:
        yield from stream
        return
    of = [
        at for at, tenant in enumerate(tenants) if not spec.tenants or tenant.name in spec.tenants
    ]
    bounds = np.cumsum([tenants[at].share for at in of])
    rng = np.random.default_rng(seed)
    for block in stream:
        drawn = np.searchsorted(bounds, rng.random(len(block)) * bounds[-1], side="right")
        yield replace(block, tenant=np.array(of, dtype=np.int64)[drawn])


def open_stream(
    spec: Stream,
    index: int,
    horizon_s: float,
    seed: np.random.SeedSequence,
    tally: Tally | None = None,
) -> RequestStream:
    """One stream's requests in [0, horizon_s). Nothing is read or drawn before it is asked for.

    Raises TraceError or OSError, when iterated, for a file that cannot be read.
    """
    if isinstance(spec.arrivals, ReplayArrivals):
        return replay(spec.arrivals, index, horizon_s, seed, tally)
    assert spec.tokens is not None
    draw = sampler(spec.tokens)
    what = luck.generator(seed, luck.LENGTHS)
    # The rate is that of requests, so fewer conversations begin.
    scale = 1.0 if spec.sessions is None else 1.0 / mean_turns(spec.sessions)
    times = _times(spec, horizon_s, seed, scale)
    if spec.sessions is not None:
        return conversations(
            filter(len, times),
            spec.sessions,
            draw,
            system_prompt=spec.system_prompt,
            stream=index,
            horizon_s=horizon_s,
            what=what,
            course=luck.generator(seed, luck.SESSIONS),
        )

    def blocks() -> RequestStream:
        for times_s in times:
            count = len(times_s)
            if not count:
                continue
            prompt, output = draw(count, what)
            stream = np.full(count, index, dtype=np.int64)
            prefix = None
            if spec.system_prompt:
                prompt = prompt + spec.system_prompt
                prefix = begins_alike(index, spec.system_prompt, count)
            yield RequestBlock(times_s, prompt, output, stream, prefix=prefix)

    return blocks()


def _times(
    spec: Stream, horizon_s: float, seed: np.random.SeedSequence, scale: float
) -> Iterator[Floats]:
    """Arrivals at `scale` times the scenario's rate."""
    process = spec.arrivals
    if isinstance(process, ServegenArrivals):
        return servegen(process, horizon_s, seed, scale)
    if isinstance(process, ClientsArrivals):
        return made_up(process, horizon_s, seed, scale)
    assert not isinstance(process, ReplayArrivals)
    return arrivals(process, horizon_s, seed, scale)
