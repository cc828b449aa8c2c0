"""What the savings study says beside its lines, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dcsim.studies.outcome import Outcome


def headline(
    values: Mapping[str, float], count: int, kind: str, currency: str, copies: int
) -> tuple[str, ...]:
    """What is saved, and what the site costs a year."""

    def known(*parts: tuple[str, str]) -> list[str]:
        """What is known of these lines, in words; three digits of a forecast are plenty."""
        return [
            words.format(f"{float(f'{values[name]:.3g}'):,.{0 if values[name] >= 100 else 1}f}")
            for name, words in parts
            if not math.isnan(values[name])
        ]

    each = "" if copies == 1 else f" under each of {copies} limits"
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
    return (f"{count} {kind}s{each}: {', '.join(built)}.", f"{'; '.join(costs)}.")


def told_missing(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Inputs for want of which lines are unknown."""
    missing = sorted(
        {name for row in lines if row["missing"] for name in row["missing"].split(", ")}
    )
    return [f"Unknown for want of an input: {', '.join(missing)}."] if missing else []


def told_trips(outcomes: Sequence[Outcome]) -> list[str]:
    """Whether breakers tripped."""
    trips = sum(outcome.summary["events"]["trip"] for outcome in outcomes)
    if not trips:
        return []
    breakers = "1 breaker" if trips == 1 else f"{trips:,} breakers"
    return [f"{breakers} tripped in these runs: so many do not fit, and the bill is too low."]
