"""From a scenario's `workload` to one stream of requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dcsim.scenario.models import (
    PoissonArrivals,
    ReplayArrivals,
    Scenario,
    Stream,
    Tenant,
)
from dcsim.scenario.problems import Problem
from dcsim.workload.arrivals import diurnal, poisson
from dcsim.workload.azure import TraceError, faults
from dcsim.workload.replay import replay
from dcsim.workload.stream import RequestBlock, RequestStream, merge
from dcsim.workload.tokens import sampler

PROBLEMS_PER_FILE = 20
"""Of a trace that is wrong all over, so many rows are named."""


def requests(scenario: Scenario, seed: np.random.SeedSequence) -> RequestStream:
    """All of a scenario's requests before its end, lazily, in order of arrival."""
    streams = []
    for index, spec in enumerate(scenario.workload):
        branch = _branch(seed, spec.name)
        stream = open_stream(spec, index, scenario.duration_s, branch)
        streams.append(owned(stream, spec, scenario.tenants, _child(branch, 2)))
    return merge(streams)


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
    luck = np.random.default_rng(seed)
    for block in stream:
        drawn = np.searchsorted(bounds, luck.random(len(block)) * bounds[-1], side="right")
        yield replace(block, tenant=np.array(of, dtype=np.int64)[drawn])


def open_stream(
    spec: Stream, index: int, horizon_s: float, seed: np.random.SeedSequence
) -> RequestStream:
    """One stream's requests in [0, horizon_s). Nothing is read or drawn before it is asked for.

    Raises TraceError or OSError, when iterated, for a replay that cannot be read.
    """
    # Instants and lengths have luck of their own: changing one leaves the other alone.
    when, what = (np.random.default_rng(_child(seed, number)) for number in (0, 1))
    arrivals = spec.arrivals
    if isinstance(arrivals, ReplayArrivals):
        return replay(arrivals, index, horizon_s, when)
    assert spec.tokens is not None
    if isinstance(arrivals, PoissonArrivals):
        times = poisson(arrivals, horizon_s, when)
    else:
        times = diurnal(arrivals, horizon_s, when)
    draw = sampler(spec.tokens)

    def blocks() -> RequestStream:
        for times_s in times:
            if not len(times_s):
                continue
            prompt, output = draw(len(times_s), what)
            stream = np.full(len(times_s), index, dtype=np.int64)
            yield RequestBlock(times_s, prompt, output, stream)

    return blocks()


def check(scenario: Scenario) -> list[Problem]:
    """Read every replay file through, and tell what is wrong: up to PROBLEMS_PER_FILE rows of
    each file, then how many more. Empty when all is well."""
    problems: list[Problem] = []
    traces = [a for spec in scenario.workload if isinstance(a := spec.arrivals, ReplayArrivals)]
    for file in dict.fromkeys(trace.file for trace in traces):
        found: list[TraceError] = []
        more = 0
        try:
            for error in faults(file):
                if len(found) < PROBLEMS_PER_FILE:
                    found.append(error)
                else:
                    more += 1
        except OSError as failure:
            reason = failure.strerror or str(failure)
            problems.append(Problem(str(file), None, "", f"cannot be read: {reason}"))
        problems += [error.problem() for error in found]
        if more:
            problems.append(Problem(str(file), None, "", f"{more} more rows are wrong"))
    return problems


def _branch(seed: np.random.SeedSequence, name: str) -> np.random.SeedSequence:
    """A child by name, so that adding a stream does not change the luck of the others."""
    return _child(seed, *name.encode())


def _child(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """A child by key. Unlike `spawn` it leaves the parent as it was: the same seed opens the same
    stream again."""
    return np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, *key))
