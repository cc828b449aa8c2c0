"""From a scenario's `workload` to one stream of requests."""

from __future__ import annotations

import numpy as np

from dcsim.scenario.models import (
    PoissonArrivals,
    ReplayArrivals,
    Scenario,
    Stream,
)
from dcsim.workload.arrivals import diurnal, poisson
from dcsim.workload.replay import TraceError, read_azure, replay
from dcsim.workload.stream import RequestBlock, RequestStream, merge
from dcsim.workload.tokens import sampler


def requests(scenario: Scenario, seed: np.random.SeedSequence) -> RequestStream:
    """All of a scenario's requests before its end, lazily, in order of arrival."""
    return merge(
        [
            open_stream(spec, index, scenario.duration_s, _branch(seed, spec.name))
            for index, spec in enumerate(scenario.workload)
        ]
    )


def open_stream(
    spec: Stream, index: int, horizon_s: float, seed: np.random.SeedSequence
) -> RequestStream:
    """One stream's requests in [0, horizon_s). Nothing is read or drawn before it is asked for.

    Raises TraceError or OSError, when iterated, for a replay that cannot be read.
    """
    # Instants and lengths have luck of their own: changing one leaves the other alone.
    when, what = (np.random.default_rng(child) for child in seed.spawn(2))
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
            prompt, output = draw(len(times_s), what)
            stream = np.full(len(times_s), index, dtype=np.int64)
            yield RequestBlock(times_s, prompt, output, stream)

    return blocks()


def check(scenario: Scenario) -> list[TraceError]:
    """Read every replay file through; the first problem of each, none when all is well."""
    problems = []
    for spec in scenario.workload:
        if isinstance(spec.arrivals, ReplayArrivals):
            file = spec.arrivals.file
            try:
                for _ in read_azure(file):
                    pass
            except TraceError as problem:
                problems.append(problem)
            except OSError as error:
                problems.append(TraceError(file, 0, "", "", f"a readable file ({error.strerror})"))
    return problems


def _branch(seed: np.random.SeedSequence, name: str) -> np.random.SeedSequence:
    """A child by name, so that adding a stream does not change the luck of the others."""
    key = tuple(name.encode())
    return np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, *key))
