"""A server that has lost its power boots and reads its weights before it serves again."""

from __future__ import annotations

import numpy as np
import pytest

import dcsim
from dcsim.hardware import load_catalogue
from dcsim.scenario.models import Scenario

FILE = {
    "name": "restart",
    "duration": "10 min",
    "workload": [
        {
            "name": "chat",
            "model": "llama-3-8b",
            "arrivals": {"kind": "poisson", "rate": "2 req/s"},
            "tokens": {"kind": "fixed", "prompt": 500, "output": 50},
        }
    ],
    "servers": [
        {
            "name": "h100",
            "server": "dgx-h100",
            "model": "llama-3-8b",
            "tensor_parallel": 4,
            "power": {"model": "label"},
        }
    ],
    "facility": [
        {"name": "site", "kind": "site"},
        {"name": "row", "kind": "row", "parent": "site"},
        {"name": "server", "kind": "server", "parent": "row", "group": "h100"},
    ],
    "faults": [{"at": "60 s", "fail": "row", "repair_after": "1 s"}],
}


def test_by_default_a_second_without_power_costs_minutes() -> None:
    scenario = Scenario.model_validate(FILE)
    results = dcsim.simulate(scenario)
    # Two replicas of 16 GB at 1.8 GB/s, after five minutes of boot.
    load_s = 2 * load_catalogue().model("llama-3-8b").weight_bytes / 1.8e9
    back_s = 61.0 + 300.0 + load_s
    requests = results.requests()
    refused = requests[requests["status"] != "completed"]["arrival_s"]
    served = requests[requests["status"] == "completed"]["arrival_s"]
    assert not served.between(61.0, back_s - 0.5).any()
    assert refused.between(61.0, back_s - 0.5).sum() == pytest.approx(2 * (back_s - 61), rel=0.15)
    assert (served > back_s).sum() > 200
    # Idle GPUs and the rest of the server while it boots; four times that for 50 ms at first.
    idle_w = 8 * load_catalogue().gpu("h100-sxm-80gb").ledger_power.idle_w + 1400.0
    row_w = results.load_w("row")["row"]
    assert row_w.loc[60.25:61.0].to_numpy() == pytest.approx(0.0)
    assert row_w.loc[61.25] == pytest.approx(1.6 * idle_w)
    assert row_w.loc[61.5 : back_s - 0.5].to_numpy() == pytest.approx(idle_w)
    hours = results.summary["gpu_state_s"]
    assert hours["booting"] == pytest.approx(2 * 300.0, abs=1.0)
    assert hours["loading"] == pytest.approx(2 * load_s, abs=1.0)


def test_nothing_may_be_asked_for() -> None:
    quick = {"boot": "0 s", "load": "0 s", "inrush": 1.0}
    results = dcsim.simulate(Scenario.model_validate(FILE | {"restart": quick}))
    requests = results.requests()
    served = requests[requests["status"] == "completed"]["arrival_s"]
    assert served.between(62.0, 80.0).any()
    assert np.isfinite(results.load_w("row")["row"]).all()
