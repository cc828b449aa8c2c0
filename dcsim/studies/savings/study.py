"""Savings: what capacity that need not be built is worth, and what the site costs to run.

Every line is a formula over named inputs and earlier lines, kept as text beside its value, so that
a reader, or a page, can change an input and work it out anew. What is not given stays unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BeforeValidator

from dcsim.errors import SeriesError, StudyError
from dcsim.scenario.models import Scenario
from dcsim.scenario.series import read_series
from dcsim.scenario.start import Start
from dcsim.spec.units import SECOND, TimeOfDay, Watts
from dcsim.studies.answer import Answer, Card, Plot, Table
from dcsim.studies.ask import seeds_of
from dcsim.studies.figures import NAN, mean
from dcsim.studies.jobs import Keep, job
from dcsim.studies.limit_rows import limit_sentences
from dcsim.studies.limits import left_out
from dcsim.studies.options import Seeds, Typed, from_text, must
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.runner import Runner
from dcsim.studies.savings.labels import ABOUT_LABELS, labels_below
from dcsim.studies.savings.lines import in_currency, with_bands, work_out
from dcsim.studies.savings.tariff import DAY_S, Bill, Tariff, as_tariff, bill
from dcsim.studies.savings.words import (
    band_figures,
    band_sentences,
    bill_uncertainty,
    headline,
    missing_sentences,
    trip_sentences,
)
from dcsim.studies.study import Study
from dcsim.studies.target import Counted, CountTarget, Under, find_target
from dcsim.studies.uncertainty import mean_band, peak_band_w, uncertainty_of, uncertainty_sentences

HOURS_A_YEAR = 8766.0
"""365.25 days."""
INPUT_COLUMNS = {
    "name": "as in the formulas",
    "value": "number; empty: unknown, and so is what depends on it",
    "unit": "of it",
    "origin": "given, run (from the simulation), scenario, tariff, or missing",
    "about": "what it is",
}
LINE_COLUMNS = {
    "name": "line",
    "value": "number; empty: unknown",
    "unit": "of it",
    "formula": "over inputs and lines above",
    "about": "what it is",
    "missing": "inputs that would be needed",
    "band_low": "below it the value is with 5 %: the level's error and days; empty: no simulated "
    "watt is in it",
    "band_high": "above it the value is with 5 %: the level's error and days",
}


ABOUT_MONEY = {
    "capital_per_kw": ("money per kW", "price of a kW of interconnection, transformer and feeder"),
    "interest": ("a year", "cost of capital"),
    "years": ("years", "by how much building is put off"),
    "invest": ("money", "what oversubscribing takes, once"),
}


Money = Annotated[float, must(lambda value: value >= 0.0, "a number of 0 or more")]


def _number_or_path(text: str) -> float | Path:
    try:
        return float(text)
    except ValueError:
        return Path(text)


class SavingsStudy(Study):
    """What is capacity that need not be built worth, and what do energy and peaks cost?"""

    count: Annotated[int | None, Typed(flag="racks")] = None
    """Number of racks, or of what is counted, under one limit, such as the oversubscription study
    found. None: the file's."""
    under: Under = None
    """Node whose limit applies. None: the node that feeds the racks."""
    counted: Counted = None
    """Kind of node to count: a row of the facility table. None: racks."""
    limit_w: Watts | None = None
    """Use this limit instead of the node's rating, e.g. '600 kW'."""
    tariff: Annotated[Tariff | None, BeforeValidator(as_tariff), Typed(metavar="FILE.yaml")] = None
    """Prices, with the keys that docs/studies/savings.md lists."""
    capital_per_kw: Money | None = None
    """Price per kW of interconnection, transformer and feeder."""
    interest: Money | None = None
    """Annual cost of capital, e.g. 0.08."""
    years: Money | None = None
    """Years by which construction is deferred."""
    invest: Money | None = None
    """One-time cost of oversubscription, e.g. meters and controls."""
    grid: Annotated[
        float | Path | None, from_text(_number_or_path), Typed(metavar="G|FILE.csv")
    ] = None
    """g CO2e/kWh, or columns time_s (from midnight; a file of a day or less stands for every day)
    and g_per_kwh."""
    start_s: Annotated[TimeOfDay | None, Typed(flag="starts")] = None
    """Time of the day at which the run starts, for prices and --grid by time. None: the scenario's
    start, else 0 h."""
    seeds: Seeds = 1
    """Number of seeds, counting up from the file's, or a list of them (1,2,9)."""

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """What the site costs to run, and what is saved by so many racks under one limit."""
        tariff = self.tariff or Tariff()
        target = find_target(scenario, self.under, self.counted, self.limit_w)
        count = target.now if self.count is None else self.count
        _check(scenario, count, target.step, tariff)
        seeds = seeds_of(scenario, self.seeds)
        series = None if self.grid is None else _grid(self.grid)
        start_s, clock = _start(scenario, self.start_s)
        sized = target.resized(target.limited(), count, "scaled")
        root = next(node for node in scenario.facility if not node.above)
        kept = Keep(root.kind, tariff.meter_s)
        outcomes = runner.play([job(sized, seed, (kept,)) for seed in seeds], "savings")
        recorded = [runner.series(outcome).series[root.kind] for outcome in outcomes]
        loads = [series_of_root.load_w[:, 0] for series_of_root in recorded]
        if not len(loads[0]):
            raise StudyError(
                f"the warm-up leaves no meter reading of {SECOND.format(tariff.meter_s)}: play a "
                "longer run, or give a shorter --set 'warm_up=30 s'"
            )
        first_s = recorded[0].start_s
        # The clock at which the first reading begins.
        measured_s = start_s + first_s
        at_s = measured_s + (np.arange(len(loads[0])) + 0.5) * tariff.meter_s
        intensity = None if series is None else _intensity(series, at_s)
        bills = [bill(load, tariff.meter_s, tariff, measured_s, intensity) for load in loads]
        inputs = self._inputs(target, sized, count, tariff, bills, outcomes)
        known = {row["name"]: row["value"] for row in inputs}
        uncertainty = uncertainty_of(outcomes[0].summary)
        bands = {
            "mean_kw": mean_band(known["mean_kw"], uncertainty),
            "peak_kw": peak_band_w(known["peak_kw"], uncertainty),
        }
        lines = with_bands(work_out(known, tariff.currency), known, bands)
        values = {row["name"]: row["value"] for row in lines}
        readings = _readings(loads, tariff, start_s, first_s, intensity)
        return Answer(
            headline=(
                *headline(values, count, target.kind, tariff.currency, len(target.watched)),
                *band_sentences(lines, bands["peak_kw"]),
            ),
            reasons=(
                f"What is saved is against building for the labels of all servers: {count} "
                f"{target.kind}s would take {values['nameplate_kw'] / len(target.watched):,.1f} "
                f"kW at {target.under_name}, with the cooling and losses that it bears; its limit "
                f"is {target.limit_w / 1e3:,.1f} kW.",
                f"The site is metered as means over {SECOND.format(tariff.meter_s)}.",
                *([clock] if len(tariff.energy) > 1 or (series and len(series[0]) > 1) else []),
                *trip_sentences(outcomes),
                *limit_sentences(outcomes),
                *missing_sentences(lines),
            ),
            uncertainty=bill_uncertainty(
                [paid.peak_kw for paid in bills],
                scenario.duration_s,
                [
                    *uncertainty_sentences(uncertainty),
                    "Bands hold the level's error, and for meter readings a day's load too: over a "
                    "year days average out. The spread over seeds is not in them.",
                    *_first_reading(outcomes[0], first_s, tariff),
                    *left_out(outcomes),
                ],
            ),
            inputs={
                "count": count,
                "under": target.under_name,
                "counted": target.counted_name,
                "limit_w": target.limit_w,
                "tariff": tariff.model_dump(),
                "start_s": start_s,
                "seeds": seeds,
            },
            figures=values | band_figures(lines),
            cards=tuple(
                Card(name, f"{words}, {unit_of(lines, name)}")
                for name, words in (
                    ("avoided_kw", "capacity that need not be built"),
                    ("capital_deferred", "capital deferred"),
                    ("payback_years", "until it has paid"),
                    ("bill_a_year", "bill of the site"),
                    ("energy_kwh_a_year", "energy of the site"),
                    ("carbon_t_a_year", "carbon of the site"),
                )
            ),
            tables={
                "lines": Table(
                    pd.DataFrame(lines, columns=list(LINE_COLUMNS)),
                    "what comes of it",
                    LINE_COLUMNS,
                    ("name", "value", "band_low", "band_high", "unit", "formula"),
                    known="value",
                ),
                "inputs": Table(
                    pd.DataFrame(inputs, columns=list(INPUT_COLUMNS)),
                    "what went in",
                    INPUT_COLUMNS,
                    ("name", "value", "unit", "origin"),
                    known="value",
                ),
                "readings": Table(
                    readings,
                    "meter readings of the first seed",
                    {
                        "time_s": "start of the reading, s from the start of the run",
                        "load_w": "mean load of the site, W",
                        "price_per_kwh": "price at that time",
                        "g_per_kwh": "grid intensity at that time",
                    },
                ),
            },
            plots=(Plot("readings", "meter readings", "time_s", ["load_w"], kind="step"),),
            runs=outcomes,
        )

    def _inputs(
        self,
        target: CountTarget,
        sized: Scenario,
        count: int,
        tariff: Tariff,
        bills: Sequence[Bill],
        outcomes: Sequence[RunOutcome],
    ) -> list[dict[str, Any]]:
        """Rows of the table of inputs; money and limits are of all copies of the limit together."""
        copies = len(target.watched)
        labels = labels_below(target, sized, count)
        tokens_per_s = [
            outcome.summary["tokens"]["generated"] / outcome.summary["simulated_s"]
            for outcome in outcomes
        ]
        rows: list[tuple[str, float | None, str, str, str]] = [
            ("count", count * copies, "", "given", f"{target.kind}s, under all limits together"),
            (
                "unit_nameplate_kw",
                target.unit_nameplate_w() / 1e3,
                "kW",
                "scenario",
                f"label of one {target.kind}",
            ),
            *(
                (name, labels[name], unit, "scenario", about)
                for name, (unit, about) in ABOUT_LABELS.items()
            ),
            (
                "limit_kw",
                copies * target.limit_w / 1e3,
                "kW",
                "scenario",
                "capacity of all limits together",
            ),
            ("mean_kw", mean(b.mean_kw for b in bills), "kW", "run", "mean load of the site"),
            ("peak_kw", mean(b.peak_kw for b in bills), "kW", "run", "highest meter reading"),
            (
                "tokens_a_year",
                mean(tokens_per_s) * HOURS_A_YEAR * 3600.0,
                "tokens",
                "run",
                "generated, if the year were as the run",
            ),
            (
                "energy_price",
                mean(b.price_per_kwh for b in bills),
                "money per kWh",
                "tariff",
                "mean price, weighted by when energy is drawn",
            ),
            ("demand_price", tariff.demand, "money per kW and month", "tariff", "of the peak"),
            (
                "contracted_price",
                tariff.contracted,
                "money per kW and month",
                "tariff",
                "of capacity",
            ),
            ("fixed_price", tariff.fixed, "money a month", "tariff", "whatever is drawn"),
            (
                "grid_g_per_kwh",
                mean(b.g_per_kwh for b in bills),
                "g CO2e/kWh",
                "given",
                "mean intensity, weighted by when energy is drawn",
            ),
        ]
        for name, (unit, about) in ABOUT_MONEY.items():
            rows.append((name, getattr(self, name), unit, "given", about))
        return [
            {
                "name": name,
                "value": NAN if value is None else float(value),
                "unit": in_currency(unit, tariff.currency),
                "origin": "missing" if value is None or math.isnan(value) else origin,
                "about": about,
            }
            for name, value, unit, origin, about in rows
        ]


def _grid(grid: float | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return times and g CO2e/kWh; between them lie straight lines, the ends are held."""
    if isinstance(grid, int | float):
        if not grid >= 0:
            raise StudyError("--grid: g CO2e/kWh of 0 or more, such as 400")
        return np.zeros(1), np.array([float(grid)])
    try:
        series = read_series(grid, "g_per_kwh")
    except SeriesError as error:
        raise StudyError(
            f"--grid: {error} (a CSV with columns time_s and g_per_kwh, or a number such as 400)"
        ) from None
    return series.time_s, series.value


def _start(base: Scenario, asked_s: float | None) -> tuple[float, str]:
    """Time of the day at which the run starts, and where it is from, in a sentence."""
    if asked_s is not None:
        start_s, origin = asked_s, "as --starts says"
    elif base.start is not None:
        start_s, origin = float(base.start.time_of_day_s), "the scenario's `start`"
    else:
        start_s, origin = 0.0, "midnight, for want of a `start` in the scenario or of --starts"
    at = Start(int(start_s) % 86_400).hms(0.0)
    return start_s, f"Prices and intensities by time are read from {at} on: {origin}."


def _intensity(series: tuple[np.ndarray, np.ndarray], clock_s: np.ndarray) -> np.ndarray:
    """g CO2e/kWh at times from the first midnight on, shape (readings,)."""
    if series[0][-1] <= DAY_S:
        clock_s = clock_s % DAY_S
    intensity: np.ndarray = np.interp(clock_s, *series)
    return intensity


def _first_reading(outcome: RunOutcome, first_s: float, tariff: Tariff) -> list[str]:
    """That the warm-up is cut off the first reading, in a sentence; empty where it is not."""
    cut_s = float((outcome.summary.get("warm_up") or {}).get("cut_s", 0.0))
    if cut_s <= first_s:
        return []
    return [
        f"The first reading is a mean over {SECOND.format(first_s + tariff.meter_s - cut_s)}, what "
        f"the warm-up leaves of its {SECOND.format(tariff.meter_s)}, and counts as a whole one."
    ]


def _check(base: Scenario, count: int, step: int, tariff: Tariff) -> None:
    problems = []
    if count < 1 or count % step:
        multiple = "" if step == 1 else f", a multiple of {step}"
        problems.append(
            f"--racks: 1 or more{multiple}, such as what `study oversubscription` found"
        )
    if base.duration_s < tariff.meter_s:
        reading = SECOND.format(tariff.meter_s)
        problems.append(
            f"the run lasts {SECOND.format(base.duration_s)}, a meter reading {reading}: give "
            f"--set 'duration={reading}' or more"
        )
    steps = tariff.meter_s / base.power_step_s
    if abs(steps - round(steps)) > 1e-9:
        problems.append("tariff: meter: whole power steps, such as 15 min")
    if problems:
        raise StudyError(*problems)


def unit_of(lines: Sequence[Mapping[str, Any]], name: str) -> str:
    """Return the unit of a line."""
    return next(str(row["unit"]) for row in lines if row["name"] == name)


def _readings(
    loads: Sequence[np.ndarray],
    tariff: Tariff,
    start_s: float,
    measured_from_s: float,
    intensity: np.ndarray | None,
) -> pd.DataFrame:
    first = np.asarray(loads[0], dtype=np.float64)
    time_s = measured_from_s + np.arange(len(first), dtype=np.float64) * tariff.meter_s
    return pd.DataFrame(
        {
            "time_s": time_s,
            "load_w": first,
            "price_per_kwh": tariff.price_at(start_s + time_s + tariff.meter_s / 2),
            "g_per_kwh": np.full(len(first), NAN) if intensity is None else intensity,
        }
    )
