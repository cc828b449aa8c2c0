"""Autoscaling in whole runs: how many replicas when, what they draw, and what a budget holds back
(invariants 16 and 17)."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.engine import Simulation
from dcsim.engine import simulate as run
from dcsim.plant import Plant
from dcsim.results import Results
from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario
from dcsim.serving.autoscale import STARTED, Autoscaler, Phase
from tests.engine.test_simulation import check
from tests.scenario.sample import GOOD, only

IDLE_W = 70.11875
"""An A100 of the catalogue."""
SITE = """
name: scaled
seed: {seed}
duration: {duration}
power_step: {step}
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {arrivals}
    {tokens}
servers:
  - name: a100
    server: dgx-a100-80gb
    model: llama-3-70b
    tensor_parallel: {parallel}
    power: {power}
    autoscale: {autoscale}
routing: {routing}
facility:
  - {{name: site, kind: site}}
  - {{name: row, kind: row, parent: site, count: 2, rating: {rating}, breaker: {breaker}}}
  - {{name: server, kind: server, parent: row, count: 4, group: a100}}
"""
SCALE = {
    "target": 10,
    "interval": "10 s",
    "scale_down_after": "2 min",
    "boot": "30 s",
    "load": "45 s",
    "power": {"standby": "150 W", "stopped": "20 W", "booting": "90 W", "loading": "100 W"},
}


def flow(data: Any) -> str:
    """YAML on one line."""
    if isinstance(data, dict):
        return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in data.items()) + "}"
    return str(data)


def site(scale: dict[str, Any] | None = None, **changes: object) -> Scenario:
    holes: dict[str, object] = {
        "seed": 1,
        "duration": "5 min",
        "step": "500 ms",
        "arrivals": "{kind: poisson, rate: 2 req/s}",
        "tokens": "tokens: {kind: fixed, prompt: 200, output: 200}",
        "parallel": 8,
        "power": "{model: ledger}",
        "routing": "{policy: least-outstanding}",
        "rating": "60 kW",
        "breaker": "null",
        "autoscale": flow({**SCALE, **(scale or {})}),
    }
    return loads(SITE.format(**{**holes, **changes}))


def play(scenario: Scenario, path: Path) -> tuple[Results, Autoscaler | None]:
    simulation = Simulation(Plant.build(scenario))
    summary = simulation.run(path)
    return Results.open(path, summary=summary), simulation.autoscalers.by_group.get("a100")


def steps(path: Path, *parts: tuple[float, float]) -> dict[str, object]:
    """Changes that replay (rate, seconds) after (rate, seconds), evenly spaced, one length."""
    times: list[float] = []
    start = 0.0
    for rate, seconds in parts:
        times.extend(start + np.arange(0.0, seconds, 1.0 / rate))
        start += seconds
    noon = datetime(2023, 11, 16, 12)
    rows = [f"{noon + timedelta(seconds=time_s):%Y-%m-%d %H:%M:%S.%f}0,200,200" for time_s in times]
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows) + "\n")
    return {"arrivals": f"{{kind: replay, file: {path}}}", "tokens": "", "duration": f"{start} s"}


def counts(scaler: Autoscaler) -> list[tuple[float, int, int]]:
    """(s, on, warm) after each change."""
    phases: dict[int, Phase] = {}
    rows = []
    for time_s, replica, phase in scaler.history:
        phases[replica] = phase
        on = sum(p in STARTED for p in phases.values())
        rows.append((time_s, on, sum(p == Phase.WARM for p in phases.values())))
    return rows


def bounded(scaler: Autoscaler, least: int, most: int) -> None:
    """Invariant 16, from the moment when the start is complete."""
    replicas = {replica for _, replica, _ in scaler.history}
    assert all(least <= on <= most for _, on, _ in counts(scaler)[len(replicas) :])


def only_warm_ones_are_given(scaler: Autoscaler, requests: pd.DataFrame) -> None:
    """Invariant 17: each request came to a replica at an instant when it was warm."""
    arrived = requests.loc[requests["replica"] >= 0, ["arrival_s", "replica"]]
    for replica, times in arrived.groupby("replica")["arrival_s"]:
        changes = [(t, phase) for t, r, phase in scaler.history if r == replica]
        at = np.searchsorted([t for t, _ in changes], times.to_numpy(), side="right") - 1
        before = np.maximum(at - 1, 0)
        phases = np.array([phase for _, phase in changes])
        exactly = np.array([t for t, _ in changes])[at] == times.to_numpy()
        warm = (phases[at] == Phase.WARM) | (exactly & (phases[before] == Phase.WARM))
        assert warm.all()


def test_a_step_up_takes_a_decision_a_boot_and_a_load(tmp_path: Path) -> None:
    """More replicas serve exactly boot and load after the decision, and none before."""
    scenario = site(**steps(tmp_path / "up.csv", (0.5, 300), (6.0, 600)))
    results, scaler = play(scenario, tmp_path / "up.h5")
    assert scaler is not None
    with results:
        check(results)
        bounded(scaler, 1, 8)
        only_warm_ones_are_given(scaler, results.requests())
        starts = [t for t, _, phase in scaler.history if phase == Phase.BOOTING]
        loads_ = [t for t, _, phase in scaler.history if phase == Phase.LOADING]
        warm = [t for t, _, phase in scaler.history if phase == Phase.WARM and t > 0]
        assert 300 < starts[0] <= 330
        assert starts[0] % 10 == 0
        assert loads_ == [t + 30 for t in starts]
        assert warm == [t + 75 for t in starts if t + 75 <= 900]
        # Little's law: what runs at 6 requests/s, ten to a replica, is what is on in the end.
        late = results.requests().query("arrival_s > 600 and status == 'completed'")
        running = 6.0 * (late["end_s"] - late["arrival_s"]).mean()
        assert counts(scaler)[-1][1] == pytest.approx(running / 10, abs=1.1)
        assert results.summary["autoscale"][0]["most_on"] <= 8


def test_a_step_down_waits_and_drains(tmp_path: Path) -> None:
    """Fewer only after `scale_down_after` of needing fewer; those that go finish what they have,
    and then whole servers draw their standby watts."""
    trace = steps(tmp_path / "down.csv", (6.0, 400), (0.2, 500))
    results, scaler = play(site({"start": 8}, **trace), tmp_path / "down.h5")
    assert scaler is not None
    with results:
        check(results)
        bounded(scaler, 1, 8)
        only_warm_ones_are_given(scaler, results.requests())
        drains = [t for t, _, phase in scaler.history if phase == Phase.DRAINING]
        # Eight were more than enough from the start, but so only after two minutes.
        assert min(drains) == 130.0
        needed = [on for t, on, _ in counts(scaler) if t <= 400][-1]
        assert 3 <= needed < 8
        assert not [t for t in drains if 400 < t <= 520]
        assert [t for t in drains if 520 < t <= 560]
        assert counts(scaler)[-1][1:] == (1, 1)
        statuses = set(results.requests()["status"])
        assert statuses <= {"completed", "running"}
        # The last ones on are alone on one server; the seven others are at rest.
        server_w = results.load_w("server").iloc[-1].to_numpy()
        assert np.sort(server_w)[:7] == pytest.approx([150.0] * 7)
        assert server_w.max() > 1000 + 8 * IDLE_W - 1


def test_requests_of_a_draining_replica_are_finished_there(tmp_path: Path) -> None:
    trace = steps(tmp_path / "drain.csv", (4.0, 120), (0.05, 300))
    long = site({"start": 8, "scale_down_after": "0 s", "target": 20}, **trace)
    results, scaler = play(long, tmp_path / "drain.h5")
    assert scaler is not None
    with results:
        check(results)
        requests = results.requests()
        busy = 0
        for time_s, replica, phase in scaler.history:
            if phase != Phase.DRAINING:
                continue
            here = requests.query("replica == @replica and arrival_s < @time_s")
            off = [
                t
                for t, r, p in scaler.history
                if r == replica and t >= time_s and p in (Phase.OFF, Phase.WARM)
            ]
            going_on = here[here["end_s"] > time_s]
            busy += len(going_on)
            if off and len(going_on):
                back = [p for t, r, p in scaler.history if r == replica and t == off[0]]
                if back == [Phase.OFF]:
                    assert off[0] == pytest.approx(going_on["end_s"].max(), abs=0.01)
        assert busy > 0, "nothing was ever drained while it worked"
        assert (requests["status"] != "failed").all()


def test_what_drains_is_taken_back_before_anything_boots(tmp_path: Path) -> None:
    """Traffic that comes back finds replicas that still work off their last requests: they are
    warm again at once, and nobody boots."""
    trace = steps(tmp_path / "back.csv", (5.0, 100), (0.05, 20), (5.0, 60))
    eager = site({"start": 8, "scale_down_after": "0 s", "target": 4, "interval": "1 s"}, **trace)
    results, scaler = play(eager, tmp_path / "back.h5")
    assert scaler is not None
    with results:
        check(results)
        only_warm_ones_are_given(scaler, results.requests())
        back = 0
        for replica in range(8):
            phases = [phase for _, r, phase in scaler.history if r == replica]
            back += sum(pair == (Phase.DRAINING, Phase.WARM) for pair in pairwise(phases))
        assert back > 0
        for time_s, _, phase in scaler.history:
            if phase == Phase.BOOTING:
                assert Phase.DRAINING not in phases_at(scaler, time_s).values()


def phases_at(scaler: Autoscaler, time_s: float) -> dict[int, Phase]:
    """Each replica's phase after all that happened until then."""
    return {replica: phase for at, replica, phase in scaler.history if at <= time_s}


def test_whole_servers_come_to_rest_and_must_boot_again(tmp_path: Path) -> None:
    """Two replicas a server: of eight, the four that stay share two servers, the others rest.
    When they are wanted again, their servers boot."""
    trace = steps(tmp_path / "rest.csv", (4.0, 150), (0.05, 100), (8.0, 150))
    scale = {"start": 8, "min": 4, "max": 8, "scale_down_after": "0 s", "target": 8}
    results, scaler = play(site(scale, parallel=4, **trace), tmp_path / "rest.h5")
    assert scaler is not None
    with results:
        check(results)
        only_warm_ones_are_given(scaler, results.requests())
        night = phases_at(scaler, 249.0)
        on = [replica for replica, phase in night.items() if phase == Phase.WARM]
        assert len(on) == 4
        assert len({replica // 2 for replica in on}) == 2
        server_w = results.load_w("server").loc[249.0].to_numpy()
        assert (np.abs(server_w - 150.0) < 1e-3).sum() == 6
        boots = [(t, r) for t, r, phase in scaler.history if phase == Phase.BOOTING and t > 250]
        assert boots
        for time_s, replica in boots:
            loading = [
                t
                for t, r, p in scaler.history
                if r == replica and p == Phase.LOADING and t > time_s
            ]
            assert not loading or loading[0] == time_s + 30


def test_two_groups_under_one_budget(tmp_path: Path) -> None:
    """What another group's autoscaler has on counts, at its limits; what rests does not."""
    text = """
name: two-groups
duration: 5 min
power_step: 500 ms
workload:
  - {name: a, model: llama-3-70b, arrivals: {kind: poisson, rate: RATE_A req/s},
     tokens: {kind: fixed, prompt: 200, output: 200}}
  - {name: b, model: llama-3-8b, arrivals: {kind: poisson, rate: 60 req/s},
     tokens: {kind: fixed, prompt: 200, output: 200}}
servers:
  - {name: a, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8,
     power: {model: board-limit}, autoscale: SCALE_A}
  - {name: b, server: dgx-a100-80gb, model: llama-3-8b, tensor_parallel: 8,
     power: {model: board-limit}, autoscale: SCALE_B}
facility:
  - {name: site, kind: site}
  - {name: a, kind: server, parent: site, count: 3, group: a}
  - {name: b, kind: server, parent: site, count: 4, group: b}
"""
    # Four servers on and three at rest: 17.25 kW.
    budget = {"target": 5, "budget": {"node": "site", "watts": "18 kW"}}
    peaks, on = [], []
    for rate in (0.01, 10):
        changed = text.replace("RATE_A", str(rate)).replace("SCALE_A", flow({**SCALE, **budget}))
        scenario = loads(changed.replace("SCALE_B", flow({**SCALE, **budget})))
        results, _ = play(scenario, tmp_path / f"{rate}.h5")
        with results:
            check_site(results)
            peaks.append(results.summary["nodes"][0]["peak_w"])
            on.append({row["group"]: row["most_on"] for row in results.summary["autoscale"]})
    assert peaks == pytest.approx([4 * 4200 + 3 * 150] * 2)
    assert on[0] == {"a": 1, "b": 3}
    assert sum(on[1].values()) == 4
    assert on[1]["a"] > 1


def check_site(results: Results) -> None:
    """Invariant 1, for a site without rows."""
    counted = results.summary["requests"]
    assert counted["arrived"] == sum(n for part, n in counted.items() if part != "arrived")
    assert len(results.requests()) == counted["arrived"]


def test_pools_of_prefill_and_decode_scale_by_themselves(tmp_path: Path) -> None:
    """A prefill replica is not off before the last of its keys and values are sent."""
    text = """
name: pools
duration: 6 min
power_step: 500 ms
workload:
  - {name: chat, model: llama-3-70b,
     arrivals: {kind: diurnal, mean_rate: 6 req/s, amplitude: 1, period: 2 min},
     tokens: {kind: fixed, prompt: 3000, output: 100}}
servers:
  - {name: prefill, role: prefill, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8,
     power: {model: ledger}, kv_transfer: {bandwidth: 1 GB/s}, autoscale: SCALE}
  - {name: decode, role: decode, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8,
     power: {model: ledger}, autoscale: SCALE}
facility:
  - {name: site, kind: site}
  - {name: p, kind: server, parent: site, count: 4, group: prefill}
  - {name: d, kind: server, parent: site, count: 4, group: decode}
"""
    scale = {**SCALE, "target": 3, "boot": "5 s", "load": "5 s", "scale_down_after": "5 s"}
    simulation = Simulation(Plant.build(loads(text.replace("SCALE", flow(scale)))))
    summary = simulation.run(tmp_path / "pools.h5")
    with Results.open(tmp_path / "pools.h5", summary=summary) as results:
        check_site(results)
        assert summary["requests"]["failed"] == 0
        for row in summary["autoscale"]:
            assert row["started"] > 0
            assert row["stopped"] > 0


def test_a_scaled_site_uses_less_energy_by_what_rests(tmp_path: Path) -> None:
    """With nearly no traffic, energy is arithmetic: seven servers at standby instead of idle;
    and a day's worth of traffic is served all the same."""
    quiet = {"arrivals": "{kind: poisson, rate: 0.001 req/s}", "duration": "10 min"}
    scaled, _ = play(site(**quiet), tmp_path / "scaled.h5")
    fixed, none = play(site(autoscale="null", **quiet), tmp_path / "fixed.h5")
    assert none is None
    with scaled, fixed:
        saved_wh = [r.summary["nodes"][0]["energy_wh"] for r in (fixed, scaled)]
        expected_wh = 7 * (1000 + 8 * IDLE_W - 150) * 600 / 3600
        assert saved_wh[0] - saved_wh[1] == pytest.approx(expected_wh, rel=1e-6)
    trace = steps(tmp_path / "day.csv", (0.5, 400), (4.0, 400), (0.5, 600))
    scaled, _ = play(site({"min": 2}, **trace), tmp_path / "scaled2.h5")
    fixed, _ = play(site(autoscale="null", **trace), tmp_path / "fixed2.h5")
    with scaled, fixed:
        check(scaled)
        total = [r.summary["nodes"][0]["energy_wh"] for r in (fixed, scaled)]
        assert total[1] < 0.75 * total[0]
        done = [r.summary["requests"]["completed"] for r in (fixed, scaled)]
        assert done[1] == pytest.approx(done[0], rel=0.01)
        # The price: those who come at the step wait for nobody, but share fewer replicas.
        p99 = [r.summary["latency"]["e2e_s"]["p99"] for r in (fixed, scaled)]
        assert p99[1] > p99[0]


def test_states_draw_what_is_stated(tmp_path: Path) -> None:
    """Two replicas a server, and three at most: the neighbour of the first needs no boot; the
    third boots and loads on a server of its own, beside one that stays off."""
    busy = {"parallel": 4, "arrivals": "{kind: poisson, rate: 8 req/s}", "duration": "3 min"}
    results, scaler = play(site({"max": 3}, **busy), tmp_path / "run.h5")
    assert scaler is not None
    with results:
        check(results)
        only_warm_ones_are_given(scaler, results.requests())
        times = {(r, phase): t for t, r, phase in scaler.history}
        start_s = times[1, Phase.BOOTING]
        assert times[1, Phase.LOADING] == start_s
        assert times[1, Phase.WARM] == start_s + 45
        assert times[2, Phase.BOOTING] == start_s
        assert times[2, Phase.LOADING] == start_s + 30
        assert times[2, Phase.WARM] == start_s + 75
        server_w = results.load_w("server").iloc[:, 1]
        # Intervals are labelled by their end, and a change acts on the step that it falls into.
        for since, until, watts in (
            (0, start_s, 150),
            (start_s + 1, start_s + 30, 1000 + 4 * 90 + 4 * 20),
            (start_s + 31, start_s + 75, 1000 + 4 * 100 + 4 * 20),
        ):
            during = server_w[(server_w.index > since) & (server_w.index < until)]
            assert len(during) >= 8
            assert during.to_numpy() == pytest.approx(watts)
        assert (server_w[server_w.index > start_s + 80] > 1000 + 4 * IDLE_W + 4 * 20).all()
        seconds = results.summary["gpu_state_s"]
        assert seconds["booting"] == pytest.approx(30.0)
        assert seconds["loading"] == pytest.approx(2 * 45.0)
        assert sum(seconds.values()) == pytest.approx(16 * 180)


def test_a_budget_holds_scale_ups_back(tmp_path: Path) -> None:
    """With board-limit power a row draws just what the budget expects, and never more; the other
    row grows in its place."""
    heavy = {
        "arrivals": "{kind: poisson, rate: 30 req/s}",
        "duration": "8 min",
        "power": "{model: board-limit}",
    }
    # A server on: 8 x 400 W and 1 kW; at rest 150 W. Three on and one at rest fit under 13 kW.
    budget = {"budget": {"node": "row-1", "watts": "13 kW"}}
    free, _ = play(site(**heavy), tmp_path / "free.h5")
    held, scaler = play(site(budget, **heavy), tmp_path / "held.h5")
    assert scaler is not None
    with free, held:
        check(held)
        assert free.load_w("row")["row-1"].iloc[-1] == pytest.approx(4 * 4200)
        row = held.load_w("row")
        assert row["row-1"].max() == pytest.approx(3 * 4200 + 150)
        assert row["row-2"].iloc[-1] == pytest.approx(4 * 4200)
        assert held.summary["autoscale"][0]["refused"] > 0
        assert free.summary["autoscale"][0]["refused"] == 0
        assert counts(scaler)[-1][1] == 7
    # Who expects less of a GPU fits more under it.
    looser = {"budget": {"node": "row-1", "watts": "13 kW", "per_gpu": "200 W"}}
    results, _ = play(site(looser, **heavy), tmp_path / "looser.h5")
    with results:
        assert results.load_w("row")["row-1"].iloc[-1] == pytest.approx(4 * 4200)


def test_what_a_trip_takes_is_replaced(tmp_path: Path) -> None:
    """A row goes dark: its replicas are lost for good, and the other row's are started."""
    changes = {
        "power": "{model: board-limit}",
        "rating": "7 kW",
        "breaker": "{curve: dynamo-rpp, preload: 0}",
        "arrivals": "{kind: poisson, rate: 1 req/s}",
        "duration": "10 min",
    }
    scale = {"min": 2, "max": 3, "target": 1000}
    results, scaler = play(site(scale, **changes), tmp_path / "run.h5")
    assert scaler is not None
    with results:
        check(results)
        only_warm_ones_are_given(scaler, results.requests())
        # Two servers at their boards' limits and two at rest: 8.7 kW on 7 kW trips the first row.
        lost = [(t, r) for t, r, phase in scaler.history if phase == Phase.LOST]
        assert {r for _, r in lost[:4]} == {0, 1, 2, 3}
        trip_s = lost[0][0]
        again = [t for t, r, phase in scaler.history if phase == Phase.BOOTING and r > 3]
        assert trip_s < again[0] <= trip_s + 10
        assert results.load_w("row")["row-1"].iloc[-1] == 0.0
        assert results.summary["requests"]["failed"] > 0


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rate=st.sampled_from([0.5, 4, 15]),
    parallel=st.sampled_from([4, 8]),
    metric=st.sampled_from(["concurrency", "queue"]),
    target=st.sampled_from([1, 5, 30]),
    bounds=st.tuples(st.integers(1, 3), st.integers(3, 8), st.integers(0, 2)),
    interval=st.sampled_from(["3 s", "10 s"]),
    down=st.sampled_from(["0 s", "20 s"]),
    boot=st.sampled_from(["0 s", "7 s"]),
    policy=st.sampled_from(["least-outstanding", "random", "prefix-aware", "power-aware"]),
    delay=st.sampled_from(["0 s", "2 s"]),
)
def test_bounds_and_warmth_hold_whatever_comes(
    tmp_path_factory: pytest.TempPathFactory,
    metric: str,
    target: float,
    bounds: tuple[int, int, int],
    interval: str,
    down: str,
    boot: str,
    policy: str,
    delay: str,
    rate: float,
    **changes: object,
) -> None:
    """Invariants 1, 16 and 17, with news of the replicas that are late as well."""
    least, most, more = bounds
    scale = {
        "metric": metric,
        "target": target,
        "min": least,
        "max": most,
        "start": min(least + more, most),
        "interval": interval,
        "scale_down_after": down,
        "boot": boot,
        "load": "5 s",
    }
    scenario = site(
        scale,
        duration="90 s",
        arrivals=f"{{kind: diurnal, mean_rate: {rate} req/s, amplitude: 1, period: 60 s}}",
        routing=f"{{policy: {policy}, signal_delay: {delay}}}",
        **changes,
    )
    results, scaler = play(scenario, tmp_path_factory.mktemp("run") / "run.h5")
    assert scaler is not None
    with results:
        check(results)
        bounded(scaler, least, most)
        only_warm_ones_are_given(scaler, results.requests())
        assert (results.requests()["status"] != "failed").all()


def test_the_same_seed_scales_the_same(tmp_path: Path) -> None:
    """Invariant 11, with replicas that come and go."""
    hashes = []
    for name in "ab":
        results, _ = play(
            site({"target": 3}, power="{model: gru}", step="250 ms"), tmp_path / f"{name}.h5"
        )
        results.close()
        hashes.append(hashlib.sha256((tmp_path / f"{name}.h5").read_bytes()).hexdigest())
    assert hashes[0] == hashes[1]


def test_a_policy_does_not_reopen_a_draining_replica() -> None:
    simulation = Simulation(Plant.build(site({"start": 3})))
    fleet = simulation.fleet
    replica = fleet.replicas[0]
    fleet.drain(0, True, 0.0)
    fleet.admit(replica, False, 0.0)
    fleet.admit(replica, True, 0.0)
    assert not replica.admitting
    fleet.admit(replica, False, 0.0)
    fleet.drain(0, False, 0.0)
    assert not replica.admitting
    fleet.admit(replica, True, 0.0)
    assert replica.admitting


def test_the_one_alone_on_its_server_goes_first() -> None:
    """However much less its rivals have to do, since a whole server can rest then."""
    simulation = Simulation(Plant.build(site({"start": 3}, parallel=4)))
    scaler = simulation.autoscalers.by_group["a100"]
    for replica, outstanding in ((0, 5), (1, 0), (2, 3)):
        simulation.fleet.replicas[replica].outstanding = outstanding
    scaler._stop_one(10.0)
    assert [scaler.phase(replica) for replica in range(3)] == [
        Phase.WARM,
        Phase.WARM,
        Phase.DRAINING,
    ]
    scaler._stop_one(10.0)
    assert [scaler.phase(replica) for replica in range(2)] == [Phase.WARM, Phase.DRAINING]


GROUP = "    tensor_parallel: 8\n"


def with_autoscale(**keys: object) -> str:
    scale = {key: value for key, value in {**SCALE, **keys}.items() if value is not None}
    return GOOD.replace(GROUP, f"{GROUP}    autoscale: {flow(scale)}\n")


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"min": 4, "max": 2}, "servers.0.autoscale", "`max` must not be less"),
        ({"min": 4, "start": 2}, "servers.0.autoscale", "`start` must lie between"),
        ({"load": None}, "servers.0.autoscale", "either `load` or `load_bandwidth`"),
        ({"load_bandwidth": "2 GB/s"}, "servers.0.autoscale", "either `load` or"),
        ({"power": None}, "servers.0.autoscale.power", "missing"),
        ({"power": {"stopped": "20 W"}}, "servers.0.autoscale.power.standby", "missing"),
        ({"target": 0}, "servers.0.autoscale.target", "greater than 0"),
        ({"metric": "cpu"}, "servers.0.autoscale.metric", "concurrency or queue"),
    ],
)
def test_wrong_keys(keys: dict[str, Any], path: str, message: str) -> None:
    problem = only(with_autoscale(**keys))
    assert problem.path == path
    assert message in problem.message


def test_validate_knows_how_many_there_are(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(with_autoscale(max=9, budget={"node": "rack-3", "watts": "9 kW"}))
    done = CliRunner().invoke(app, ["validate", str(file)])
    assert done.exit_code == 2
    assert "servers.0.autoscale.max: this group has 8 replicas, not 9" in done.output
    assert "servers.0.autoscale.budget.node: no node is called 'rack-3'" in done.output
    with pytest.raises(ValueError, match="8 replicas"):
        Simulation(Plant.build(loads(with_autoscale(max=9))))


def test_weights_take_as_long_as_their_bandwidth_says(tmp_path: Path) -> None:
    scale = {key: value for key, value in SCALE.items() if key != "load"}
    scale["load_bandwidth"] = "10 GB/s"
    text = flow(scale)
    busy = {"arrivals": "{kind: poisson, rate: 8 req/s}", "duration": "2 min"}
    results, scaler = play(site(autoscale=text, **busy), tmp_path / "run.h5")
    assert scaler is not None
    results.close()
    loading = {r: t for t, r, phase in scaler.history if phase == Phase.LOADING}
    warm = {r: t for t, r, phase in scaler.history if phase == Phase.WARM and r in loading}
    assert warm
    for replica, time_s in warm.items():
        assert time_s - loading[replica] == pytest.approx(141.107e9 / 10e9, rel=1e-3)


# --- scale to zero ---------------------------------------------------------------------------

QUIET = "{kind: poisson, rate: 4 req/s, ramps: [{at: 90 s, duration: 1 s, factor: 0}]}"
FIRST_S = 75.0
"""Boot and load of the first replica."""


def test_a_group_without_traffic_goes_off_altogether() -> None:
    scale = {**SCALE, "min": 0, "scale_down_after": "30 s"}
    with run(site(scale, arrivals=QUIET)) as results:
        site_w = results.load_w("site").iloc[:, 0]
        summary = results.summary
    assert summary["requests"]["completed"] == summary["requests"]["arrived"] > 0
    # 8 servers at rest before the first request and at the end, and nothing else.
    assert site_w.iloc[-1] == pytest.approx(8 * 150.0)
    assert site_w.max() > 8 * 150.0 + 1000.0


@pytest.mark.parametrize("delay", ["0 s", "2 s"])
def test_requests_for_a_group_that_is_off_wait_for_its_first_replica(delay: str) -> None:
    scale = {**SCALE, "min": 0}
    routing = f"{{policy: least-outstanding, signal_delay: {delay}}}"
    with run(site(scale, routing=routing)) as results:
        requests = results.requests()
        summary = results.summary
    assert summary["requests"]["rejected"] == summary["requests"]["failed"] == 0
    first = requests.sort_values("arrival_s").iloc[0]
    told_s = float(delay.split(maxsplit=1)[0])
    # It starts one the moment it comes, not at the next decision.
    assert first.ttft_s == pytest.approx(FIRST_S + told_s, abs=1.0)
    early = requests[requests.arrival_s < first.arrival_s + FIRST_S]
    assert (early.arrival_s + early.ttft_s).min() >= first.arrival_s + FIRST_S + told_s


def test_held_requests_give_up_after_the_engines_queue_timeout() -> None:
    scale = {**SCALE, "min": 0}
    text = site(scale).model_copy()
    group = text.servers[0]
    engine = group.engine.model_copy(update={"queue_timeout_s": 20.0})
    text = text.model_copy(update={"servers": (group.model_copy(update={"engine": engine}),)})
    with run(text) as results:
        requests = results.requests()
        counts = results.summary["requests"]
    gone = requests[requests.status == "timed_out"]
    assert len(gone) == counts["timed_out"] > 0
    assert gone.arrival_s.max() < requests.arrival_s.min() + FIRST_S
    assert counts["arrived"] == sum(counts[name] for name in counts if name != "arrived")


def test_no_first_replica_may_start_where_the_budget_forbids_it() -> None:
    budget = {"node": "site", "watts": "1.3 kW"}
    with run(site({**SCALE, "min": 0, "budget": budget})) as results:
        counts = results.summary["requests"]
    assert counts["failed"] == counts["arrived"] > 0
