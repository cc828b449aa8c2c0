"""From a scenario's `workload` to one stream of requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from dcsim import seeds
from dcsim.arrays import IntArray
from dcsim.scenario.models import ReplayArrivals, Scenario, Stream, Tenant
from dcsim.workload import clients  # noqa: F401 - registers its processes
from dcsim.workload.arrivals import ArrivalContext, arrivals
from dcsim.workload.replay import replay
from dcsim.workload.sessions import conversations, mean_turns
from dcsim.workload.shared import begins_alike
from dcsim.workload.stream import RequestBlock, RequestStream, merge
from dcsim.workload.tokens import sampler
from dcsim.workload.traces import RowCounts


class Requests:
    """A scenario's requests as an iterator of blocks, and what was left out of its traces so far.

    Lazily drawn, in order of arrival. Raises TraceError or OSError, when iterated, for a file that
    cannot be read.
    """

    def __init__(self, scenario: Scenario, seed: np.random.SeedSequence) -> None:
        self.tally = {spec.name: RowCounts() for spec in scenario.workload}
        """By stream, as far as its trace has been read; a trace that is looped counts once."""
        streams = []
        for index, spec in enumerate(map(partial(by_the_clock, scenario), scenario.workload)):
            stream_seed = seeds.child(seed, spec.name)
            owners = None
            if scenario.tenants:
                owners = Owners(spec, scenario.tenants, seeds.child(stream_seed, seeds.TENANTS))
            stream = open_stream(
                spec, index, scenario.duration_s, stream_seed, self.tally[spec.name], owners
            )
            streams.append(stream if owners is None else owned(stream, owners))
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


def by_the_clock(scenario: Scenario, spec: Stream) -> Stream:
    """A stream that does not say at what time of day it starts, with the scenario's."""
    start, process = scenario.start, spec.arrivals
    if start is None:
        return spec
    by_clock: dict[str, float | str | None] = {
        "start_at_s": float(start.time_of_day_s),
        "start_day": start.weekday,
    }
    changes = {
        name: value
        for name, value in by_clock.items()
        if name in type(process).model_fields and value and getattr(process, name) is None
    }
    if not changes:
        return spec
    return spec.model_copy(update={"arrivals": process.model_copy(update=changes)})


def requests(scenario: Scenario, seed: np.random.SeedSequence) -> Requests:
    """All of a scenario's requests before its end, lazily, in order of arrival."""
    return Requests(scenario, seed)


class Owners:
    """Draws to which tenant somebody belongs, in proportion to the tenants' shares."""

    def __init__(
        self, spec: Stream, tenants: Sequence[Tenant], seed: np.random.SeedSequence
    ) -> None:
        tenant_index = [
            at
            for at, tenant in enumerate(tenants)
            if not spec.tenants or tenant.name in spec.tenants
        ]
        self._tenants = np.array(tenant_index, dtype=np.int64)
        self._bounds = np.cumsum([tenants[at].share for at in tenant_index])
        self._rng = np.random.default_rng(seed)

    def draw(self, count: int) -> IntArray:
        """Indices among the scenario's tenants."""
        drawn = self._rng.random(count) * self._bounds[-1]
        tenants: IntArray = self._tenants[np.searchsorted(self._bounds, drawn, side="right")]
        return tenants


def owned(stream: RequestStream, owners: Owners) -> RequestStream:
    """Each request given to a tenant, where it has none yet."""
    for block in stream:
        if block.tenant is None:
            yield replace(block, tenant=owners.draw(len(block)))
        else:
            yield block


def open_stream(
    spec: Stream,
    index: int,
    horizon_s: float,
    seed: np.random.SeedSequence,
    tally: RowCounts | None = None,
    owners: Owners | None = None,
) -> RequestStream:
    """One stream's requests in [0, horizon_s). Nothing is read or drawn before it is asked for.
    Conversations are given to their tenants here, all turns to one; `owned` does it for others.

    Raises TraceError or OSError, when iterated, for a file that cannot be read.
    """
    if isinstance(spec.arrivals, ReplayArrivals):
        return replay(spec.arrivals, index, horizon_s, seed, tally)
    assert spec.tokens is not None
    draw = sampler(spec.tokens)
    what = seeds.generator(seed, seeds.LENGTHS)
    # The rate is that of requests, so fewer conversations begin.
    scale = 1.0 if spec.sessions is None else 1.0 / mean_turns(spec.sessions)
    times = arrivals(spec.arrivals, ArrivalContext(horizon_s, seed, scale))
    if spec.sessions is not None:
        return conversations(
            filter(len, times),
            spec.sessions,
            draw,
            system_prompt=spec.system_prompt,
            stream=index,
            horizon_s=horizon_s,
            what=what,
            course=seeds.generator(seed, seeds.SESSIONS),
            owners=None if owners is None else owners.draw,
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
