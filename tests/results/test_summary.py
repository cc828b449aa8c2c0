"""The figures of `--json`, against pandas; unknown is None, never 0."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcsim.results import Results
from dcsim.results.goodput import TenantSlo
from dcsim.results.intervals import peak_interval, percentile_interval
from dcsim.results.summary import build_summary
from dcsim.results.warm_up import WarmUp
from tests.results.made import COUNTS, loads, record, recorder, records


def test_nodes_against_pandas(tmp_path: Path) -> None:
    summary = record(tmp_path / "run.h5", 420)
    frame = pd.DataFrame(loads(420)[:, :3].astype(np.float32))
    for column, node in enumerate(summary["nodes"][:3]):
        series = frame[column]
        assert node["peak_w"] == pytest.approx(series.max(), rel=1e-6)
        assert node["mean_w"] == pytest.approx(series.mean(), rel=1e-6)
        assert node["p99_w"] == pytest.approx(series.quantile(0.99), rel=1e-6)
        assert node["load_factor"] == pytest.approx(series.mean() / series.max(), rel=1e-6)
        assert node["energy_wh"] == pytest.approx(series.mean() * 105 / 3600, rel=1e-6)
    assert [node["limit_w"] for node in summary["nodes"][:3]] == [None, 5000.0, 4000.0]
    assert summary["nodes"][0]["kind"] == "site"
    assert summary["simulated_s"] == 105.0
    assert summary["events"] == {"warning": 1, "overload": 0, "trip": 0}


def test_latencies_by_hand(tmp_path: Path) -> None:
    """Of the two completed requests: TTFT 0.1 and 0.3 s, end to end 1.1 and 1.3 s; only the
    first has gaps between tokens, ten of 0.1 s."""
    latency = record(tmp_path / "run.h5")["latency"]
    assert latency["ttft_s"]["p50"] == pytest.approx(0.2)
    assert latency["e2e_s"]["p50"] == pytest.approx(1.2)
    assert latency["tpot_s"] == pytest.approx({"p50": 0.1, "p95": 0.1, "p99": 0.1})


def test_nothing_completed_is_unknown_not_zero(tmp_path: Path) -> None:
    made = recorder(tmp_path / "run.h5")
    made.step(loads(1)[0])
    summary = build_summary(
        made, counts=COUNTS, tokens={}, preemptions=0, power_model=[{}, {}], gpu_state_s={}
    )
    assert summary["latency"]["ttft_s"] == {"p50": None, "p95": None, "p99": None}
    assert len(summary["power_model"]) == 2
    json.loads(json.dumps(summary, allow_nan=False))
    made.abort()


def test_watts_that_are_no_number_are_unknown(tmp_path: Path) -> None:
    """A day is not lost for them, and JSON has no NaN."""
    made = recorder(tmp_path / "run.h5")
    bad = loads(3)
    bad[1, :2] = np.nan
    for row in bad:
        made.step(row)
    summary = build_summary(
        made, counts=COUNTS, tokens={}, preemptions=0, power_model=[{}], gpu_state_s={}
    )
    made.finish(summary)
    site, _, other = summary["nodes"][:3]
    assert [site[key] for key in ("peak_w", "mean_w", "p99_w", "energy_wh")] == [None] * 4
    assert site["load_factor"] is None
    assert other["peak_w"] == pytest.approx(bad[:, 2].max())
    with Results.open(tmp_path / "run.h5") as results:
        assert results.summary == summary
        assert results.load_w("site")["site"].isna().tolist() == [False, True, False]


def test_goodput_counts_promises_kept(tmp_path: Path) -> None:
    """Of the four: the first is in time for both tenants' limits; the second's first token is
    late for tenant b; the third failed; the fourth has not ended."""
    table = records()
    table["tenant"] = [0, 1, 1, 0]
    slos = [TenantSlo("a", tpot_s=0.11), TenantSlo("b", ttft_s=0.25)]
    made = recorder(tmp_path / "x.h5", slos=slos)
    made.step(loads(1)[0])
    made.requests(table)
    summary = build_summary(
        made, counts=COUNTS, tokens={}, preemptions=0, power_model=[{}], gpu_state_s={}
    )
    a, b = summary["tenants"]
    assert (a["arrived"], a["completed"], a["within_slo"], a["slo_attainment"]) == (2, 1, 1, 1.0)
    assert (b["arrived"], b["completed"], b["within_slo"], b["slo_attainment"]) == (2, 1, 0, 0.0)
    assert a["slo"] == {"ttft_s": None, "tpot_s": 0.11}
    assert a["goodput_per_s"] == 1 / 0.25
    made.abort()


def test_intervals_are_of_levels_above_the_servers(tmp_path: Path) -> None:
    """Of what comes after the warm-up; of servers nothing is told."""
    made = recorder(tmp_path / "run.h5", warm_up=WarmUp(25.0, "as given"))
    load_w = 1000.0 + np.random.default_rng(1).normal(0.0, 10.0, 3000)
    for watts in load_w:
        made.step(np.full(len(made.nodes.names), watts))
    summary = build_summary(
        made, counts={}, tokens={}, preemptions=0, power_model=[{}], gpu_state_s={}
    )
    made.finish(summary)
    site, server = summary["nodes"][0], summary["nodes"][-1]
    measured = load_w[100:].astype(np.float32)
    assert [site["p99_low_w"], site["p99_high_w"]] == list(percentile_interval(measured))
    assert [site["peak_low_w"], site["peak_high_w"]] == list(peak_interval(measured))
    assert site["p99_low_w"] < site["p99_w"] < site["p99_high_w"]
    assert server["peak_low_w"] is server["p99_high_w"] is None
