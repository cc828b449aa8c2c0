"""The shipped story of an oversubscribed row: its header must tell it truly.

Figures may move a little with the power packs, which are made anew now and then; what happens may
not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dcsim.engine import simulate
from dcsim.results import Results
from dcsim.scenario import load

FILE = Path(__file__).parents[2] / "scenarios/polca-row.yaml"
HEADER = FILE.read_text(encoding="utf-8").split("name: polca-row")[0]
ROW = r"#\s+(\d+) +(none|dual-threshold) +([\d.]+) kW +(\d+) (s|min) +(.*?) {3,}([\d.]+) %"


def told(servers: int, policy: str) -> tuple[float, float, str, float]:
    """Peak in kW, seconds over, what the breaker does, and chat's share within its SLO."""
    for found in re.finditer(ROW, HEADER):
        if (int(found[1]), found[2]) == (servers, policy):
            over_s = float(found[4]) * (60.0 if found[5] == "min" else 1.0)
            return float(found[3]), over_s, found[6], float(found[7]) / 100.0
    raise AssertionError(f"the header has no row of {servers} servers, {policy}")


def row_of(run: Results) -> dict[str, Any]:
    return next(node for node in run.summary["nodes"] if node["name"] == "row")


def played(*changes: str) -> Results:
    return simulate(load(FILE, overrides=list(changes)))


@pytest.fixture(scope="module")
def capped() -> Iterator[Results]:
    with played() as run:
        yield run


@pytest.fixture(scope="module")
def free() -> Iterator[Results]:
    with played("control=[]") as run:
        yield run


@pytest.fixture(scope="module")
def fewer() -> Iterator[Results]:
    with played("control=[]", "facility.batch-server.count=9") as run:
        yield run


@pytest.mark.parametrize(
    ("name", "servers", "policy"),
    [("capped", 16, "dual-threshold"), ("free", 16, "none"), ("fewer", 13, "none")],
)
def test_the_table_is_what_happens(
    name: str, servers: int, policy: str, request: pytest.FixtureRequest
) -> None:
    run: Results = request.getfixturevalue(name)
    peak_kw, over_s, breaker, within = told(servers, policy)
    row = row_of(run)
    assert row["peak_w"] / 1e3 == pytest.approx(peak_kw, rel=0.03)
    assert row["time_over_limit_s"] == pytest.approx(over_s, rel=0.1, abs=20.0)
    assert (row["trips"], breaker) == (0, "holds")
    chat = run.summary["tenants"][0]
    assert chat["slo_attainment"] == pytest.approx(within, abs=0.04)


def test_the_breaker_is_a_whole_one() -> None:
    """Three phases of 208 V and 175 A; the row's rating is the 80 % that it may carry for hours."""
    row = load(FILE).facility[1]
    assert row.breaker is not None
    assert row.breaker.rating_w == pytest.approx(3**0.5 * 208 * 175, rel=2e-3)
    assert row.rating_w == pytest.approx(0.8 * 63e3)
    assert row.continuous == 1.0


def test_the_policy_keeps_the_rule_and_no_breaker_opens(
    capped: Results, free: Results, fewer: Results
) -> None:
    """16 keep the continuous allowance with the policy, break it without; 13 keep it, and queue."""
    for run in (capped, free, fewer):
        assert row_of(run)["trips"] == run.summary["requests"]["failed"] == 0
    assert row_of(free)["peak_w"] == pytest.approx(0.94 * 63e3, rel=0.02)
    mean_kw = []
    for run in (fewer, free, capped):
        (rule,) = [row for row in run.summary["limits"] if row["kind"] == "continuous"]
        assert rule["limit_w"] == pytest.approx(50.4e3)
        mean_kw.append(rule["highest_w"] / 1e3)
    assert mean_kw == pytest.approx([44.1, 53.8, 47.8], rel=0.02)
    late_s = fewer.summary["latency"]["ttft_s"]["p95"]
    assert late_s == pytest.approx(198.0, rel=0.05)
    assert capped.summary["latency"]["ttft_s"]["p95"] == pytest.approx(0.51, rel=0.05)


def test_the_price_is_what_is_told(capped: Results, free: Results) -> None:
    """Tokens and first tokens."""
    now, before = (run.summary["latency"] for run in (capped, free))
    assert now["tpot_s"]["p95"] == pytest.approx(0.0381, rel=0.02)
    assert before["tpot_s"]["p95"] == pytest.approx(0.0372, rel=0.02)
    assert now["ttft_s"]["p95"] / before["ttft_s"]["p95"] == pytest.approx(1.15, abs=0.05)
    events = capped.events()
    braked = events[events["kind"] == "braked"]
    assert len(braked) == 1
    off = events[(events["kind"] == "released") & events["message"].str.contains("20.4 %")]
    assert float(off["time_s"].iloc[0] - braked["time_s"].iloc[0]) == pytest.approx(40.0, abs=2.0)
    between = (600.0, 1400.0)
    mean_kw = [run.load_w("row")["row"].loc[slice(*between)].mean() / 1e3 for run in (capped, free)]
    assert mean_kw == pytest.approx([49.0, 54.5], rel=0.03)
    assert mean_kw[0] < 0.93 * mean_kw[1]


def test_who_gives_way_is_the_batch(capped: Results) -> None:
    """Low priority first; every server of both groups is slowed in the end, the chat less."""
    messages = capped.events().query("kind == 'limited'")["message"].tolist()
    assert "90.4 %" in messages[0]
    assert any("92.6 %" in message for message in messages)
    assert capped.summary["control"]["capped_server_h"] == pytest.approx(9.9, abs=0.3)
