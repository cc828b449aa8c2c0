"""How busy replicas are, and what stands behind the watts: against hand calculations and plays."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dcsim.engine import simulate
from dcsim.evidence import shares_text
from dcsim.ledger import GpuState, WorkLedger
from dcsim.plant import Plant
from dcsim.records import RECORD
from dcsim.scenario.load import loads
from dcsim.serving.replica_sums import ReplicaSums
from dcsim.serving.site_capacity import estimator, lengths
from dcsim.studies.bench_site import SiteBench
from tests.engine.sites import site


def ledger(**columns: Any) -> WorkLedger:
    """Eight replicas, all alike but for what is given."""
    zero = np.zeros(8)
    names = ("running", "waiting", "prefill_tokens", "decode_tokens", "iterations")
    rest = ("busy_fraction", "kv_fraction", "compute_util", "memory_util")
    made = WorkLedger(0.25, *(zero for _ in (*names, *rest)), state=np.full(8, int(GpuState.IDLE)))
    return replace(made, **columns)


def busy(count_from_s: float = 0.0) -> ReplicaSums:
    return ReplicaSums(Plant.build(site()), count_from_s)


def test_sums_by_hand() -> None:
    """Two steps: replicas run 0 to 7 requests, then none; KV, tokens and busy time likewise. What
    came before the count is left out."""
    made = busy(count_from_s=0.25)
    made.step(0.25, ledger(running=np.full(8, 200.0), kv_fraction=np.full(8, 0.9)))
    made.step(
        0.5,
        ledger(
            running=np.arange(8.0),
            waiting=np.ones(8),
            kv_fraction=np.arange(8.0) / 10,
            busy_fraction=np.full(8, 0.5),
            decode_tokens=np.full(8, 10.0),
            prefill_tokens=np.full(8, 100.0),
        ),
    )
    made.step(0.75, ledger())
    records = np.zeros(4, dtype=RECORD)
    records["arrival_s"] = [0.1, 0.3, 0.5, 0.7]
    records["replica"] = [0, 0, 3, -1]
    made.requests(records)
    row, whole = made.rows(0.75)
    assert row["running_mean"] == 28 / 16
    assert row["running_p95"] == 7  # of 16 values the 15.2nd: 0 nine times, then 1 to 7
    assert row["waiting_mean"] == 0.5
    assert row["kv_mean"] == pytest.approx(2.8 / 16)
    assert row["kv_max"] == 0.7
    assert row["idle_share"] == 0.75
    assert row["decode_tokens_per_s_server"] == pytest.approx(10 / 0.5)
    assert row["prompt_tokens_per_s_server"] == pytest.approx(100 / 0.5)
    assert row["batch_share"] == pytest.approx(1.75 / 256)
    # Two were taken by a replica, one was turned away at the door: it asked for capacity, too.
    assert row["requests_per_s"] == 3 / 0.5
    assert row["share_of_capacity"] == pytest.approx(6.0 / row["capacity_per_s"])
    assert whole["group"] is None
    assert whole["requests_per_s"] == 3 / 0.5
    assert whole["running_mean"] == row["running_mean"]


def test_replicas_that_are_off_are_not_idle() -> None:
    made = busy()
    state = np.full(8, int(GpuState.DECODE))
    state[4:] = GpuState.OFF
    running = np.where(state == GpuState.OFF, 0.0, 2.0)
    made.step(0.25, ledger(running=running, busy_fraction=running / 2, state=state))
    row = made.rows(0.25)[0]
    assert row["on_share"] == 0.5
    assert row["running_mean"] == 2.0
    assert row["running_p95"] == 2
    assert row["idle_share"] == 0.0


def test_unknown_before_the_first_step_and_for_json() -> None:
    made = busy(count_from_s=10.0)
    row, whole = made.rows(10.0)
    assert row["running_mean"] is None
    assert row["kv_max"] is None
    assert whole["share_of_capacity"] is None
    json.dumps([row, whole], allow_nan=False)


@pytest.mark.parametrize(
    ("tokens", "engine"),
    [
        ("{kind: fit, name: azure-2023-conv}", "{}"),
        ("{kind: fit, name: azure-2023-code}", "{}"),
        ("{kind: fit, name: azure-2023-conv}", "{max_num_seqs: 24}"),
        ("{kind: fit, name: azure-2023-conv}", "{num_gpu_blocks_override: 3000}"),
    ],
)
def test_the_estimate_is_what_saturates_when_played(tokens: str, engine: str) -> None:
    """15 % below the estimate the SLO is kept, 15 % above it is not: the stated error."""
    text = site_text(tokens, engine)
    scenario = loads(text)
    plant = Plant.build(scenario)
    sample = lengths(scenario)["llama-3-70b"]
    made = estimator(scenario, plant.groups[0], sample, 8)
    rate = made.capacity().requests_per_s
    for factor, kept in ((0.85, True), (1.15, False)):
        bench = SiteBench(plant, "llama-3-70b", sample)
        assert bench.play(factor * 8 * rate).kept == kept


def site_text(tokens: str, engine: str) -> str:
    """A site's file with other lengths."""
    from tests.engine.sites import HOLES, SITE

    text = SITE.format(**{**HOLES, "engine": engine, "duration": "20 min"})
    return text.replace("{kind: fit, name: azure-2023-conv}", tokens)


def test_evidence_by_hand() -> None:
    """At their board limit eight A100 draw 3,200 W (of a data sheet: extrapolated), the server's
    constant is 1,000 W (assumed); cooling at a PUE of 1.25 is a quarter of both (assumed)."""
    with simulate(site(power="{model: board-limit}", duration="10 s")) as results:
        found = results.summary["evidence"]
    assert found["shares"]["extrapolated"] == pytest.approx(3200 / 4200)
    assert found["shares"]["assumed"] == pytest.approx(1000 / 4200)
    assert found["text"] == "76 % extrapolated, 24 % assumed"
    assert found["mean_w"] == pytest.approx(8 * 4200)
    text = site_text("{kind: fit, name: azure-2023-conv}", "{}")
    text = text.replace("{model: ledger}", "{model: board-limit}").replace("20 min", "10 s")
    with simulate(loads(text + "cooling: {pue: 1.25}\n")) as results:
        found = results.summary["evidence"]
        site_w = results.summary["nodes"][0]["mean_w"]
    assert found["mean_w"] == pytest.approx(site_w)
    assert found["shares"]["assumed"] == pytest.approx(1 - 3200 / (4200 * 1.25))
    assert [part["what"] for part in found["parts"]][-1] == "cooling"
    # The server group's own shares know nothing of the site's cooling.
    assert found["groups"][0]["shares"]["assumed"] == pytest.approx(1000 / 4200)


def test_a_fitted_chassis_is_no_assumption() -> None:
    text = site_text("{kind: fit, name: azure-2023-conv}", "{}").replace("20 min", "10 s")
    text = text.replace("dgx-a100-80gb", "dgx-h200").replace("rating: 12 kW", "rating: 30 kW")
    with simulate(loads(text)) as results:
        found = results.summary["evidence"]
        site_w = results.summary["nodes"][0]["mean_w"]
    assert found["shares"]["assumed"] == 0.0
    assert found["mean_w"] == pytest.approx(site_w)
    assert sum(part["mean_w"] for part in found["parts"]) == pytest.approx(site_w)


def test_shares_in_words() -> None:
    """Whole numbers that sum to 100, the strongest evidence first."""
    assert shares_text({"assumed": 0.4159, "fitted": 0.5841}) == "58 % fitted, 42 % assumed"
    third = dict.fromkeys(("measured", "fitted", "assumed"), 1 / 3)
    numbers = [int(part.split()[0]) for part in shares_text(third).split(", ")]
    assert sorted(numbers) == [33, 33, 34]
    assert shares_text({"fitted": 1.0, "measured": 0.0}) == "100 % fitted"
    assert shares_text(dict.fromkeys(("fitted", "assumed"), None)) == "unknown"
