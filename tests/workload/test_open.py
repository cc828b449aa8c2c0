"""Whole workloads: deterministic, independent, lazy."""

from __future__ import annotations

import tracemalloc
from itertools import islice

import numpy as np
import pytest
from scipy import stats

from dcsim.arrays import FloatArray
from dcsim.scenario import Scenario, loads
from dcsim.workload import BLOCK_REQUESTS, open_stream, requests
from tests.scenario.sample import edited

FIRST = "  - name: chat\n"
CODE = (
    "  - name: code\n    model: llama-3-70b\n"
    "    arrivals: {kind: diurnal, mean_rate: 5 req/s, period: 1 h}\n"
    "    tokens: {kind: fit, name: azure-2023-code}\n"
)


def scenario(*changes: tuple[str, str]) -> Scenario:
    return loads(edited(*changes))


def table(played: Scenario, seed: int = 1) -> FloatArray:
    """One row a request: arrival, prompt, output, stream."""
    blocks = [
        np.column_stack([b.arrival_s, b.prompt_tokens, b.output_tokens, b.stream])
        for b in requests(played, np.random.SeedSequence(seed))
    ]
    return np.concatenate(blocks)


def test_same_seed_same_requests() -> None:
    both = scenario((FIRST, CODE + FIRST))
    assert np.array_equal(table(both), table(both))
    assert not np.array_equal(table(both)[:100], table(both, seed=2)[:100])


def test_a_seed_opens_the_same_stream_again() -> None:
    spec = scenario().workload[0]
    seed = np.random.SeedSequence(4)
    first = next(open_stream(spec, 0, 1e6, seed))
    again = next(open_stream(spec, 0, 1e6, seed))
    assert np.array_equal(first.arrival_s, again.arrival_s)


def test_a_stream_keeps_its_luck_beside_others_and_in_any_place() -> None:
    alone = table(scenario())
    before = table(scenario((FIRST, CODE + FIRST)))
    after = table(scenario(("servers:\n", CODE + "servers:\n")))
    assert np.array_equal(before[before[:, 3] == 1][:, :3], alone[:, :3])
    assert np.array_equal(after[after[:, 3] == 0][:, :3], alone[:, :3])
    assert (np.diff(before[:, 0]) >= 0).all()


def test_streams_of_other_names_have_other_luck() -> None:
    renamed = table(scenario((FIRST, "  - name: tahc\n")))
    assert not np.array_equal(renamed[:100, 0], table(scenario())[:100, 0])


def test_lengths_do_not_change_arrivals() -> None:
    fixed = table(scenario())
    drawn = table(
        scenario(("{kind: fixed, prompt: 512, output: 128}", "{kind: fit, name: sharegpt}"))
    )
    assert np.array_equal(fixed[:, 0], drawn[:, 0])


def test_lengths_and_arrivals_share_no_luck() -> None:
    """First arrivals and first prompts of many seeds: drawn from one generator, they would rise
    and fall together."""
    spec = scenario(("{kind: fixed, prompt: 512, output: 128}", "{kind: fit, name: sharegpt}"))
    firsts = [
        next(open_stream(spec.workload[0], 0, 1e6, np.random.SeedSequence(seed)))
        for seed in range(400)
    ]
    arrivals_s = [block.arrival_s[0] for block in firsts]
    prompts = [block.prompt_tokens[0] for block in firsts]
    assert abs(stats.spearmanr(arrivals_s, prompts).statistic) < 4 / np.sqrt(400)


@pytest.mark.parametrize("duration", ["10000 s", "100000 h"])
def test_ten_million_requests_and_billions_open_at_once_and_stay_out_of_memory(
    duration: str,
) -> None:
    """The longer run has 3.6e11 requests: were they drawn ahead, this would never end."""
    busy = scenario(
        ("rate: 2 req/s", "rate: 1000 req/s"),
        ("duration: 10 min", f"duration: {duration}"),
        ("servers:\n", CODE + "servers:\n"),
    )
    stream = requests(busy, np.random.SeedSequence(1))
    next(stream)
    tracemalloc.start()
    drawn = sum(len(block) for block in islice(stream, 250))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drawn > 900_000
    # A few blocks of 4 columns x 8 bytes and their scratch; the requests drawn are 32 MB.
    assert peak_bytes < 40 * BLOCK_REQUESTS * 32


def test_requests_go_to_tenants_by_share() -> None:
    tenants = "tenants: [{name: a, share: 3}, {name: b}, {name: c}]\n"
    chosen = FIRST + "    tenants: [a, c]\n"
    played = scenario((FIRST, chosen), ("servers:\n", tenants + "servers:\n"))
    drawn = np.concatenate(
        [b.tenant for b in requests(played, np.random.SeedSequence(1)) if b.tenant is not None]
    )
    assert set(drawn) == {0, 2}
    assert stats.binomtest(int((drawn == 0).sum()), len(drawn), 0.75).pvalue > 1e-3
    without = scenario()
    assert np.array_equal(table(played), table(without))
