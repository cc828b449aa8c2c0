"""Policies in whole runs. Invariants 22, 24 to 26 of docs/invariants.md."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcsim.control.account import CommandAccount
from dcsim.control.policy import (
    Admit,
    CapGpus,
    CapServers,
    Command,
    LimitBatch,
    LimitFrequency,
    Shave,
    Shed,
)
from dcsim.engine import Simulation, simulate
from dcsim.engine.actuators import Actuators
from dcsim.plant import Plant
from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario
from tests.engine.sites import HOLES, SITE, site

SLOW = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))


def controlled(*policies: dict[str, Any], **changes: object) -> Scenario:
    return site(control=json.dumps(list(policies)), **changes)


# --- caps and clocks -----------------------------------------------------------------------


@SLOW
@given(
    st.sampled_from(["{model: ledger}", "{model: gru}"]),
    st.floats(90.0, 390.0),
    st.floats(1700.0, 4000.0),
    st.integers(1, 99),
    st.sampled_from([4, 8]),
)
def test_watts_are_never_above_a_cap(
    power: str, gpu_w: float, server_w: float, seed: int, parallel: int
) -> None:
    """Invariant 22, with a cap of each kind on half of the servers, which hold one or two
    replicas; row 1 runs free."""
    cap = {
        "policy": "static-cap",
        "nodes": "row-2",
        "gpu_power": f"{gpu_w} W",
        "server_power": f"{server_w} W",
    }
    scenario = controlled(cap, power=power, duration="30 s", rate=24, seed=seed, parallel=parallel)
    with simulate(scenario) as run:
        loads = run.load_w("server")
        free = loads.filter(like="row-1/").to_numpy()
        held = loads.filter(like="row-2/").to_numpy()
        most_w = min(server_w, 1000.0 + 8 * gpu_w)  # 1 kW of the server is not its GPUs'
        assert held.max() <= most_w * (1 + 1e-6)  # series are kept in single precision
        if most_w < 2500.0:
            assert free.max() > held.max()


def test_a_cap_on_a_server_whose_fans_follow_its_gpus() -> None:
    """Invariant 22 where the chassis is fitted: what fans still draw is taken off the GPUs. The
    cap begins in full swing, and holds from the second step on: the first is clocks' to find."""
    cap = {"policy": "static-cap", "server_power": "4.5 kW", "start": "10 s"}
    text = SITE.replace("dgx-a100-80gb", "dgx-h200")
    holes = HOLES | {"rate": 60, "duration": "30 s", "control": json.dumps([cap])}
    with simulate(loads(text.format(**holes))) as run:
        loads_w = run.load_w("server")
        assert loads_w.loc[:10.0].to_numpy().max() > 4600.0
        assert loads_w.loc[10.1:].to_numpy().max() <= 4500.0 * (1 + 1e-6)


def test_a_cap_slows_tokens_and_saves_watts() -> None:
    """Caps reach the serving room: with 60 % of the clock, more time and fewer watts."""
    found = {}
    for clock in (1.0, 0.6):
        with simulate(
            controlled({"policy": "static-cap", "clock": clock}, duration="1 min")
        ) as run:
            latency, row = run.summary["latency"], run.summary["nodes"][0]
            found[clock] = (latency["ttft_s"]["p50"], latency["tpot_s"]["p50"], row["mean_w"])
    free, held = found[1.0], found[0.6]
    assert held[0] > 1.2 * free[0]
    assert held[1] > 1.01 * free[1]
    assert held[2] < 0.9 * free[2]


def test_capped_server_hours_are_counted() -> None:
    """Half of eight servers for half of two minutes."""
    cap = {"policy": "static-cap", "nodes": "row-1", "clock": 0.5, "start": "1 min"}
    with simulate(controlled(cap)) as run:
        control = run.summary["control"]
        assert control["capped_server_h"] == pytest.approx(4 * 60 / 3600, rel=0.01)
        (policy,) = control["policies"]
        assert policy["limited_s"] == pytest.approx(60.0, abs=0.3)
        assert run.summary["events"]["limited"] == 1


# --- what changes nothing ------------------------------------------------------------------


def test_a_policy_that_does_not_act_leaves_the_run_as_it_is() -> None:
    """Invariant 26: requests and watts are those of the run without the policy, to the bit."""
    idle = [
        {"policy": "admission-throttle", "above": 9.0, "below": 8.0},
        {"policy": "dual-threshold", "first": 8.0, "second": 8.5, "brake": 9.0},
        {"policy": "row-budget", "budget": "300 kW"},
        {"policy": "static-cap", "clock": 0.5, "start": "1 h"},
    ]
    runs = []
    for policies in ([], idle):
        with simulate(controlled(*policies, duration="1 min", power="{model: gru}")) as run:
            runs.append((run.requests(), run.load_w("server"), run.summary["events"]))
    (requests, loads, events), (again, loads_again, events_again) = runs
    pd.testing.assert_frame_equal(requests, again)
    pd.testing.assert_frame_equal(loads, loads_again)
    assert events == events_again


def test_the_same_seed_gives_the_same_run_with_policies() -> None:
    """Invariant 11, with everything that acts."""
    acts = [
        {"policy": "dual-threshold", "low_priority": [], "first": 0.4, "second": 0.45},
        {"policy": "row-budget", "budget": "10 kW", "sharing": "proportional"},
        {"policy": "batch-limit", "max_batch": 2, "above": 0.3, "below": 0.2},
    ]
    runs = []
    for _ in range(2):
        with simulate(controlled(*acts, duration="1 min", row_rating="14 kW")) as run:
            runs.append((run.requests(), run.load_w("server"), run.events()))
            assert run.summary["events"]["limited"] > 0
    for first, second in zip(*runs, strict=True):
        pd.testing.assert_frame_equal(first, second)


# --- commands ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played() -> Simulation:
    return Simulation(Plant.build(site()))


def actuators(simulation: Simulation, policies: int) -> tuple[Actuators, CommandAccount]:
    """New actuators on a fleet that is as at first."""
    meter, fleet = simulation.server_power, simulation.fleet
    throttle = meter.limits
    throttle.frequency_ratio = np.ones(8)
    throttle.gpu_cap_w, throttle.server_cap_w = np.full(8, np.inf), np.full(8, np.inf)
    throttle.refresh(0.0)
    fleet.keep_priority = float("inf")
    for replica in fleet.replicas:
        fleet.admit(replica, True, 0.0)
        replica.limit_batch(10**6, 0.0)
    account = CommandAccount([f"p{i}" for i in range(policies)], lambda kind, node, message: None)
    return Actuators(simulation.plant, fleet, throttle, simulation.site.flow, account), account


def state(simulation: Simulation) -> tuple[Any, ...]:
    throttle = simulation.server_power.limits
    replicas = simulation.fleet.replicas
    return (
        throttle.frequency_ratio.tolist(),
        throttle.gpu_cap_w.tolist(),
        throttle.server_cap_w.tolist(),
        [replica.admitting for replica in replicas],
        [replica._max_seqs for replica in replicas],
        simulation.fleet.keep_priority,
    )


SERVERS = st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True).map(np.array)
SLOTS = st.sampled_from(["", "low", "high"])


@st.composite
def commands(draw: st.DrawFn) -> Command:
    told: dict[str, Any] = {"node": "row-1", "reason": "a test", "slot": draw(SLOTS)}
    servers = draw(SERVERS)
    kind = draw(st.sampled_from([Admit, LimitFrequency, CapGpus, CapServers, LimitBatch, Shed]))
    if kind is Admit:
        return Admit(servers, draw(st.booleans()), **told)
    if kind is LimitFrequency:
        return LimitFrequency(servers, draw(st.sampled_from([1.0, 0.8, 0.5])), **told)
    if kind is CapGpus:
        return CapGpus(servers, draw(st.sampled_from([np.inf, 300.0, 200.0])), **told)
    if kind is CapServers:
        return CapServers(servers, draw(st.floats(1e3, 5e3)) + np.zeros(len(servers)), **told)
    if kind is LimitBatch:
        return LimitBatch(servers, draw(st.sampled_from([None, 4, 16])), **told)
    return Shed(draw(st.sampled_from([None, 0, 2])), **told)


def lifted(command: Command) -> Command:
    told = {"node": command.node, "reason": "over", "slot": command.slot}
    everywhere = np.arange(8)
    match command:
        case Admit():
            return Admit(everywhere, True, **told)
        case LimitFrequency():
            return LimitFrequency(everywhere, 1.0, **told)
        case CapGpus():
            return CapGpus(everywhere, np.inf, **told)
        case CapServers():
            return CapServers(everywhere, np.full(8, np.inf), **told)
        case LimitBatch():
            return LimitBatch(everywhere, None, **told)
    return Shed(None, **told)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(0, 2), commands()), max_size=12),
    st.randoms(use_true_random=False),
)
def test_policies_do_not_undo_one_another(
    played: Simulation, told: list[tuple[int, Command]], luck: Any
) -> None:
    """Invariant 24: only the order of commands of one policy counts; when one policy has lifted
    all of its own, the others hold as if it had never been; when all have, all is as at first."""
    first, _ = actuators(played, 3)
    nothing = state(played)
    for policy, command in told:
        first.order(policy, [command], 0.0)
        first.obey(0.0)
    together = state(played)

    turns = [policy for policy, _ in told]
    luck.shuffle(turns)
    queues = {p: [command for policy, command in told if policy == p] for p in range(3)}
    second, _ = actuators(played, 3)
    for policy in turns:
        second.order(policy, [queues[policy].pop(0)], 0.0)
        second.obey(0.0)
    assert state(played) == together

    for policy, command in told:
        if policy == 0:
            second.order(0, [lifted(command)], 1.0)
    second.obey(1.0)
    without = state(played)
    third, _ = actuators(played, 3)
    for policy, command in told:
        if policy != 0:
            third.order(policy, [command], 0.0)
    third.obey(0.0)
    assert state(played) == without
    for policy, command in told:
        third.order(policy, [lifted(command)], 1.0)
    third.obey(1.0)
    assert state(played) == nothing


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.3, 0.9)), max_size=8))
def test_commands_are_obeyed_when_they_are_due(
    played: Simulation, told: list[tuple[float, float]]
) -> None:
    """Invariant 25: once their time has come, not before; who comes later replaces who came
    sooner."""
    acting, _ = actuators(played, 1)
    everywhere = np.arange(8)
    for after_s, clock in told:
        late = LimitFrequency(everywhere, clock, node="row-1", reason="a test", after_s=after_s)
        acting.order(0, [late], 0.0)
    for step in range(1, 22):
        now_s = 0.25 * step
        acting.obey(now_s)
        due = [(after_s, i) for i, (after_s, _) in enumerate(told) if after_s <= now_s + 1e-9]
        expected = told[max(due)[1]][1] if due else 1.0
        assert played.server_power.limits.frequency_ratio.tolist() == [expected] * 8


def test_the_event_tells_policy_node_and_reason_when_the_delay_has_passed() -> None:
    """Looked at every 2 s, telemetry 1 s old, in force 3 s later."""
    throttle = {
        "policy": "admission-throttle",
        "above": 0.01,
        "below": 0.005,
        "period": "2 s",
        "delay": "1 s",
        "actuation_delay": "3 s",
    }
    with simulate(controlled(throttle, duration="20 s")) as run:
        events = run.events()
        told = events[events["kind"] == "limited"]
        # The first look is at 2 s and sees nothing yet; at 4 s that of 2 s is old enough.
        assert told["time_s"].tolist() == [7.0, 7.0]
        assert told["node"].tolist() == ["row-1", "row-2"]
        words = "admission-throttle: no new requests to 4 servers; load at"
        assert told["message"].str.startswith(words).all()
        late = run.requests().query("arrival_s > 7.0")
        assert (late["status"] == "rejected").all()
        assert run.summary["events"]["limited"] == 2


@pytest.mark.parametrize("step", ["250 ms", "1 s"])
def test_a_delay_that_ends_inside_a_step_is_over_then(step: str) -> None:
    """Invariant 25, for each policy with a delay: looked at after 2 s, in force 0.337 s later. The
    event has that time, whatever the step, and the door closes then: not before, not later."""
    common: dict[str, Any] = {
        "above": 0.01,
        "below": 0.005,
        "period": "2 s",
        "actuation_delay": "0.337 s",
    }
    policies: list[dict[str, Any]] = [
        {"policy": "admission-throttle", "nodes": "row-1"} | common,
        {"policy": "batch-limit", "max_batch": 1} | common,
        {"policy": "priority-shed", "nodes": "row-2"} | common,
        {
            "policy": "row-budget",
            "budget": "7 kW",
            "period": "2 s",
            "actuation_delay": "0.337 s",
        },
        {
            "policy": "dual-threshold",
            "low_priority": [],
            "first": 0.1,
            "second": 0.12,
            "brake": 0.14,
            "actuation_delay": "0.337 s",
            "brake_delay": "0.337 s",
            "delay": "0 s",
        },
    ]
    with simulate(controlled(*policies, duration=f"6 s\npower_step: {step}", rate=60)) as run:
        events = run.events()
        told = events[events["kind"].isin(["limited", "braked"]) & (events["time_s"] < 4.0)]
        labels = {message.split(":")[0].split(" ")[0] for message in told["message"]}
        assert labels >= {policy["policy"] for policy in policies}
        assert told["time_s"].to_numpy() == pytest.approx(2.337, abs=1e-9)
        assert events["time_s"].is_monotonic_increasing
        assert run.summary["control"]["policies"][0]["limited_s"] == pytest.approx(6.0 - 2.337)


@pytest.mark.parametrize("step", ["250 ms", "1 s"])
def test_the_door_closes_at_its_own_time(step: str) -> None:
    throttle = {"policy": "admission-throttle", "above": 0.01, "below": 0.005, "period": "2 s"}
    throttle |= {"nodes": "site", "actuation_delay": "0.337 s"}
    with simulate(controlled(throttle, duration=f"6 s\npower_step: {step}", rate=200)) as run:
        requests = run.requests()
        refused = requests["status"] == "rejected"
        late = requests["arrival_s"] > 2.337
        assert late.sum() > 100
        assert (~late & (requests["arrival_s"] > 2.2)).sum() > 10
        assert (refused == late).all()


def test_batteries_are_told_at_the_end_of_the_step(played: Simulation) -> None:
    """They give and take by whole power steps: to be told inside one would be to act before."""
    acting, account = actuators(played, 1)
    row: dict[str, Any] = {"node": "row-1", "reason": "a test", "after_s": 0.1}
    everywhere = np.arange(8)
    acting.order(0, [Shave("row-1", 1e3, **row), LimitFrequency(everywhere, 0.5, **row)], 0.0)
    assert acting.expect(0.0, 0.25) == [0.1]
    acting.obey(0.1, inside=True)
    assert played.server_power.limits.frequency_ratio.tolist() == [0.5] * 8
    assert account.commands == {"p0": 1}
    with pytest.raises(KeyError, match="row-1"):  # there is no battery to be told
        acting.obey(0.25)
    assert account.commands == {"p0": 2}


def test_shedding_refuses_low_priority_at_the_door() -> None:
    shed = {"policy": "priority-shed", "above": 0.01, "below": 0.005, "keep": 1}
    scenario = controlled(shed, duration="20 s")
    tenants = [{"name": "gold", "priority": 1}, {"name": "free", "priority": 2}]
    scenario = Scenario.model_validate(
        scenario.model_dump(by_alias=True, mode="json", exclude_unset=True) | {"tenants": tenants}
    )
    with simulate(scenario) as run:
        requests = run.requests().query("arrival_s > 1.5")
        free = requests[requests["tenant"] == 1]
        assert len(free) > 5
        assert (free["status"] == "rejected").all()
        assert not (requests[requests["tenant"] == 0]["status"] == "rejected").any()


def test_batteries_hold_a_row_where_the_policy_says() -> None:
    """Rows of 4 servers draw about 12 kW; batteries of 8 kW take what is beyond 10."""
    shave = {"policy": "battery-shave", "nodes": "row", "above": 0.5, "below": 0.45}
    shave |= {"period": "0.5 s"}
    battery = "{energy: 5 kWh, power: 8 kW}"
    rows = {}
    for policies in ([], [shave]):
        scenario = controlled(
            *policies, rate=24, duration="1 min", row_rating=f"20 kW, battery: {battery}"
        )
        with simulate(scenario) as run:
            rows[len(policies)] = run.load_w("row").loc[10.0:].to_numpy()
            discharged_wh = run.summary["site"]["discharged_wh"]
            assert (discharged_wh > 0.0) == bool(policies)
    assert rows[0].mean() > 11e3
    assert rows[1].max() <= 10e3 * (1 + 1e-6)
