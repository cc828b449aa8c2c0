"""Whole runs: conservation, sums, sameness, what trips and policies do (invariants 1 to 12)."""

from __future__ import annotations

import gc
import hashlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dcsim
from dcsim.arrays import FloatArray
from dcsim.engine import Simulation, simulate
from dcsim.errors import ExtrapolationWarning, SimulationError
from dcsim.ledger import WorkLedger
from dcsim.plant import Plant
from dcsim.results import Results
from dcsim.scenario.load import change, load, loads
from dcsim.scenario.models import ReplayArrivals, Retry
from dcsim.workload.stream import Prefix, RequestBlock
from tests.engine.sites import site

SCENARIOS = Path(__file__).parents[2] / "scenarios"
PARTS = ("completed", "running", "waiting", "rejected", "timed_out", "failed")


def check(results: Results) -> None:
    """What must hold of any run."""
    counts = results.summary["requests"]
    assert counts["arrived"] == sum(counts[part] for part in PARTS)
    requests = results.requests()
    assert len(requests) == counts["arrived"]
    if len(requests):
        assert requests["id"].is_unique
        assert requests["status"].value_counts().to_dict() == {p: counts[p] for p in PARTS}
        done = requests[requests["status"] == "completed"]
        assert (done["generated_tokens"] == done["output_tokens"]).all()
        assert (done["ttft_s"] > 0).all()
        assert (done["end_s"] >= done["arrival_s"] + done["ttft_s"] - 1e-9).all()
        assert requests["generated_tokens"].sum() == results.summary["tokens"]["generated"]
        assert requests["prompt_tokens"].sum() == results.summary["tokens"]["prompt"]
    rows = results.load_w("row")
    total = results.load_w("site").sum(axis=1)
    assert rows.sum(axis=1).to_numpy() == pytest.approx(total.to_numpy(), rel=1e-6)
    energy = {node["name"]: node["energy_wh"] for node in results.summary["nodes"]}
    tree = results.nodes()
    for name in tree.index:
        below = tree.index[tree["parent"] == name]
        if len(below):
            assert energy[name] == pytest.approx(sum(energy[child] for child in below), rel=1e-9)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rate=st.sampled_from([0.2, 3, 20, 60]),
    parallel=st.sampled_from([4, 8]),
    routing=st.sampled_from(
        [
            "random",
            "round-robin",
            "least-outstanding",
            "power-of-two",
            "prefix-aware",
            "power-aware",
            "least-outstanding, signal_delay: 2 s",
            "power-aware, signal_delay: 2 s, balance_requests: 2",
        ]
    ),
    engine=st.sampled_from(["{}", "{max_num_seqs: 4, queue_limit: 2}", "{max_model_len: 600}"]),
    row_rating=st.sampled_from(["9 kW", "30 kW"]),
)
def test_nothing_is_lost(**changes: object) -> None:
    """Invariants 1, 2 and 5 in whole runs, trips and rejections included."""
    with simulate(site(duration="40 s", **changes)) as results:
        check(results)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """Invariant 11, with the GRU; and another seed gives another day."""
    hashes = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        path = tmp_path / f"{name}.h5"
        simulate(site(seed=seed, power="{model: gru}"), path).close()
        hashes.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert hashes[0] == hashes[1] != hashes[2]


def test_routers_by_chance_are_the_seeds(tmp_path: Path) -> None:
    """Invariant 11 for chance in routing: the same bytes again, and not one replica's luck for
    all seeds."""
    for policy in ("random", "power-of-two"):
        hashes = []
        replicas = []
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            path = tmp_path / f"{policy}-{name}.h5"
            with simulate(site(seed=seed, routing=policy, duration="20 s"), path) as results:
                replicas.append(results.requests()["replica"].value_counts().to_dict())
            hashes.append(hashlib.sha256(path.read_bytes()).hexdigest())
        assert hashes[0] == hashes[1] != hashes[2]
        assert replicas[0] != replicas[2]
        assert len(replicas[0]) == 8


def test_power_aware_routing_evens_out_what_rows_draw() -> None:
    """One row carries a constant load of idle servers besides: it gets fewer requests, and the
    two rows' headrooms end closer together than without the policy."""
    text = """
name: uneven
duration: 3 min
seed: 3
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {kind: poisson, rate: 5 req/s}
    tokens: {kind: fixed, prompt: 500, output: 200}
servers:
  - {name: a100, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8,
     power: {model: ledger}}
  - {name: other, server: dgx-a100-80gb, model: llama-3-8b, tensor_parallel: 8,
     power: {model: ledger}}
routing: {policy: POLICY}
facility:
  - {name: site, kind: site}
  - {name: full, kind: row, parent: site, rating: 30 kW}
  - {name: free, kind: row, parent: site, rating: 30 kW}
  - {name: guest, kind: server, parent: full, count: 2, group: other}
  - {name: a, kind: server, parent: full, count: 4, group: a100}
  - {name: b, kind: server, parent: free, count: 4, group: a100}
"""
    gaps = {}
    for policy in ("least-outstanding", "power-aware"):
        with simulate(loads(text.replace("POLICY", policy))) as results:
            check(results)
            row = results.load_w("row").iloc[240:]
            gaps[policy] = float((row["full"] - row["free"]).abs().mean())
            assert results.summary["routing"]["failovers"] == 0
    assert gaps["power-aware"] < 0.8 * gaps["least-outstanding"]


def test_prefix_aware_routing_finds_what_was_computed() -> None:
    """Forty conversations of ten turns, each turn with all that was said before as its start: sent
    to where their last turn was, nearly all of it is in the cache there; dealt out by load over
    eight servers, little is."""
    turn_tokens = 160
    rng = np.random.default_rng(1)
    turns = []
    for talk in range(40):
        for turn in range(10):
            ids = range(talk * 100 + 1, talk * 100 + 1 + turn)
            start = tuple((id_, turn_tokens) for id_ in ids)
            prefix = Prefix(start, becomes=talk * 100 + 1 + turn)
            turns.append((turn * 14.0 + rng.uniform(0, 9), turn * turn_tokens + 120, 40, prefix))
    turns.sort(key=lambda row: row[0])
    arrival_s, prompt, output, prefixes = zip(*turns, strict=True)
    shared = np.empty(len(turns), dtype=object)
    shared[:] = prefixes
    block = RequestBlock(
        np.array(arrival_s),
        np.array(prompt),
        np.array(output),
        np.zeros(len(turns), dtype=np.int64),
        prefix=shared,
    )
    cached = {}
    for policy in ("least-outstanding", "prefix-aware"):
        simulation = Simulation(Plant.build(site(routing=policy)))
        simulation.fleet.feed(iter([block]))
        simulation.clock.play(200.0)
        assert simulation.fleet.counts()["completed"] == len(turns)
        cached[policy] = simulation.log.cached_tokens
    known = sum(turn * turn_tokens for _ in range(40) for turn in range(10))
    assert cached["prefix-aware"] > 0.95 * known
    assert cached["least-outstanding"] < 0.5 * known


def test_old_news_make_requests_fail_over_after_a_trip() -> None:
    """A dark row looks open for as long as the news of it takes; no request fails for that, and
    after its first refusal each dark replica is left alone."""
    text = _two_rows().replace("facility:", "routing: {signal_delay: 5 s}\nfacility:", 1)
    with simulate(loads(text)) as results:
        check(results)
        trip_s = results.events().query("kind == 'trip'")["time_s"].iloc[0]
        requests = results.requests()
        assert (requests.loc[requests["arrival_s"] > trip_s, "status"] != "failed").all()
        assert results.summary["routing"]["failovers"] in range(1, 5)


def test_power_models_do_not_change_the_requests() -> None:
    """Where nothing trips and no policy acts, watts have no say: requests are the same."""
    frames = []
    for power in ("{model: gru}", "{model: ledger}", "{model: board-limit}"):
        with simulate(site(power=power, row_rating="100 kW")) as results:
            frames.append(results.requests())
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])


def test_the_board_limit_is_what_a_calculator_says() -> None:
    with simulate(site(power="{model: board-limit}")) as results:
        # 8 boards of 400 W and the assumed kilowatt, eight servers.
        assert np.unique(results.load_w("site").to_numpy()) == pytest.approx([8 * 4200.0])
        assert results.summary["nodes"][0]["load_factor"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("server", "parallel", "label_w"),
    [("dgx-a100-80gb", 8, 6500.0), ("dgx-h100", 4, 10_200.0), ("dgx-h200", 8, 10_200.0)],
)
def test_the_nameplate_is_the_label(server: str, parallel: int, label_w: float) -> None:
    """Whatever is in the server: two replicas, a fitted chassis. The makers' data sheets."""
    changes = {"servers.0.server": server, "facility.site.rating": "1 MW"}
    scenario = site(power="{model: label}", parallel=parallel, row_rating="1 MW", duration="2 s")
    with simulate(change(scenario, changes)) as results:
        assert np.unique(results.load_w("server").to_numpy()) == pytest.approx([label_w])
        assert np.unique(results.load_w("site").to_numpy()) == pytest.approx([8 * label_w])


def test_a_trip_cuts_the_power_of_its_row_and_fails_its_requests() -> None:
    """Invariant 7 live: board-limit load on a row rated far too low opens its breaker at the time
    the curve says; its requests fail, its servers draw nothing, the others go on."""
    scenario = site(power="{model: board-limit}", row_rating="12 kW", rate=6)
    with simulate(scenario) as results:
        check(results)
        events = results.events()
        trips = events[events["kind"] == "trip"]
        assert set(trips["node"]) == {"row-1", "row-2"}
        # 16.8 kW on 12 kW: 1.4 times, which Dynamo's row panels hold for about 60 s.
        assert trips["time_s"].to_numpy() == pytest.approx([60.0, 60.0], abs=0.5)
        site_w = results.load_w("site").iloc[:, 0]
        assert site_w[site_w.index <= 60].min() > 30_000
        assert site_w[site_w.index > 61].max() == 0.0
        counts = results.summary["requests"]
        assert counts["running"] == counts["waiting"] == 0
        assert counts["failed"] > 100
        failed = results.requests().query("status == 'failed'")
        assert (failed["end_s"] >= 59.9).all()


def test_after_one_trip_the_load_moves_to_the_other_row() -> None:
    text = site(power="{model: board-limit}", rate=6, duration="3 min")
    assert text.facility[1].count == 2
    scenario = loads(_two_rows())
    with simulate(scenario) as results:
        check(results)
        late = results.requests().query("arrival_s > 90")
        assert (late["status"] != "failed").all()
        assert set(late["replica"].unique()) <= {4, 5, 6, 7}
        row = results.load_w("row")
        assert row["weak"].iloc[-1] == 0.0
        assert row["strong"].iloc[-1] > 0.0


def test_failed_requests_are_sent_again_where_clients_do() -> None:
    """What the weak row loses is served by the strong one, late; without the rule it is lost."""
    rule = "    retry: {attempts: 3, delay: 2 s}\n    arrivals:"
    text = _two_rows().replace("    arrivals:", rule, 1)
    with simulate(loads(_two_rows())) as lost, simulate(loads(text)) as saved:
        check(saved)
        failed = lost.requests().query("status == 'failed'")
        assert len(failed) > 1
        again = saved.requests().set_index("id").loc[failed["id"]]
        assert (again["status"] == "completed").all()
        assert (again["retries"] == 1).all()
        trip_s = saved.events().query("kind == 'trip'")["time_s"].iloc[0]
        assert (again["arrival_s"] + again["ttft_s"] > trip_s + 2.0).all()
        assert saved.summary["routing"]["retries"] == len(failed)
        assert saved.summary["tokens"]["lost"] == failed["generated_tokens"].sum()
        assert lost.summary["routing"]["retries"] == 0


def test_rows_left_out_of_a_trace_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.0,100,5\n"
        "2023-11-16 18:15:47.0,many,5\n"
        "2023-11-16 18:15:48.0,100,5\n"
    )
    scenario = site(duration="30 s")
    (stream,) = scenario.workload
    replay = ReplayArrivals(kind="replay", file=trace, on_error="skip")
    changed = scenario.model_copy(
        update={"workload": (stream.model_copy(update={"arrivals": replay, "tokens": None}),)}
    )
    with caplog.at_level("INFO", "dcsim"), simulate(changed) as results:
        check(results)
        assert "stream chat: 1 rows of its trace skipped" in caplog.text
        assert results.summary["requests"]["completed"] == 2
        assert results.summary["traffic"] == {"skipped": {"chat": 1}, "dropped": {}}


def test_tries_come_to_an_end() -> None:
    """With every row dark, a request fails for good after its tries: at 0, 1 and 1 + 3 s."""
    scenario = site(power="{model: board-limit}", row_rating="12 kW", rate=6)
    (stream,) = scenario.workload
    rule = Retry(attempts=2, delay="1 s", backoff=3.0)  # type: ignore[call-arg]
    changed = scenario.model_copy(
        update={"workload": (stream.model_copy(update={"retry": rule}),), "duration_s": 70.0}
    )
    with simulate(changed) as results:
        check(results)
        requests = results.requests()
        late = requests[requests["arrival_s"].between(61.5, 65.5)]
        assert (late["status"] == "failed").all()
        assert (late["retries"] == 2).all()
        assert (late["end_s"] - late["arrival_s"]).to_numpy() == pytest.approx(4.0)
        assert results.summary["requests"]["waiting"] > 0  # those between two tries


def _two_rows() -> str:
    return """
name: two-rows
duration: 3 min
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {kind: poisson, rate: 3 req/s}
    tokens: {kind: fixed, prompt: 500, output: 100}
servers:
  - {name: a100, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8,
     power: {model: board-limit}}
facility:
  - {name: site, kind: site}
  - {name: weak, kind: row, parent: site, rating: 12 kW, breaker: {curve: dynamo-rpp, preload: 0}}
  - {name: strong, kind: row, parent: site, rating: 60 kW}
  - {name: rack-w, kind: rack, parent: weak}
  - {name: rack-s, kind: rack, parent: strong}
  - {name: server-w, kind: server, parent: rack-w, count: 4, group: a100}
  - {name: server-s, kind: server, parent: rack-s, count: 4, group: a100}
"""


def test_a_breaker_that_only_flags_changes_nothing() -> None:
    breaker = "{curve: dynamo-rpp, on_trip: flag}"
    changes = {"power": "{model: board-limit}", "row_rating": "12 kW"}
    with simulate(site(breaker=breaker, **changes)) as results:
        assert results.summary["events"]["trip"] == 2
        assert results.summary["requests"]["failed"] == 0
        assert results.load_w("site").min().item() > 30_000


def test_admission_throttle_holds_a_row_below_its_rating() -> None:
    """With the policy the rows stay near their rating and requests are turned away; without it
    they run far above. Watts and tokens are traded in one run."""
    changes = {"rate": 12, "row_rating": "11 kW", "breaker": "null", "duration": "3 min"}
    control = "[{policy: admission-throttle, above: 0.95, below: 0.8, period: 1 s}]"
    with simulate(site(**changes)) as free, simulate(site(control=control, **changes)) as held:
        check(held)
        assert free.summary["requests"]["rejected"] == 0
        assert held.summary["requests"]["rejected"] > 0
        over = [(r.load_w("row").iloc[40:] > 11_000).to_numpy().mean() for r in (free, held)]
        assert over[1] < 0.5 * over[0]
        energy = [r.summary["nodes"][0]["energy_wh"] for r in (free, held)]
        assert energy[1] < energy[0]


def test_each_gpu_gets_its_own_pack() -> None:
    scenario = loads("""
name: two-gpus
duration: 10 s
workload:
  - {name: chat, model: llama-3-8b, arrivals: {kind: poisson, rate: 5 req/s},
     tokens: {kind: fixed, prompt: 300, output: 60}}
servers:
  - {name: old, server: dgx-a100-80gb, model: llama-3-8b, tensor_parallel: 1}
  - {name: new, server: dgx-h100, model: llama-3-8b, tensor_parallel: 1}
facility:
  - {name: site, kind: site}
  - {name: row, kind: row, parent: site}
  - {name: a, kind: server, parent: row, group: old}
  - {name: b, kind: server, parent: row, group: new}
""")
    assert [model.pack for model in Simulation(Plant.build(scenario)).server_power.models] == [
        "gru-a100",
        "gru-h100",
    ]
    with simulate(scenario) as results:
        check(results)


def test_telemetry_delay_makes_a_policy_late() -> None:
    changes = {"rate": 12, "row_rating": "11 kW", "breaker": "null", "duration": "1 min"}
    first = []
    for delay in ("0 s", "10 s"):
        control = f"[{{policy: admission-throttle, above: 0.9, below: 0.8, delay: {delay}}}]"
        with simulate(site(control=control, **changes)) as results:
            requests = results.requests()
            first.append(requests.loc[requests["status"] == "rejected", "arrival_s"].min())
    assert first[1] >= first[0] + 5.0


def test_a_group_of_two_models_and_several_power_models() -> None:
    scenario = loads("""
name: mixed
duration: 30 s
workload:
  - {name: big, model: llama-3-70b, arrivals: {kind: poisson, rate: 2 req/s},
     tokens: {kind: fixed, prompt: 300, output: 60}}
  - {name: small, model: llama-3-8b, arrivals: {kind: poisson, rate: 9 req/s},
     tokens: {kind: fixed, prompt: 300, output: 60}}
servers:
  - {name: big, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 4,
     power: {model: ledger}}
  - {name: small, server: dgx-h100, model: llama-3-8b, tensor_parallel: 1}
facility:
  - {name: site, kind: site}
  - {name: rack, kind: rack, parent: site, count: 2}
  - {name: a, kind: server, parent: rack, group: big}
  - {name: b, kind: server, parent: rack, group: small}
""")
    simulation = Simulation(Plant.build(scenario))
    assert len(simulation.fleet.replicas) == 2 * (2 + 8)
    assert [model.name for model in simulation.server_power.models] == ["ledger", "gru"]
    with simulate(scenario) as results:
        assert isinstance(results.summary["power_model"], list)
        requests = results.requests()
        kinds = requests.groupby("stream")["replica"].unique()
        small = {
            i for i, c in enumerate(simulation.plant.replicas.config) if c.model == "llama-3-8b"
        }
        assert set(kinds[1]) <= small
        assert not set(kinds[0]) & small
        servers = results.load_w("server")
        assert (servers > 1000).all().all()  # chassis and idle boards at least


@pytest.mark.parametrize(("name", "count"), [("conv", 19_366), ("code", 8_819)])
def test_azure_replay_is_all_accounted_for(
    name: str, count: int, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCSIM_DATA", str(data))
    scenario = load(SCENARIOS / f"azure-2023-{name}.yaml")
    with simulate(scenario) as results:
        assert results.summary["requests"]["arrived"] == count
        check(results)


def test_the_python_api_of_the_readme() -> None:
    scenario = dcsim.load(SCENARIOS / "quickstart.yaml", duration="1 min")
    results = dcsim.simulate(scenario)
    frame = results.load_w("row")
    assert list(frame.columns) == ["row"]
    assert len(frame) == 240
    assert 200_000 < frame["row"].mean() < 700_000


def test_nothing_is_left_of_a_run_that_breaks_and_it_cannot_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = Simulation(Plant.build(site()), out=tmp_path / "run.h5")
    step = simulation.server_power.step

    def broken(ledger: WorkLedger) -> FloatArray:
        if simulation.steps > 50:
            raise RuntimeError("power room on fire")
        return step(ledger)

    monkeypatch.setattr(simulation.server_power, "step", broken)
    with pytest.raises(RuntimeError, match="on fire"):
        simulation.run()
    assert list(tmp_path.iterdir()) == []
    message = (
        r"the run was aborted at 12\.75 s by RuntimeError: power room on fire; it cannot go on: "
        "build a new Simulation"
    )
    monkeypatch.undo()
    refused: list[Callable[[], object]] = [
        simulation.run,
        simulation.step,
        simulation.command,
        simulation.finish,
        lambda: simulation.results,
        lambda: list(simulation),
    ]
    for attempt in refused:
        with pytest.raises(SimulationError, match=message):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_file_lives_as_long_as_results_or_simulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is removed without a ResourceWarning, whether or not the results were opened."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for opened in (True, False):
            simulation = Simulation(
                Plant.build(load(SCENARIOS / "quickstart.yaml", ["duration=1 s"]))
            )
            simulation.run()
            results = simulation.results if opened else None
            del simulation
            gc.collect()
            assert len(list(tmp_path.iterdir())) == opened
            if results is not None:
                assert len(results.load_w("site")) == 4
            del results
            gc.collect()
            assert list(tmp_path.iterdir()) == []


def test_a_pack_that_does_not_know_a_configuration_is_heard_of() -> None:
    """Two GPUs a replica were never measured; eight were, and give no warning."""
    keys = ["servers.a100.engine.max_model_len=4096", "duration=1 s"]
    unknown = [*keys, "servers.a100.tensor_parallel=2", "servers.a100.power.extrapolate=true"]
    scenario = load(SCENARIOS / "quickstart.yaml", unknown)
    with pytest.warns(ExtrapolationWarning, match=r"llama-3-70b/a100-sxm-80gb/tp2 are extrap"):
        simulate(scenario).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ExtrapolationWarning)
        simulate(load(SCENARIOS / "quickstart.yaml", keys)).close()
