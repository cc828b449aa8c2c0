"""Bills and savings against sums worked out by hand."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from dcsim.errors import StudyError
from dcsim.hardware.catalogue import load_catalogue
from dcsim.report.answer import render
from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario
from dcsim.studies import Runner, Tariff, savings
from dcsim.studies.ask import variant
from dcsim.studies.savings.lines import LINES, work_out
from dcsim.studies.savings.tariff import bill, read_tariff
from tests.docs.pages import PROJECT
from tests.studies.small import TEXT, small

SITE_KW = 4 * 4.2 * 1.25
"""Two racks of two servers, eight GPUs of 400 W and 1 kW each, cooling of a quarter of it."""
TARIFF = Tariff(currency="EUR", energy=0.10, demand=15.0, contracted=4.0, fixed=500.0, meter_s=15.0)
MONEY = {"capital_per_kw": 3000.0, "interest": 0.08, "years": 5.0, "invest": 9000.0}


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner(workers=1)


def constant() -> Scenario:
    return variant(small(), {"servers.0.power": {"model": "board-limit"}, "cooling": {"pue": 1.25}})


def test_a_constant_site_by_hand(runner: Runner) -> None:
    found = savings(constant(), limit_w=20_000.0, tariff=TARIFF, **MONEY, grid=400.0, runner=runner)
    values = found.figures
    assert values["nameplate_kw"] == 26.0
    assert values["avoided_kw"] == pytest.approx(6.0)
    assert values["avoided_per_unit_kw"] == pytest.approx(3.0)
    assert values["capital_deferred"] == pytest.approx(18_000.0)
    assert values["deferral_gain"] == pytest.approx(18_000.0 * (1 - 1.08**-5))
    assert values["deferral_gain_a_year"] == pytest.approx(1440.0)
    assert values["contracted_saved_a_year"] == pytest.approx(6 * 4 * 12)
    energy_kwh = SITE_KW * 8766
    assert values["energy_kwh_a_year"] == pytest.approx(energy_kwh, rel=1e-6)
    assert values["energy_a_year"] == pytest.approx(0.1 * energy_kwh, rel=1e-6)
    assert values["demand_a_year"] == pytest.approx(SITE_KW * 15 * 12, rel=1e-6)
    assert values["bill_a_year"] == pytest.approx(0.1 * energy_kwh + SITE_KW * 180 + 6000, rel=1e-6)
    assert values["carbon_t_a_year"] == pytest.approx(energy_kwh * 400 / 1e6, rel=1e-6)
    assert values["payback_years"] == pytest.approx(9000 / (1440 + 288))
    inputs = found.tables["inputs"].frame
    assert set(inputs["origin"]) == {"given", "scenario", "run", "tariff"}
    assert len(found.tables["readings"].frame) == 4


def test_a_first_reading_that_the_warm_up_shortens_is_told(runner: Runner) -> None:
    """Readings of 15 s: a warm-up of 6 s leaves 9 s of the first one, 12 s too little of it."""
    found = savings(
        variant(constant(), {"warm_up": "6 s"}), limit_w=20e3, tariff=TARIFF, runner=runner
    )
    assert (
        "The first reading is a mean over 9 s, what the warm-up leaves of its 15 s, and counts as "
        "a whole one." in found.uncertainty
    )
    assert len(found.tables["readings"].frame) == 4
    for warm_up, rows in (("0 s", 4), ("12 s", 3)):
        other = variant(constant(), {"warm_up": warm_up})
        found = savings(other, limit_w=20e3, tariff=TARIFF, runner=runner)
        assert not any("first reading is" in line for line in found.uncertainty)
        assert len(found.tables["readings"].frame) == rows


def test_bands_hold_the_level_and_days(runner: Runner) -> None:
    """A site at board limits: 32 GPUs of 400 W extrapolated, off by 4.8 % in the median, and a
    fourth of the watts each of servers and cooling assumed. Means are off by the level, readings
    by days too; what no simulated watt is in has no band."""
    found = savings(constant(), limit_w=20_000.0, tariff=TARIFF, **MONEY, grid=400.0, runner=runner)
    gpus = 4 * 8 * 0.4 / SITE_KW
    deviation = math.hypot(gpus * 0.048 / 0.6745, (1 - gpus) * 0.1)
    mean, reading = 1.6449 * deviation, 1.6449 * math.hypot(deviation, 0.024)
    lines = found.frame.set_index("name")
    energy_kwh = SITE_KW * 8766
    for sign, end in ((-1, "band_low"), (1, "band_high")):
        energy = 0.1 * energy_kwh * (1 + sign * mean)
        demand = SITE_KW * 180 * (1 + sign * reading)
        assert lines.loc["energy_kwh_a_year", end] == pytest.approx(10 * energy, rel=1e-4)
        assert lines.loc["demand_a_year", end] == pytest.approx(demand, rel=1e-4)
        assert lines.loc["bill_a_year", end] == pytest.approx(energy + demand + 6000, rel=1e-4)
        assert found.figures[f"bill_a_year_{end}"] == lines.loc["bill_a_year", end]
        assert math.isnan(lines.loc["avoided_kw", end]) and math.isnan(
            lines.loc["fixed_a_year", end]
        )
    low_t, high_t = (energy_kwh * 0.4 / 1e3 * (1 + sign * mean) for sign in (-1, 1))
    assert f"carbon {low_t:.1f} to {high_t:.1f} t CO2e a year" in found.headline[2]


def test_what_is_not_given_is_unknown_and_never_nothing(runner: Runner) -> None:
    found = savings(constant(), limit_w=20_000.0, tariff=Tariff(meter_s=15.0), runner=runner)
    lines = found.frame.set_index("name")
    assert lines.loc["avoided_kw", "value"] == pytest.approx(6.0)
    for name in ("capital_deferred", "energy_a_year", "carbon_t_a_year", "payback_years"):
        assert math.isnan(lines.loc[name, "value"])
    assert lines.loc["payback_years", "missing"] == (
        "invest, capital_per_kw, interest, contracted_price"
    )
    assert found.headline == (
        "2 racks: 6.0 kW need not be built, 3.0 kW for each rack.",
        "The site draws about 184,000 kWh a year, cooling and losses included.",
        found.headline[2],
    )
    assert "bill" not in found.headline[2] and "carbon" not in found.headline[2]
    assert not any("unknown" in line for line in found.headline)
    console = Console(record=True, width=140, file=io.StringIO())
    render(found, console)
    shown = console.export_text()
    # Nothing is printed of what is unknown but the inputs that are wanted; files hold all.
    assert "avoided_kw" in shown and "energy_kwh_a_year" in shown
    assert "payback_years" not in shown and "demand_price" in shown.partition("Unknown for")[2]
    assert any("for want of an input" in line for line in found.reasons)


def test_labels_bear_what_the_load_bears(runner: Runner) -> None:
    """48 servers of 6.5 kW: 312 kW by label are 325 kW before a UPS of 96 %, 419 kW with the
    cooling at the site, which cost 75,000 EUR a year at 15 EUR a kW and month."""
    text = (
        TEXT[: TEXT.index("facility:")].replace("rate: 1 req/s", "rate: 12 req/s")
        + """
cooling: {pue: 1.3, at: site}
facility:
  - {name: site, kind: site}
  - {name: ups, kind: ups, parent: site, rating: 624 kW, losses: ups-double-conversion}
  - {name: row, kind: row, parent: ups, rating: 200 kW}
  - {name: rack, kind: rack, parent: row, count: 8}
  - {name: server, kind: server, parent: rack, count: 4, group: a100}
  - {name: other, kind: rack, parent: row, count: 2}
  - {name: more, kind: server, parent: other, count: 4, group: a100}
  - {name: far, kind: rack, parent: ups, count: 2}
  - {name: away, kind: server, parent: far, count: 4, group: a100}
"""
    )
    efficiency = dict(load_catalogue().losses["ups-double-conversion"].points)[0.5]
    at_row = savings(loads(text), counted="rack", under="row", tariff=TARIFF, runner=runner)
    # At the row there is neither: 10 racks of 26 kW.
    assert at_row.figures["nameplate_kw"] == pytest.approx(260.0)
    site_kw = 312 / efficiency + 0.3 * 312
    assert at_row.figures["site_nameplate_kw"] == pytest.approx(site_kw)
    assert at_row.figures["demand_by_nameplate_a_year"] == pytest.approx(site_kw * 180)
    at_site = savings(
        loads(text), counted="rack", under="site", limit_w=300e3, tariff=TARIFF, runner=runner
    )
    assert at_site.figures["nameplate_kw"] == pytest.approx(site_kw)
    assert at_site.figures["avoided_kw"] == pytest.approx(site_kw - 300)
    # Load and labels are of the same site: it cannot draw more than its labels.
    inputs = at_site.tables["inputs"].frame.set_index("name")["value"]
    assert inputs["peak_kw"] < site_kw


def test_nothing_is_saved_where_labels_fit(runner: Runner) -> None:
    found = savings(constant(), limit_w=30_000.0, tariff=TARIFF, **MONEY, runner=runner)
    assert "nothing is saved" in found.headline[0]
    assert "payback" not in found.headline[0]


def test_the_grid_is_read_at_the_clock(tmp_path: Path, runner: Runner) -> None:
    """A run that starts at half past one meets the grid of half past one, each day anew."""
    file = tmp_path / "grid.csv"
    file.write_text("time_s,g_per_kwh\n0,100\n48000,100\n48500,700\n86400,700\n")
    for start_h, grams in ((0.0, 100.0), (13.5, 700.0), (25.0, 100.0)):
        found = savings(
            constant(),
            limit_w=20_000.0,
            tariff=Tariff(meter_s=15.0),
            grid=file,
            start_s=start_h * 3600,
            runner=runner,
        )
        inputs = found.tables["inputs"].frame.set_index("name")
        assert inputs.loc["grid_g_per_kwh", "value"] == pytest.approx(grams)


def test_the_scenarios_start_is_the_clock(tmp_path: Path, runner: Runner) -> None:
    """Of a scenario that starts at 13:30 the grid of 13:30 counts, unless another time is asked;
    of one without a start, midnight's, and that is told."""
    file = tmp_path / "grid.csv"
    file.write_text("time_s,g_per_kwh\n0,100\n48000,100\n48500,700\n86400,700\n")
    begun = variant(constant(), {"start": "13:30"})
    for site, start_s, grams, told in (
        (begun, None, 700.0, "from 13:30:00 on: the scenario's `start`"),
        (begun, 0.0, 100.0, "from 00:00:00 on: as --starts says"),
        (constant(), None, 100.0, "midnight, for want of a `start`"),
    ):
        found = savings(
            site,
            limit_w=20_000.0,
            tariff=Tariff(meter_s=15.0),
            grid=file,
            start_s=start_s,
            runner=runner,
        )
        inputs = found.tables["inputs"].frame.set_index("name")
        assert inputs.loc["grid_g_per_kwh", "value"] == pytest.approx(grams)
        assert any(told in line for line in found.reasons)


def test_prices_by_the_time_of_day() -> None:
    """1 kW by day, 3 kW by night: the price is weighted by energy."""
    tariff = Tariff(energy=[{"from": "8 h", "price": 0.2}, {"from": "20 h", "price": 0.1}])
    hours = np.arange(48) % 24
    load_w = np.where((hours >= 8) & (hours < 20), 1000.0, 3000.0)
    found = bill(load_w, 3600.0, tariff)
    assert found.energy_kwh == pytest.approx(2 * (12 * 1 + 12 * 3))
    assert found.price_per_kwh == pytest.approx((12 * 0.2 + 36 * 0.1) / 48)
    assert found.peak_kw == 3.0
    # A run that starts at eight sees the day first.
    assert bill(load_w[:12] * 0 + 1000.0, 3600.0, tariff, 8 * 3600.0).price_per_kwh == (
        pytest.approx(0.2)
    )


@given(
    load=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=50),
    price=st.floats(0.0, 1.0),
    grams=st.floats(0.0, 1000.0),
)
@settings(max_examples=50, deadline=None)
def test_flat_prices_weigh_nothing(load: list[float], price: float, grams: float) -> None:
    tariff = Tariff(energy=price)
    found = bill(np.array(load), 900.0, tariff, 0.0, np.full(len(load), grams))
    assert found.energy_kwh == pytest.approx(sum(load) / 4000.0)
    if found.energy_kwh > 1e-6:
        assert found.price_per_kwh == pytest.approx(price)
        assert found.g_per_kwh == pytest.approx(grams)


def test_carbon_follows_the_grid(tmp_path: Path, runner: Runner) -> None:
    file = tmp_path / "grid.csv"
    file.write_text("time_s,g_per_kwh\n0,100\n60,500\n")
    found = savings(
        constant(), limit_w=20_000.0, tariff=Tariff(meter_s=15.0), grid=file, runner=runner
    )
    inputs = found.tables["inputs"].frame.set_index("name")
    assert inputs.loc["grid_g_per_kwh", "value"] == pytest.approx(300.0)


def test_formulas_know_only_what_stands_above() -> None:
    """Each line can be worked out anew by whoever has the inputs: no line needs a later one."""
    later = {name for name, *_ in LINES}
    inputs = {
        name: 2.0
        for _, _, formula, _ in LINES
        for name in re.findall(r"[a-z_]+", formula)
        if name not in later
    }
    assert len(inputs) == 19
    rows = work_out(inputs)
    assert [row["name"] for row in rows] == [name for name, *_ in LINES]
    known = dict(inputs)
    for row in rows:
        if row["missing"] is None:
            assert row["value"] == eval(row["formula"], {"__builtins__": {}}, known)
        known[row["name"]] = row["value"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("enrgy: 0.1", ":1: enrgy: unknown key (did you mean 'energy'?)"),
        ("energy: cheap", ":1: energy: expected a price such as 0.12, or a list of {from: 8 h"),
        ("fixed: 1\nenergy: [{price: 0.1}]", ":2: energy.0.from: required key is missing"),
        ("energy: [{from: 8 h, price: 1}, {from: 7 h, price: 1}]", "must rise"),
        ("meter: 15", ":1: meter: expected a quantity with its unit"),
        ("- 1", "expected lines of `key: value`"),
        ("energy: [", "not YAML"),
    ],
)
def test_bad_tariffs(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "tariff.yaml"
    file.write_text(text + "\n")
    with pytest.raises(StudyError) as error:
        read_tariff(file)
    assert problem in str(error.value)


def test_the_example_is_a_tariff(tmp_path: Path) -> None:
    found = read_tariff(PROJECT / "scenarios/tariffs/day-night.yaml")
    assert found == Tariff(
        currency="USD",
        energy=[(0.0, 0.07), (28_800.0, 0.13), (72_000.0, 0.07)],
        demand=15.0,
        contracted=4.0,
        fixed=500.0,
        meter_s=900.0,
    )
    with pytest.raises(StudyError, match="there is no file"):
        read_tariff(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"count": 0}, "--racks: 1 or more"),
        ({"under": "site"}, "give --limit"),
        ({"tariff": Tariff()}, "give --set 'duration=15 min'"),
        ({"tariff": Tariff(meter_s=1.5)}, "whole power steps"),
        ({"interest": -1.0}, "--interest: a number of 0 or more"),
        ({"grid": "no.csv"}, "--grid"),
        ({"grid": -1.0}, "0 or more, such as 400"),
        ({"seeds": 0}, "give --seeds 5"),
    ],
)
def test_refusals(asked: dict[str, Any], told: str, runner: Runner) -> None:
    before = runner.executed
    with pytest.raises(StudyError) as error:
        savings(small(), **{"tariff": Tariff(meter_s=15.0), "runner": runner, **asked})
    assert told in str(error.value)
    assert runner.executed == before


def test_units_are_told_whole_and_in_the_tariffs_currency(runner: Runner) -> None:
    tariff = Tariff(currency="EUR", meter_s=15.0)
    found = savings(constant(), limit_w=20_000.0, tariff=tariff, grid=400.0, runner=runner)
    units = [*found.frame["unit"], *found.tables["inputs"].frame["unit"]]
    assert "EUR per kW" in units and not any("money" in unit for unit in units)
    console = Console(record=True, width=140, file=io.StringIO())
    render(found, console)
    shown = console.export_text()
    # A slash in a unit or a formula is no path of nodes, whose last part is enough.
    assert "g CO2e/kWh" in shown
    assert "avoided_kw / count" in shown
