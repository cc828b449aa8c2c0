"""What the savings study says beside its lines, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dcsim.spec.units import SECOND
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.statistics import mean_interval


def headline(
    values: Mapping[str, float], count: int, kind: str, currency: str, copies: int
) -> tuple[str, ...]:
    """Say what is saved, and what the site costs a year."""

    def known(*parts: tuple[str, str]) -> list[str]:
        """What is known of these lines, in words."""
        return [
            words.format(_rounded(values[name]))
            for name, words in parts
            if not math.isnan(values[name])
        ]

    limits = "" if copies == 1 else f" under each of {copies} limits"
    if values["avoided_kw"] > 0:
        built = known(
            ("avoided_kw", "{} kW need not be built"),
            ("avoided_per_unit_kw", "{} kW for each " + kind),
            ("capital_deferred", "capital deferred {} " + currency),
            ("payback_years", "payback {} years"),
        )
    else:
        built = ["by their labels they take no more than the limit, so that nothing is saved"]
    costs = known(
        ("energy_kwh_a_year", "The site draws about {} kWh a year, cooling and losses included"),
        ("bill_a_year", "its bill is {} " + currency),
        ("carbon_t_a_year", "its carbon {} t CO2e"),
    )
    return (f"{count} {kind}s{limits}: {', '.join(built)}.", f"{'; '.join(costs)}.")


def _rounded(value: float) -> str:
    """Three digits of a forecast are plenty."""
    return f"{float(f'{value:.3g}'):,.{0 if value >= 100 else 1}f}"


def band_sentences(
    lines: Sequence[Mapping[str, Any]], peak_kw: tuple[float, float]
) -> tuple[str, ...]:
    """Between what the site's energy, peak, bill and carbon lie by the errors that seeds do not
    show, in a sentence; none where no energy is known.

    Parameters
    ----------
    lines
        Rows with `band_low` and `band_high`, as `lines.with_bands` makes them.
    peak_kw
        Below and above what the highest meter reading is with 95 % each, kW.
    """
    by_name = {row["name"]: row for row in lines}
    bands = [
        f"{words} {_rounded(row['band_low'])} to {_rounded(row['band_high'])} {row['unit']}"
        for name, words in (
            ("energy_kwh_a_year", "energy"),
            ("bill_a_year", "bill"),
            ("carbon_t_a_year", "carbon"),
        )
        if not math.isnan((row := by_name[name])["band_low"])
    ]
    if not bands:
        return ()
    bands.insert(1, f"highest reading {_rounded(peak_kw[0])} to {_rounded(peak_kw[1])} kW")
    return (
        f"By the error of the watts' level and how days differ, 5 % beyond each end: "
        f"{', '.join(bands)}.",
    )


def band_figures(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Ends of the lines' bands as figures, `NAME_band_low` and `NAME_band_high`, of the lines that
    rest on simulated watts."""
    return {
        f"{row['name']}_{end}": row[end]
        for row in lines
        for end in ("band_low", "band_high")
        if not math.isnan(row[end])
    }


def missing_sentences(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say for want of which inputs lines are unknown."""
    missing = sorted(
        {name for row in lines if row["missing"] for name in row["missing"].split(", ")}
    )
    return [f"Unknown for want of an input: {', '.join(missing)}."] if missing else []


def trip_sentences(outcomes: Sequence[RunOutcome]) -> list[str]:
    """Say whether breakers tripped."""
    trips = sum(outcome.summary["events"]["trip"] for outcome in outcomes)
    if not trips:
        return []
    breakers = "1 breaker" if trips == 1 else f"{trips:,} breakers"
    return [f"{breakers} tripped in these runs: so many do not fit, and the bill is too low."]


def bill_uncertainty(
    peaks_kw: Sequence[float], duration_s: float, evidence: Sequence[str]
) -> tuple[str, ...]:
    """How sure the bill is, and what is not in it. `peaks_kw`: the highest meter reading of each
    seed, kW."""
    low, high = mean_interval(peaks_kw)
    return (
        f"A year is taken to be {SECOND.format(duration_s)} of the scenario over and over: "
        "seasons, weekends and growth are not in it.",
        "A month's highest reading is above that of one day: the demand charge is a lower bound.",
        (
            f"Highest reading over {len(peaks_kw)} seeds: 95 % interval of its mean {low:,.1f} to "
            f"{high:,.1f} kW (Student)."
            if len(peaks_kw) > 1
            else "One seed: the spread of the peak is unknown; give --seeds 5."
        ),
        "Nobody builds to labels everywhere: against a plan by measured peaks less is saved.",
        "That the limit holds so many is not shown here: ask `dcsim study oversubscription`.",
        *evidence,
    )
