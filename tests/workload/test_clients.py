"""Many clients: ServeGen's windows played at their rates, and populations made after them."""

from __future__ import annotations

import re
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.servegen_fit import PLAYED_PER_S, dispersion
from dcsim.errors import TraceError
from dcsim.scenario.models import ClientsArrivals, ServegenArrivals
from dcsim.workload import open_stream, survey
from dcsim.workload.arrivals import ArrivalContext
from dcsim.workload.clients import (
    FIT_WINDOW_S,
    ClientFit,
    Population,
    _windows,
    client_files,
    load_populations,
    measured,
    of_population,
    servegen,
)
from dcsim.workload.renewal import Gamma, Weibull, until
from tests.workload.play import play, stream, times_s
from tests.workload.test_replay_options import scenario_with

QUIET = "{start},0,0,,0,0"
BUSY = "{start},{rate},1,Gamma,1,1"


def write(folder: Path, *clients: list[str]) -> Path:
    for number, rows in enumerate(clients):
        (folder / f"chunk-{number}-trace.csv").write_text("\n".join(rows) + "\n")
    return folder


def windows(*rates: float) -> list[str]:
    """Windows of 600 s with exponential gaps."""
    return [
        (BUSY if rate else QUIET).format(start=600 * n, rate=rate) for n, rate in enumerate(rates)
    ]


def folder_of(folder: Path, **keys: Any) -> dict[str, Any]:
    return {"kind": "servegen", "folder": folder, **keys}


# --- made files ------------------------------------------------------------------------------


def test_windows_bring_their_rates_and_silence(tmp_path: Path) -> None:
    write(tmp_path, windows(2, 0, 4), windows(0, 0, 1))
    arrival_s = times_s(folder_of(tmp_path), 1e6)
    counts = np.bincount((arrival_s / 600).astype(int), minlength=3)
    assert len(counts) == 3
    assert counts[1] == 0
    for count, expected in zip(counts, (1200, 0, 3000), strict=True):
        assert count == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_from_loop_scale_and_every_other_client(tmp_path: Path) -> None:
    write(tmp_path, windows(2, 0), windows(50, 50), windows(0, 2), windows(50, 50))
    keys = {"from": "300 s", "loop": True, "one_client_in": 2, "rate_scale": 3}
    arrival_s = times_s(folder_of(tmp_path, **keys), 1500.0)
    counts = np.bincount((arrival_s / 300).astype(int), minlength=5)
    for count in counts:
        assert count == pytest.approx(1800, abs=4 * np.sqrt(1800))


def test_a_start_after_the_end_is_told_and_loops_wrap(tmp_path: Path) -> None:
    write(tmp_path, windows(2, 0))
    with pytest.raises(TraceError, match="windows after `from`"):
        play(folder_of(tmp_path, **{"from": "1200 s"}), 1e6)
    looped = times_s(folder_of(tmp_path, loop=True, **{"from": "1800 s"}), 1200.0)
    assert looped[0] > 600
    assert len(looped) == pytest.approx(1200, abs=4 * np.sqrt(1200))


def test_a_client_keeps_its_luck_beside_others(tmp_path: Path) -> None:
    write(tmp_path, windows(2, 1), windows(3, 0), windows(1, 1))
    both = times_s(folder_of(tmp_path), 1e6, seed=4)
    alone = times_s(folder_of(tmp_path, one_client_in=3), 1e6, seed=4)
    assert set(alone) < set(both)


def test_spikes_act_on_clients(tmp_path: Path) -> None:
    write(tmp_path, windows(2, 2), windows(3, 3))
    spike = {"at": "500 s", "duration": "200 s", "factor": 4}
    arrival_s = times_s(folder_of(tmp_path, spikes=[spike]), 1e6)
    within = ((arrival_s >= 500) & (arrival_s < 700)).sum()
    assert within == pytest.approx(4000, abs=4 * np.sqrt(4000))
    assert len(arrival_s) - within == pytest.approx(5000, abs=4 * np.sqrt(5000))


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        ("900,1,1,Gamma,1,1", "window start", "all as long"),
        ("x,1,1,Gamma,1,1", "window start", "number of seconds"),
        ("1200,-1,1,Gamma,1,1", "rate", "a rate in requests"),
        ("1200,1,1,Pareto,1,1", "family", "Gamma or Weibull"),
        ("1200,1,1,,1,1", "family", "Gamma or Weibull"),
        ("1200,1,1,Weibull,0.01,1", "first parameter", "a shape from 0.1"),
        ("1200,1,1,Gamma,x,1", "first parameter", "number of seconds"),
        ("1200,1,1,Gamma,1", "", "6 columns, found 5"),
    ],
)
def test_a_broken_window_is_named(tmp_path: Path, row: str, column: str, expected: str) -> None:
    write(tmp_path, windows(1, 1, 1), [*windows(1, 1), row])
    with pytest.raises(TraceError, match=re.escape(expected)) as caught:
        play(folder_of(tmp_path), 1e6)
    assert (caught.value.line, caught.value.column) == (3, column)
    played = scenario_with(f"{{kind: servegen, folder: '{tmp_path}'}}\n    tokens: *t".replace(
        "*t", "{kind: fixed, prompt: 1, output: 1}"))  # fmt: skip
    (problem,) = survey(played).problems
    assert (problem.file, problem.line) == (str(tmp_path / "chunk-1-trace.csv"), 3)


def test_a_folder_without_clients_is_told(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="files named chunk"):
        play(folder_of(tmp_path), 1e6)
    write(tmp_path, windows(1))
    with pytest.raises(TraceError, match="at least two windows"):
        play(folder_of(tmp_path), 1e6)


# --- the measured ones -----------------------------------------------------------------------


def test_servegen_rates_are_reproduced_within_their_sampling_error(data: Path) -> None:
    """Each window's count, all clients together, against its rate: as far off as independent
    gaps of the given shapes would be, no more and no less, and no bias."""
    folder = data / "arrivals/servegen/reason/deepseek-r1"
    files = client_files(folder)
    assert len(files) == 73
    rows = [[row for row in measured(file) if not isinstance(row, TraceError)] for file in files]
    expected = np.array([[row[1] * FIT_WINDOW_S for row in client] for client in rows])
    assert expected.shape == (73, 144)
    # What the counts vary by, from the gaps alone: played once more with luck of their own.
    rng = np.random.default_rng(8)
    variance = np.zeros(144)
    for client in rows:
        for number, (_, rate, gaps) in enumerate(client):
            if rate > 0:
                end = rate * FIT_WINDOW_S
                counts = [sum(map(len, until(end, gaps, rng))) for _ in range(4)]
                variance[number] += np.mean((np.array(counts) - end) ** 2)
    spec = ServegenArrivals(kind="servegen", folder=folder)
    arrival_s = np.concatenate(
        list(servegen(spec, ArrivalContext(86_400.0, np.random.SeedSequence(1))))
    )
    counts = np.bincount((arrival_s / FIT_WINDOW_S).astype(int), minlength=144)
    off = (counts - expected.sum(axis=0)) / np.sqrt(variance)
    assert abs(off.mean()) < 4 / np.sqrt(144)
    assert 0.7 < np.sqrt((off**2).mean()) < 1.4
    total = expected.sum()
    assert len(arrival_s) == pytest.approx(total, abs=4 * np.sqrt(variance.sum()))


def test_servegen_m_small_by_hour(data: Path) -> None:
    """Two weeks of 43 clients at a hundredth of their rates; none of the rows is refused."""
    folder = data / "arrivals/servegen/language/m-small"
    files = client_files(folder)
    assert len(files) == 43
    rates = []
    for file in files:
        rows = list(measured(file))
        assert not any(isinstance(row, TraceError) for row in rows)
        rates.append([row[1] for row in rows if not isinstance(row, TraceError)])
    total = np.array(rates).sum(axis=0)
    assert total.shape == (2016,)
    length_s = 2016 * FIT_WINDOW_S
    spec = ServegenArrivals(kind="servegen", folder=folder, rate_scale=0.01)
    arrival_s = np.concatenate(
        list(servegen(spec, ArrivalContext(length_s, np.random.SeedSequence(1))))
    )
    hourly = np.bincount((arrival_s / 3600).astype(int), minlength=336)
    expected = total.reshape(-1, 6).sum(axis=1) * FIT_WINDOW_S * 0.01
    assert hourly.sum() == pytest.approx(expected.sum(), rel=0.005)
    busy = expected > 1000
    assert busy.sum() > 300
    assert np.corrcoef(hourly, expected)[0, 1] > 0.98
    assert np.abs(hourly - expected)[busy].mean() < 0.05 * expected[busy].mean()


# --- populations -----------------------------------------------------------------------------


def test_shipped_populations_state_source_and_quality() -> None:
    found = load_populations()
    assert {name: len(p.clients) for name, p in found.items()} == {
        "servegen-m-small": 43,
        "servegen-deepseek-r1": 73,
    }
    for population in found.values():
        assert population.licence == "Apache-2.0"
        assert "ServeGen" in population.source
        assert np.mean(population.hours) == pytest.approx(1.0, abs=1e-3)
        assert sum(kind.share for kind in population.clients) == pytest.approx(1.0, abs=0.005)
        for span_s, tolerance in ((1, 0.45), (10, 0.3), (60, 0.2), (600, 0.2)):
            of_data = population.quality[f"dispersion_{span_s}s_data"]
            of_fit = population.quality[f"dispersion_{span_s}s_fit"]
            assert of_fit == pytest.approx(of_data, rel=tolerance)


def test_a_population_plays_as_its_file_says() -> None:
    """Dispersion of one day with the seeds that the figures were made with."""
    population = load_populations()["servegen-deepseek-r1"]
    spec = ClientsArrivals.model_validate({"kind": "clients", "name": population.name})
    found = []
    for seed in range(1, 10):
        seeds = np.random.SeedSequence(seed)
        times = of_population(population, spec, PLAYED_PER_S, 86_400.0, seeds)
        found.append(np.concatenate(list(times)))
    for span_s in (1, 10, 60, 600):
        median = np.median([dispersion(arrival_s, span_s, 86_400.0) for arrival_s in found])
        assert median == pytest.approx(population.quality[f"dispersion_{span_s}s_fit"], rel=0.01)


def made(**keys: Any) -> Population:
    kind = {
        "share": 1.0, "active": 1.0, "run": 1.0, "follows": 1.0, "sigma": 0.0, "memory": 0.0,
        "family": "Gamma", "shape": 1.0, "shape_sigma": 0.0, **keys,
    }  # fmt: skip
    return Population(
        name="made", title="made up", source="this test", licence="none", rate_per_s=1.0,
        hours=tuple([0.5] * 12 + [1.5] * 12), clients=(ClientFit.model_validate(kind),), quality={},
    )  # fmt: skip


def counts_of(population: Population, days: int, **keys: Any) -> np.ndarray:
    """Requests by window of 600 s, at 1 req/s."""
    spec = ClientsArrivals.model_validate({"kind": "clients", "name": "made", **keys})
    horizon_s = days * 86_400.0
    times = of_population(population, spec, 1.0, horizon_s, np.random.SeedSequence(2))
    arrival_s = np.concatenate(list(times))
    return np.bincount(
        (arrival_s / FIT_WINDOW_S).astype(int), minlength=int(horizon_s / FIT_WINDOW_S)
    )


def test_clients_follow_the_curve_as_far_as_they_do() -> None:
    for follows, day, night in ((0.0, 1.0, 1.0), (1.0, 1.5, 0.5), (2.0, 1.8, 0.2)):
        by_hour = counts_of(made(follows=follows), 4).reshape(4, 24, 6).sum(axis=(0, 2))
        assert by_hour[:12].mean() == pytest.approx(4 * 3600 * night, rel=0.03)
        assert by_hour[12:].mean() == pytest.approx(4 * 3600 * day, rel=0.03)
    shifted = counts_of(made(), 4, start_at="12 h").reshape(4, 24, 6).sum(axis=(0, 2))
    assert shifted[:12].mean() > 2.5 * shifted[12:].mean()


def test_silence_departures_and_memory_are_what_the_line_says() -> None:
    windows = counts_of(made(follows=0, active=0.25, run=4, sigma=0.5, memory=0.6), 200)
    active = windows > 0
    assert active.mean() == pytest.approx(0.25, abs=0.02)
    begun = np.flatnonzero(np.diff(active.astype(int)) == 1)
    assert active.sum() / len(begun) == pytest.approx(4, rel=0.08)
    assert windows.mean() == pytest.approx(600, rel=0.06)
    logs = np.log(np.maximum(windows, 1))
    assert logs[active].std() == pytest.approx(0.5, rel=0.1)
    both = active[1:] & active[:-1]
    assert np.corrcoef(logs[1:][both], logs[:-1][both])[0, 1] == pytest.approx(0.6, abs=0.06)


def test_shapes_wander_from_window_to_window() -> None:
    kind = made(follows=0, shape=0.5, shape_sigma=0.4).clients[0]
    found = islice(_windows(kind, 1.0, np.ones(24), 0.0, np.random.default_rng(1)), 4000)
    logs = [np.log(window.gaps.shape) for window in found if isinstance(window.gaps, Gamma)]
    assert np.mean(logs) == pytest.approx(np.log(0.5), abs=4 * 0.4 / np.sqrt(4000))
    assert np.std(logs) == pytest.approx(0.4, rel=0.05)


def test_more_clients_are_smoother_together() -> None:
    few = times_s({"kind": "clients", "name": "servegen-m-small", "rate": "20 req/s",
                   "clients": 5}, 43_200.0)  # fmt: skip
    many = times_s({"kind": "clients", "name": "servegen-m-small", "rate": "20 req/s",
                    "clients": 500}, 43_200.0)  # fmt: skip
    for arrival_s in (few, many):
        assert 5 * 43_200 < len(arrival_s) < 60 * 43_200
    assert dispersion(many, 60, 43_200.0) < 0.5 * dispersion(few, 60, 43_200.0)


def test_clients_stay_out_of_memory() -> None:
    busy = stream({"kind": "clients", "name": "servegen-m-small", "rate": "5000 req/s"})
    blocks = open_stream(busy, 0, 1e7, np.random.SeedSequence(1))
    next(blocks)
    tracemalloc.start()
    drawn = sum(len(block) for block in islice(blocks, 300))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drawn > 1_000_000
    assert peak_bytes < 8e6


def test_gaps_within_a_window_have_the_familys_shape() -> None:
    for kind, gaps in (("Gamma", Gamma(0.3)), ("Weibull", Weibull(0.6))):
        population = made(follows=0, family=kind, shape=gaps.shape)
        spec = ClientsArrivals.model_validate({"kind": "clients", "name": "made"})
        times = of_population(population, spec, 10.0, 30_000.0, np.random.SeedSequence(3))
        gaps_s = np.diff(np.concatenate(list(times)))
        assert gaps_s.std() / gaps_s.mean() == pytest.approx(gaps.cv, rel=0.05)
