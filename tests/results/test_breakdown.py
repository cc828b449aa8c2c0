"""Requests by whose they are, against exact percentiles."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.records import RECORD, Status
from dcsim.results.breakdown import Breakdown


def test_percentiles_and_counts_of_each() -> None:
    rng = np.random.default_rng(1)
    table = np.zeros(30_000, dtype=RECORD)
    of = rng.integers(-1, 3, len(table))
    table["arrival_s"] = rng.uniform(0, 100, len(table))
    table["ttft_s"] = rng.lognormal(-1.0, 1.0, len(table)) * (1 + np.maximum(of, 0))
    table["generated_tokens"] = rng.integers(1, 50, len(table))
    tpot_s = rng.lognormal(-3.0, 0.5, len(table))
    gaps = table["generated_tokens"] - 1
    table["end_s"] = table["arrival_s"] + table["ttft_s"] + tpot_s * gaps
    table["prompt_tokens"] = 7
    table["status"] = np.where(rng.random(len(table)) < 0.9, Status.COMPLETED, Status.FAILED)
    made = Breakdown(["a", "b", "c", "nobody"])
    for block in (slice(0, 10_000), slice(10_000, None)):
        made.add(table[block], of[block])
    *rows, nobody = made.rows()
    for number, row in enumerate(rows):
        mine = table[of == number]
        done = mine[mine["status"] == Status.COMPLETED]
        assert row["arrived"] == len(mine)
        assert row["completed"] == len(done)
        assert row["prompt_tokens"] == 7 * len(mine)
        assert row["generated_tokens"] == mine["generated_tokens"].sum()
        several = (of == number) & (table["status"] == Status.COMPLETED) & (gaps > 0)
        for percent in (50, 95, 99):
            exact = np.percentile(done["ttft_s"], percent)
            assert row["latency"]["ttft_s"][f"p{percent}"] == pytest.approx(exact, rel=0.01)
            exact = np.percentile(tpot_s[several], percent)
            assert row["latency"]["tpot_s"][f"p{percent}"] == pytest.approx(exact, rel=0.01)
    assert nobody["arrived"] == 0
    assert nobody["latency"]["ttft_s"] == {"p50": None, "p95": None, "p99": None}
