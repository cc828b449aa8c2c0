"""Twice as much as can be served, for an hour: it ends, nobody is lost, and queues, memory and
waits are what the fluid limit of such a queue says.

With twice the capacity offered, half of what arrives is served. Without a limit the rest waits:
the queue grows by the capacity, and who comes at t waits another t. With a limit of Q requests a
replica, half is turned away, and whoever is let in waits for Q others to be served.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dcsim.engine import Simulation
from dcsim.plant import Plant
from dcsim.results import Results
from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario

SEATS, PROMPT, OUTPUT, REPLICAS = 32, 256, 512, 2
HOUR_S = 3600.0
SITE = """
name: overload
seed: 4
duration: {duration_s} s
power_step: 1 s
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {{kind: poisson, rate: {rate} req/s}}
    tokens: {{kind: fixed, prompt: {prompt}, output: {output}}}
servers:
  - name: a100
    server: dgx-a100-80gb
    model: llama-3-70b
    tensor_parallel: 8
    engine: {{max_num_seqs: {seats}{limit}}}
    power: {{model: ledger}}
facility:
  - {{name: site, kind: site}}
  - {{name: server, kind: server, parent: site, count: {replicas}, group: a100}}
"""


def overload(rate_per_s: float, limit: int | None, duration_s: float = HOUR_S) -> Scenario:
    return loads(
        SITE.format(
            duration_s=duration_s,
            rate=rate_per_s,
            prompt=PROMPT,
            output=OUTPUT,
            seats=SEATS,
            limit="" if limit is None else f", queue_limit: {limit}",
            replicas=REPLICAS,
        )
    )


def capacity_per_s() -> float:
    """Requests a second of the whole site with all seats taken. In OUTPUT iterations each seat
    serves one request, and one in OUTPUT / SEATS iterations prefills a prompt beside the rest."""
    timing = Simulation(Plant.build(overload(1.0, None, 10.0))).fleet.replicas[0].timing
    context = (SEATS - 1) * (PROMPT + OUTPUT / 2)
    decode_s = timing.mixed_s(SEATS, SEATS * (PROMPT + OUTPUT / 2), 0, 0.0, 0.0, 0)
    mixed_s = timing.mixed_s(SEATS - 1, context, PROMPT, PROMPT**2 / 2, 1.5 * PROMPT, 1)
    return REPLICAS * SEATS / ((OUTPUT - SEATS) * decode_s + SEATS * mixed_s)


def play(scenario: Scenario, path: Path) -> tuple[dict[str, Any], Results, int]:
    """Summary, results and the peak of Python's memory above the start, in bytes."""
    simulation = Simulation(Plant.build(scenario))
    tracemalloc.start()
    try:
        summary = simulation.run(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    counts = summary["requests"]
    parts = sum(number for part, number in counts.items() if part != "arrived")
    assert counts["arrived"] == parts
    return summary, Results.open(path, summary=summary), peak


def test_an_hour_at_twice_the_capacity(tmp_path: Path) -> None:
    """Without a limit: queue, waits and memory grow as they must, and no faster."""
    capacity = capacity_per_s()
    summary, results, peak = play(overload(2 * capacity, None), tmp_path / "free.h5")
    with results:
        counts, latency = summary["requests"], summary["latency"]
        served = capacity * HOUR_S
        assert counts["arrived"] == pytest.approx(2 * served, rel=0.03)
        assert counts["completed"] == pytest.approx(served, rel=0.04)
        assert counts["waiting"] == pytest.approx(served, rel=0.06)
        assert counts["running"] == REPLICAS * SEATS
        assert counts["rejected"] == counts["failed"] == 0
        # Those served came within the first half, evenly, and waited as long as it was then.
        assert latency["ttft_s"]["p50"] == pytest.approx(HOUR_S / 4, rel=0.1)
        assert latency["ttft_s"]["p99"] == pytest.approx(0.99 * HOUR_S / 2, rel=0.1)
        assert latency["e2e_s"]["p99"] < HOUR_S
        # First come, first served, at each replica.
        done = results.requests().query("status == 'completed'").sort_values("arrival_s")
        started_s = (done["arrival_s"] + done["ttft_s"]).groupby(done["replica"])
        assert all((np.diff(times) >= 0).all() for _, times in started_s)
        assert (results.load_w("server").iloc[60:] > 1000).all().all()
        # A waiting request is an object and its numbers, besides what any run holds.
        assert peak < 8e6 + 700 * counts["waiting"]


def test_a_limited_queue_is_limited(tmp_path: Path) -> None:
    """With a limit: never more wait than it allows, and an hour takes no more memory than a
    quarter of one, but for a few bytes a request for the percentiles."""
    capacity = capacity_per_s()
    limit = 100
    peaks = []
    for duration_s in (HOUR_S / 4, HOUR_S):
        scenario = overload(2 * capacity, limit, duration_s)
        summary, results, peak = play(scenario, tmp_path / f"{duration_s}.h5")
        peaks.append(peak)
        with results:
            counts, latency = summary["requests"], summary["latency"]
            served = capacity * duration_s
            assert counts["waiting"] <= limit * REPLICAS
            assert counts["running"] == REPLICAS * SEATS
            assert counts["rejected"] == pytest.approx(served, rel=0.06)
            # The queue is always full: a place in it is worth its length over the rate.
            wait_s = limit * REPLICAS / capacity
            assert latency["ttft_s"]["p50"] == pytest.approx(wait_s, rel=0.06)
            assert latency["ttft_s"]["p99"] < 1.15 * wait_s
            rejected = results.requests().query("status == 'rejected'")
            assert (rejected["end_s"] == rejected["arrival_s"]).all()
    assert peaks[1] - peaks[0] < 2e6
