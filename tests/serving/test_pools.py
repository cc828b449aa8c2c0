"""Prefill and decode pools: the hand-over against hand-made sums (invariants 1 to 3 and 7)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.engine.simulation import Simulation
from dcsim.plant import Plant
from dcsim.records import Status
from dcsim.scenario import loads
from tests.serving.reference import play

TEXT = """
name: pools
duration: 10 min
workload:
  - name: chat
    model: llama-3-8b
    arrivals: {{kind: poisson, rate: 1 req/s}}
    tokens: {{kind: fixed, prompt: 100, output: 10}}
    retry: {retry}
servers:
  - name: prompts
    server: dgx-a100-80gb
    model: llama-3-8b
    tensor_parallel: 8
    role: prefill
    kv_transfer: {{bandwidth: {bandwidth}, latency: {latency}}}
    engine: {{num_gpu_blocks_override: {blocks}, max_model_len: 2000}}
    power: {{model: board-limit}}
  - name: answers
    server: dgx-a100-80gb
    model: llama-3-8b
    tensor_parallel: 8
    role: decode
    engine: {{num_gpu_blocks_override: {blocks}, max_model_len: 2000}}
    power: {{model: board-limit}}
facility:
  - {{name: site, kind: site, rating: 1 MW}}
  - {{name: one, kind: server, parent: site, group: prompts, count: {prefill}}}
  - {{name: two, kind: server, parent: site, group: answers, count: {decode}}}
"""


class Pools:
    """A site with both pools, its fleet driven by hand."""

    def __init__(self, **changes: object) -> None:
        given = {
            "bandwidth": "1 GB/s",
            "latency": "20 ms",
            "blocks": 200,
            "prefill": 1,
            "decode": 1,
            "retry": "null",
            **changes,
        }
        simulation = Simulation(Plant.build(loads(TEXT.format(**given))))
        self.fleet = simulation.fleet
        self.clock = simulation.clock
        self.log: dict[int, np.void] = {}
        simulation.log.sink = lambda rows: self.log.update({int(r["id"]): r.copy() for r in rows})
        self.decoders = self.fleet.replicas[-int(given["decode"]) :]  # type: ignore[call-overload]

    def feed(self, arrivals: list[tuple[float, int, int]]) -> None:
        for at_s, prompt, output in arrivals:

            def arrive(now: float, prompt: int = prompt, output: int = output) -> None:
                self.fleet.arrive(now, 0, prompt, output)

            self.clock.set_alarm(self.clock.alarm(arrive), at_s)

    def conserved(self) -> None:
        counts = self.fleet.counts()
        assert counts.pop("arrived") == sum(counts.values())

    def finish(self) -> dict[int, np.void]:
        self.clock.play(1e6)
        self.conserved()
        self.fleet.close(1e6)
        return self.log


def test_one_request_takes_prefill_then_transfer_then_decode() -> None:
    pools = Pools()
    timing = pools.fleet.replicas[0].timing
    engine = pools.fleet.replicas[0].engine
    pools.feed([(1.0, 700, 20)])
    row = pools.finish()[0]
    alone = play([(0.0, 700, 20)], timing, engine, 200)
    first_s, whole_s = alone.jobs[0].first_s, alone.jobs[0].end_s
    assert first_s is not None and whole_s is not None
    overhead_s = timing.first_token_overhead_s
    transfer_s = 700 * timing.costs.kv_bytes / 1e9 + 0.02
    assert row["ttft_s"] == pytest.approx(first_s + overhead_s)
    assert row["end_s"] == pytest.approx(1.0 + whole_s + transfer_s + overhead_s)
    assert row["replica"] == pools.decoders[0].index


def test_a_sender_sends_one_after_the_other() -> None:
    """Two prompts prefilled in one iteration: the second's KV waits for the first's."""
    pools = Pools(latency="0 s")
    timing = pools.fleet.replicas[0].timing
    pools.feed([(0.0, 600, 2), (0.0, 600, 2)])
    rows = pools.finish()
    apart_s = rows[1]["end_s"] - rows[0]["end_s"]
    assert apart_s == pytest.approx(600 * timing.costs.kv_bytes / 1e9, rel=0.05)


def test_single_tokens_are_not_sent() -> None:
    pools = Pools()
    pools.feed([(0.0, 50, 1)])
    row = pools.finish()[0]
    assert (row["status"], row["replica"]) == (Status.COMPLETED, 0)


def test_parked_blocks_hold_back_admission() -> None:
    """130 of 200 blocks are on their way for ten seconds: a second such prompt must wait."""
    slow = Pools(bandwidth="26 MB/s", latency="0 s")
    prompt = 130 * 16 - 100
    timing = slow.fleet.replicas[0].timing
    slow.feed([(0.0, prompt, 5), (0.5, prompt, 5)])
    rows = slow.finish()
    sent_s = rows[0]["ttft_s"] + prompt * timing.costs.kv_bytes / 26e6
    assert sent_s > 5.0
    assert rows[1]["arrival_s"] + rows[1]["ttft_s"] > sent_s


def test_darkness_on_the_way_loses_what_was_sent() -> None:
    pools = Pools(bandwidth="10 MB/s")
    pools.feed([(0.0, 500, 5), (0.1, 400, 5)])
    pools.clock.play(1.0)
    assert pools.fleet.counts()["running"] == 2
    pools.conserved()
    assert pools.fleet.lose_power(pools.fleet.replicas[0], 1.0) == 2
    pools.conserved()
    rows = pools.finish()
    assert [rows[i]["status"] for i in (0, 1)] == [Status.FAILED] * 2
    assert [rows[i]["generated_tokens"] for i in (0, 1)] == [1, 1]


def test_a_cut_off_transfer_does_not_end_the_one_sent_again() -> None:
    """The first transfer would have arrived while the second, of the same request, is under way."""
    pools = Pools(bandwidth="10 MB/s", retry="{attempts: 1, delay: 1 s}")
    sender = pools.fleet.replicas[0]
    pools.feed([(0.0, 500, 5)])
    pools.clock.play(2.0)
    pools.fleet.lose_power(sender, 2.0)
    pools.fleet.restore_power(sender, 2.5)
    pools.conserved()
    row = pools.finish()[0]
    transfer_s = 500 * sender.timing.costs.kv_bytes / 10e6
    assert transfer_s > 4.0
    assert (row["status"], row["retries"]) == (Status.COMPLETED, 1)
    assert row["end_s"] > 3.0 + transfer_s


def test_no_decode_pool_up_fails_the_request() -> None:
    pools = Pools()
    pools.fleet.lose_power(pools.decoders[0], 0.0)
    pools.feed([(0.0, 500, 5)])
    assert pools.finish()[0]["status"] == Status.FAILED


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.integers(1, 1500), st.integers(1, 300)),
        min_size=1,
        max_size=25,
    ),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from(["50 GB/s", "100 MB/s"]),
    st.floats(0, 5),
)
def test_nothing_is_lost_between_pools(
    arrivals: list[tuple[float, int, int]], prefill: int, decode: int, speed: str, look_s: float
) -> None:
    """Invariants 1, 2 and 3, decode replicas short of memory included."""
    pools = Pools(prefill=prefill, decode=decode, bandwidth=speed, blocks=130)
    pools.feed(sorted(arrivals))
    pools.clock.play(look_s)
    pools.conserved()
    rows = pools.finish()
    assert len(rows) == len(arrivals)
    for replica in pools.fleet.replicas:
        assert replica.held_tokens == replica.parked_blocks == replica.outstanding == 0
        assert replica.blocks_in_use() == 0
    for row in rows.values():
        fits = row["prompt_tokens"] + row["output_tokens"] <= 2000
        assert row["status"] == (Status.COMPLETED if fits else Status.REJECTED)
        if fits:
            assert row["generated_tokens"] == row["output_tokens"]
            by_decoder = row["replica"] >= prefill
            assert by_decoder == (row["output_tokens"] > 1)
