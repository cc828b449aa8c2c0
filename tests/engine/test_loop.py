"""The loop from outside: power step by power step, with commands, and the same as in one go."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

import dcsim
from dcsim.control.policy import CapServers, LimitFrequency
from dcsim.engine import Frame, Simulation, simulate
from dcsim.plant import Plant
from dcsim.results import Results
from tests.engine.sites import site

STEP_S = 0.25
REST_W = 1000.0 + 8 * 70.11875
"""An A100 server with nothing to do, by the catalogue."""


def simulation(duration: str = "10 s", out: Path | None = None) -> Simulation:
    """Two rows of four busy servers of one replica each."""
    return Simulation(Plant.build(site(duration=duration, rate=200)), out=out)


def same(one: Results, other: Results) -> bool:
    summaries = [{k: v for k, v in r.summary.items() if k != "wall_s"} for r in (one, other)]
    frames = [one.requests().equals(other.requests()), one.events().equals(other.events())]
    loads = [one.load_w(kind).equals(other.load_w(kind)) for kind in ("site", "row", "server")]
    return summaries[0] == summaries[1] and all(frames) and all(loads)


def test_steps_are_the_same_as_a_run_in_one_go(tmp_path: Path) -> None:
    """Invariant 11, for a duration that ends inside a power step too."""
    scenario = site(duration="9.9 s", rate=200)
    stepped = Simulation(Plant.build(scenario))
    times = [frame.now_s for frame in stepped]
    assert times == [STEP_S * (k + 1) for k in range(39)]
    leaps = Simulation(Plant.build(scenario), out=tmp_path / "leaps.h5")
    assert leaps.step(3.1).now_s == 3.25
    assert leaps.step(99.0).now_s == 9.75
    assert list(leaps) == []
    with simulate(scenario) as whole, stepped.results as one, leaps.results as two:
        assert same(one, whole)
        assert same(two, whole)
        assert two.path == tmp_path / "leaps.h5"


def test_a_frame_is_what_the_file_will_say() -> None:
    run = simulation("3 s")
    node_w, decoded = [], 0.0
    for frame in run:
        assert len(frame.server_w) == len(run.plant.servers)
        assert frame.node_w[0] == pytest.approx(frame.server_w.sum())
        decoded += frame.ledger.decode_tokens.sum() + frame.ledger.prefill_tokens.sum()
        node_w.append(frame.node_w.copy())
        for values in (frame.server_w, frame.node_w, frame.ledger.running, frame.ledger.state):
            with pytest.raises(ValueError, match="read-only"):
                values[0] = 1
    with run.results as results:
        assert np.allclose(results.load_w("row"), np.array(node_w)[:, 1:3], rtol=1e-6)
        assert decoded > 0.0


def test_a_command_is_in_force_from_the_next_step_on() -> None:
    """A cap of half of what a busy row draws; clocks after their own delay."""
    run = simulation()
    servers = run.plant.servers_under("row-1")
    before = run.step(4.0)
    assert before.server_w[servers].min() > 1.5 * REST_W
    cap_w = np.full(len(servers), 0.5 * (REST_W + before.server_w[servers].min()))
    run.command(CapServers(servers, cap_w, node="row-1", reason="voltage is low"))
    after = run.step()
    assert after.now_s == 4.25
    assert (after.server_w[servers] <= cap_w + 1e-6).all()
    assert after.server_w[4:].min() > 1.5 * REST_W
    (event,) = [event for event in after.events if event.kind == "limited"]
    assert event.time_s == 4.0
    assert event.message == "user: power of 4 servers capped; voltage is low"
    run.command(CapServers(servers, np.full(4, np.inf), node="row-1", reason="voltage is back"))
    run.command(LimitFrequency(servers, 0.5, node="row-1", reason="later", after_s=2.0))
    free = run.step()
    assert [event.kind for event in free.events] == ["released"]
    assert (free.server_w[servers] > cap_w).any()
    slowed = run.step(6.75)
    assert [event.kind for event in slowed.events] == ["limited"]
    with run.results as results:
        assert results.duration_s == 6.75
        (row,) = results.summary["control"]["policies"]
        assert (row["policy"], row["commands"]) == ("user", 3)
        assert row["limited_s"] == pytest.approx(0.25 + 0.5)
    with pytest.raises(ValueError, match="has ended"):
        run.command()


def test_a_loop_that_is_left_is_the_beginning_of_a_run(tmp_path: Path) -> None:
    run = simulation(out=tmp_path / "part.h5")
    for frame in run:
        if frame.now_s >= 5.0:
            break
    with run.results as part, simulate(site(duration="10 s", rate=200)) as whole:
        assert part.duration_s == 5.0
        assert part.load_w("row").equals(whole.load_w("row").iloc[:20])
    with pytest.raises(ValueError, match="nothing to play: the run stands at 5 s"):
        run.step()
    with pytest.raises(ValueError, match="nothing has been played"):
        _ = simulation().results


def test_a_run_that_is_dropped_leaves_no_file(tmp_path: Path) -> None:
    run = simulation(out=tmp_path / "dropped.h5")
    assert isinstance(run.step(), Frame)
    with pytest.raises(ValueError, match="nothing to play"):
        run.step(0.25)
    del run
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_the_loop_is_offered_by_the_package() -> None:
    assert dcsim.Frame is Frame
