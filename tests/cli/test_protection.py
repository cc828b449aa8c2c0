"""`dcsim protection`: a load of one's own against both edges of a breaker, by closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.engine import simulate
from dcsim.facility.breakers import Breakers
from dcsim.facility.curves import in_band, trip_time_s
from dcsim.hardware.catalogue import load_catalogue
from tests.engine.sites import site

runner = CliRunner()
CURVES = load_catalogue().curves


def asked(folder: Path, rows: list[tuple[float, float]], *words: str, ok: bool = True) -> Any:
    """The answer as JSON; rows are (s, kW), the breaker one of 100 kW. Not `ok`: standard error."""
    path = folder / "profile.csv"
    text = "".join(f"{time_s},{1e3 * kw}\n" for time_s, kw in rows)
    path.write_text("time_s,load_w\n" + text, encoding="utf-8")
    words = ("protection", "trip", str(path), "--rating", "100 kW", *words)
    done = runner.invoke(app, [*words, "--json"])
    if not ok:
        assert done.exit_code == 2
        return done.stderr
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", sorted(CURVES))
@pytest.mark.parametrize("multiple", [1.07, 1.3, 1.47, 1.9, 3.0])
def test_a_constant_load_trips_when_both_edges_say(
    name: str, multiple: float, tmp_path: Path
) -> None:
    found = asked(tmp_path, [(0, 100 * multiple), (1e6, 0)], "--curve", name)
    for key, place in (("earliest_s", 0.0), ("latest_s", 1.0)):
        held_s = float(trip_time_s(in_band(CURVES[name], place), multiple))
        assert found[key] == (None if math.isinf(held_s) else pytest.approx(held_s, rel=1e-6))


def test_a_profile_is_what_stepping_it_gives(tmp_path: Path) -> None:
    load = np.random.default_rng(4).normal(120.0, 25.0, 4000)
    rows = [(2.0 * n, float(kw)) for n, kw in enumerate(load)]
    found = asked(tmp_path, rows, "--curve", "thermal-magnetic")
    for key, place in (("earliest_s", 0.0), ("latest_s", 1.0)):
        breakers = Breakers([in_band(CURVES["thermal-magnetic"], place)], [100.0])
        steps = (n for n, kw in enumerate(load, 1) if len(breakers.step(np.array([kw]), 2.0)))
        step = next(steps, None)
        assert (found[key] is None) == (step is None)
        if step is not None:
            assert 2.0 * (step - 1) - 1e-6 <= found[key] <= 2.0 * step
    assert found["earliest_s"] is not None


def test_preload_and_ambient(tmp_path: Path) -> None:
    """135 % after 80 % for good: 3600 ln((m2 - 0.64) / (m2 - p2)) / ln(m2 / (m2 - p2)) = 1923 s. At
    60 degrees C, 100 kW bear 89.4."""
    rows = [(0.0, 135.0), (1e4, 0.0)]
    words = ("--curve", "thermal-magnetic")
    warm = asked(tmp_path, rows, *words, "--preload", "0.8")
    assert warm["latest_s"] == pytest.approx(1923.4, abs=1.0)
    hot = asked(tmp_path, rows, *words, "--ambient", "60")
    want_s = float(trip_time_s(CURVES["thermal-magnetic"], 1.35 / math.sqrt(0.8)))
    assert hot["latest_s"] == pytest.approx(want_s, rel=1e-6)


def test_one_that_holds_is_null(tmp_path: Path) -> None:
    found = asked(tmp_path, [(0, 104), (1e5, 0)], "--curve", "thermal-magnetic")
    assert (found["earliest_s"], found["latest_s"]) == (None, None)
    found = asked(tmp_path, [(0, 112), (1e5, 0)], "--curve", "electronic")
    assert found["earliest_s"] == pytest.approx(8.0 * 36 / 1.12**2)
    assert found["latest_s"] is None


def test_words_and_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "profile.csv"
    path.write_text("time_s,load_w\n0,90000\n600,150000\n9000,0\n", encoding="utf-8")
    words = ["protection", "trip", str(path), "--curve", "ul-489-225a", "--rating", "100 kW"]
    done = runner.invoke(app, [*words, "-o", str(tmp_path / "trip.png")])
    assert done.exit_code == 0, done.output
    assert "earliest trip:" in done.stdout
    assert (tmp_path / "trip.png").stat().st_size > 10_000
    refused = runner.invoke(app, [*words, "-o", str(tmp_path / "trip.doc")])
    assert refused.exit_code == 2
    assert "no format '.doc'" in refused.stderr


@pytest.mark.parametrize(
    ("rows", "words", "said"),
    [
        ([(0, 1), (0, 2)], ("--curve", "thermal-magnetic"), "line 3: times must rise"),
        ([(0, 1), (5, -2), (6, 1)], ("--curve", "thermal-magnetic"), "line 3: a load below 0 W"),
        ([(0, 1)], ("--curve", "thermal-magnetic"), "one row has no length"),
        ([(0, 1), (1, 2)], ("--curve", "thermal"), "no curve 'thermal'"),
        ([(0, 1), (1, math.nan)], ("--curve", "thermal-magnetic"), "line 3: expected finite"),
    ],
)
def test_what_is_wrong_is_told(
    rows: list[tuple[float, float]], words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    assert said in asked(tmp_path, rows, *words, ok=False)


def test_curves_are_listed_with_their_sources() -> None:
    done = runner.invoke(app, ["protection", "curves"])
    assert done.exit_code == 0
    for name, curve in CURVES.items():
        assert f"{name}: {curve.title}" in done.stdout
    told = json.loads(runner.invoke(app, ["protection", "curves", "--json"]).stdout)
    assert {row["name"] for row in told} == set(CURVES)
    assert all(row["source"] for row in told)


def test_what_a_run_was_to_a_breaker(tmp_path: Path) -> None:
    """16.8 kW on 12 kW from cold: the minute of Dynamo's panels, in the run and here."""
    scenario = site(power="{model: board-limit}", row_rating="12 kW", rate=1, duration="70 s")
    path = tmp_path / "run.h5"
    with simulate(scenario, out=path) as results:
        assert results.summary["events"]["trip"] == 2
    words = ["protection", "run", str(path), "-o", str(tmp_path / "trip.svg"), "--node"]
    done = runner.invoke(app, [*words, "row-1"])
    assert done.exit_code == 0, done.output
    assert "row-1: breaker of 12 kW, cold" in done.stdout
    at_s = float(done.stdout.split("earliest trip: ")[1].split(" s")[0])
    assert at_s == pytest.approx(60.0, abs=0.3)
    assert (tmp_path / "trip.svg").exists()
    for node, said in (("row-9", "there is no node 'row-9'"), ("site", "site has no breaker")):
        refused = runner.invoke(app, [*words, node])
        assert refused.exit_code == 2
        assert said in refused.stderr


def test_a_rating_in_amperes_is_what_a_circuit_carries(tmp_path: Path) -> None:
    """√3 x 415 V x 175 A are 125.8 kW, 208 V x 200 A between two poles 41.6 kW, at unity power
    factor; a load of 1.35 times that trips at the standard's times."""
    asked_of = {("175 A at 415 V",): math.sqrt(3) * 415 * 175, ("125 kVA",): 125e3,
                ("200 A at 208 V", "--phases", "2"): 208 * 200.0}  # fmt: skip
    for (rating, *words), watts in asked_of.items():
        rows = [(0, 1.35 * watts / 1e3), (8000, 0)]
        found = asked(tmp_path, rows, "--curve", "ul-489-225a", "--rating", rating, *words)
        assert found["rating_w"] == pytest.approx(watts)
        assert found["earliest_s"] == pytest.approx(900.0)
        assert found["latest_s"] == pytest.approx(7200.0)
    words = ("--curve", "ul-489-225a", "--rating", "175 A")
    assert "give the `voltage`" in asked(tmp_path, [(0, 1), (9, 1)], *words, ok=False)
    words = ("--curve", "ul-489-225a", "--rating", "0 A at 415 V")
    assert "must be above 0" in asked(tmp_path, [(0, 1), (9, 1)], *words, ok=False)


def test_a_profile_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "profile.csv"
    path.write_text("time_s;load_w\n0,0;135000,5\n8000,0;1\n", encoding="utf-8-sig")
    words = ["protection", "trip", str(path), "--curve", "ul-489-225a", "--rating", "100 kW"]
    found = json.loads(runner.invoke(app, [*words, "--json"]).stdout)
    assert found["earliest_s"] == pytest.approx(900.0, rel=1e-3)
    path.write_text("time,watts\n0,1\n", encoding="utf-8")
    refused = runner.invoke(app, words)
    assert refused.exit_code == 2
    assert "no column load_w and time_s in its first line; it has time, watts" in refused.stderr
