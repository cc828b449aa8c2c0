"""The pages that couple dcsim with other simulators: their programs, taken out and run."""

from __future__ import annotations

import importlib
import math
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

import dcsim
from tests.docs.pages import files

PAGES = Path(__file__).parents[2] / "docs/howto"
NEEDS = "pip install 'dcsim[cosim]'"


def program(page: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program of a page, imported from where a reader would have kept it."""
    for file, text in files(PAGES / f"{page}.md"):
        (folder / file).write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def test_opendss_drops_the_voltage_of_the_hand_calculation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along the phasor (R P + X Q) / V, across it (X P - R Q) / V, with V at the receiving end."""
    pytest.importorskip("opendssdirect", reason=NEEDS)
    feeder = program("opendss", "feeder", tmp_path, monkeypatch)
    feeder.build_feeder()
    r, x, source_v = feeder.R_OHM, feeder.X_OHM, feeder.SOURCE_V
    for load_w in (6_000.0, 15_000.0, 24_000.0):
        volts = feeder.voltage_pu(load_w) * source_v
        reactive_var = load_w * math.tan(math.acos(feeder.POWER_FACTOR))
        along = (r * load_w + x * reactive_var) / volts
        across = (x * load_w - r * reactive_var) / volts
        assert source_v - volts == pytest.approx(along, rel=0.02)
        assert math.hypot(volts + along, across) == pytest.approx(source_v, abs=0.01)


def test_opendss_voltage_recovers_when_clocks_are_lowered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opendssdirect", reason=NEEDS)
    feeder = program("opendss", "feeder", tmp_path, monkeypatch)
    held, free = feeder.play(), feeder.play(controlled=False)
    falls = next(i for i, step in enumerate(held) if step[2] < feeder.LOW_PU)
    assert held[: falls + 1] == free[: falls + 1], "no command before the voltage is low"
    assert held[falls + 1][3] < 1.0
    assert held[falls + 1][1] < free[falls + 1][1], "in force from the next step on"
    lowered = [i for i in range(1, len(held)) if held[i][3] < held[i - 1][3]]
    settled = held[lowered[-1] :]
    assert len(settled) >= 8, "two seconds at least after the last command"
    assert held[-1][3] > feeder.LOW_CLOCK, "not at the end of what the controller may do"
    assert all(voltage >= feeder.LOW_PU for _, _, voltage, _ in settled)
    assert min(voltage for _, _, voltage, _ in free[lowered[-1] :]) < feeder.LOW_PU
    assert feeder.play() == held


def test_vessim_counts_the_energy_that_dcsim_drew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And saves by the controller: battery and sun give the same energy in both runs."""
    pytest.importorskip("vessim", reason=NEEDS)
    page = program("vessim", "microgrid", tmp_path, monkeypatch)
    imported_wh, ttft_s = {}, {}
    for controlled in (False, True):
        recorder, results = page.play(controlled)
        energy = recorder.metrics["microgrids"]["campus"]
        [site, *_] = results.summary["nodes"]
        assert energy["energy_consumed"] == pytest.approx(site["energy_wh"], rel=1e-9)
        stored_wh = page.BATTERY_WH * (page.CHARGE_AT_START - page.LOWEST_CHARGE)
        # Minute by minute from SUN_W to 0: the mean of the first values of 30 minutes.
        sun_wh = page.SUN_W / 2 * (1 + 1 / 30) / 2
        assert energy["energy_produced"] == pytest.approx(sun_wh)
        assert energy["grid_import"] == pytest.approx(
            energy["energy_consumed"] - sun_wh - stored_wh
        )
        imported_wh[controlled] = energy["grid_import"]
        ttft_s[controlled] = results.summary["latency"]["ttft_s"]["p95"]
    assert 0 < imported_wh[True] < imported_wh[False] / 2
    assert ttft_s[True] > ttft_s[False]


def test_vessim_samples_an_interval_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vessim", reason=NEEDS)
    page = program("vessim", "microgrid", tmp_path, monkeypatch)
    scenario = dcsim.load("site.yaml", duration="3 min")
    simulation = dcsim.Simulation(dcsim.Plant.build(scenario))
    load = page.SiteLoad(simulation)
    first_w = load.at(0)
    assert load.at(timedelta(0)) == first_w
    assert simulation.now_s == page.INTERVAL_S
    second_w = load.at(page.INTERVAL_S)
    simulation.step(until_s=180.0)
    means_w = simulation.results.load_w("site", resample=60.0)["site"]
    assert [first_w, second_w] == pytest.approx(means_w.iloc[:2].tolist(), rel=1e-6)


def test_gymnasium_finds_no_fault_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checker = pytest.importorskip("gymnasium.utils.env_checker", reason=NEEDS)
    page = program("gymnasium", "clocks", tmp_path, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*maximum value is infinity")
        checker.check_env(page.ClockEnv(), skip_render_check=True)


def test_gymnasium_rewards_the_rule_above_a_random_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gymnasium", reason=NEEDS)
    page = program("gymnasium", "clocks", tmp_path, monkeypatch)
    seeds = range(2)
    rule = [page.play(page.rule, seed) for seed in seeds]
    for agent in (page.random_agent(0), lambda _: 3):
        assert all(
            ours[0] > page.play(agent, seed)[0] for seed, ours in zip(seeds, rule, strict=True)
        )
    assert page.play(page.rule, 0) == rule[0], "deterministic by seed"
    assert rule[0] != rule[1]


def test_gymnasium_rewards_are_energy_and_time_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the results file: joules of the site; a TTFT is the wait and a short prefill."""
    pytest.importorskip("gymnasium", reason=NEEDS)
    page = program("gymnasium", "clocks", tmp_path, monkeypatch)
    environment = page.ClockEnv()
    observation, _ = environment.reset(seed=1)
    energy_j = observation[0] * page.INTERVAL_S
    total, ended = 0.0, False
    while not ended:
        observation, reward, _, ended, _ = environment.step(0)
        energy_j += observation[0] * page.INTERVAL_S
        total += 1000 * reward + observation[0] * page.INTERVAL_S
    results = environment.simulation.results
    assert energy_j == pytest.approx(results.summary["nodes"][0]["energy_wh"] * 3600, rel=1e-6)
    waited_s = -total / page.JOULES_PER_SECOND_WAITED
    ttft_s = results.requests()["ttft_s"].sum()
    assert 0.8 * ttft_s < waited_s < ttft_s
