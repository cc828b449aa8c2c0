"""The lines of a savings study: formulas as text, and the arithmetic that works them out."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

from dcsim.studies.figures import NAN

LINES = (
    (
        "nameplate_kw",
        "kW",
        "(count * unit_nameplate_kw + other_nameplate_kw) * limit_overhead",
        "what would be built for so many by their labels, with the cooling and losses that the "
        "limit bears",
    ),
    ("avoided_kw", "kW", "nameplate_kw - limit_kw", "capacity that need not be built"),
    (
        "avoided_per_unit_kw",
        "kW",
        "avoided_kw / count",
        "the same for each rack, or what is counted",
    ),
    ("capital_deferred", "money", "avoided_kw * capital_per_kw", "at the price of a kW built"),
    ("capital_deferred_per_unit", "money", "capital_deferred / count", "for each rack"),
    (
        "deferral_gain",
        "money",
        "capital_deferred * (1 - (1 + interest) ** -years)",
        "present value of building it `years` later",
    ),
    (
        "deferral_gain_a_year",
        "money a year",
        "capital_deferred * interest",
        "interest not paid while it is not built",
    ),
    (
        "contracted_saved_a_year",
        "money a year",
        "avoided_kw * contracted_price * 12",
        "capacity that is not contracted",
    ),
    ("energy_kwh_a_year", "kWh a year", "mean_kw * 8766", "of the site, at the run's mean load"),
    ("energy_a_year", "money a year", "energy_kwh_a_year * energy_price", "charge for energy"),
    (
        "demand_a_year",
        "money a year",
        "peak_kw * demand_price * 12",
        "charge for the highest meter reading, as if each month had the run's",
    ),
    ("fixed_a_year", "money a year", "fixed_price * 12", "what is due whatever is drawn"),
    ("bill_a_year", "money a year", "energy_a_year + demand_a_year + fixed_a_year", "all three"),
    (
        "site_nameplate_kw",
        "kW",
        "(count * unit_nameplate_kw + other_nameplate_kw + elsewhere_nameplate_kw) * site_overhead",
        "load of the site with every server at its label, with cooling and losses",
    ),
    (
        "demand_by_nameplate_a_year",
        "money a year",
        "site_nameplate_kw * demand_price * 12",
        "what the demand charge would be at the labels, with cooling and losses as the peak",
    ),
    (
        "carbon_t_a_year",
        "t CO2e a year",
        "energy_kwh_a_year * grid_g_per_kwh / 1000000",
        "of the energy drawn",
    ),
    (
        "bill_per_million_tokens",
        "money",
        "bill_a_year / tokens_a_year * 1000000",
        "for a million generated tokens",
    ),
    (
        "carbon_kg_per_million_tokens",
        "kg CO2e",
        "carbon_t_a_year * 1000 / tokens_a_year * 1000000",
        "for a million generated tokens",
    ),
    (
        "benefit_a_year",
        "money a year",
        "deferral_gain_a_year + contracted_saved_a_year",
        "of not building and not contracting",
    ),
    (
        "payback_years",
        "years",
        "invest / benefit_a_year",
        "until what oversubscribing takes (controls, meters, people) has paid",
    ),
)
"""Name, unit, formula, meaning. Formulas know inputs and lines above them."""


def in_currency(unit: str, currency: str) -> str:
    """A unit of LINES or of the inputs, with the tariff's currency for "money"."""
    return unit.replace("money", currency)


def with_bands(
    rows: list[dict[str, Any]],
    inputs: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
) -> list[dict[str, Any]]:
    """Lines of `work_out` with `band_low` and `band_high`: worked out anew with the inputs in
    `bands` at their low ends, and at their high ones. NaN for lines that rest on none of them.

    Parameters
    ----------
    rows
        Lines at the inputs' values.
    inputs
        All inputs by name.
    bands
        Low and high ends of uncertain inputs by name, in their own units.
    """
    low, high = (
        work_out({**inputs, **{name: ends[at] for name, ends in bands.items()}}) for at in (0, 1)
    )
    banded = []
    for row, below, above in zip(rows, low, high, strict=True):
        ends = sorted((below["value"], above["value"]))
        same = ends[0] == ends[1]
        banded.append(
            row | {"band_low": NAN if same else ends[0], "band_high": NAN if same else ends[1]}
        )
    return banded


def work_out(values: Mapping[str, float | None], currency: str = "money") -> list[dict[str, Any]]:
    """All lines from inputs by name; those that lack an input are NaN and say which."""
    known: dict[str, float] = {
        name: NAN if value is None else float(value) for name, value in values.items()
    }
    lacks: dict[str, tuple[str, ...]] = {
        name: (name,) for name, value in known.items() if math.isnan(value)
    }
    rows = []
    for name, unit, formula, about in LINES:
        code = ast.parse(formula, mode="eval")
        names = [node.id for node in ast.walk(code) if isinstance(node, ast.Name)]
        missing = tuple(dict.fromkeys(part for used in names for part in lacks.get(used, ())))
        value = NAN
        if not missing:
            try:
                value = float(_evaluate(code.body, known))
            except ZeroDivisionError:
                missing = (f"nothing to divide by in {formula}",)
        if missing:
            lacks[name] = missing
        known[name] = value
        rows.append(
            {
                "name": name,
                "value": value,
                "unit": in_currency(unit, currency),
                "formula": formula,
                "about": about,
                "missing": ", ".join(missing) or None,
            }
        )
    return rows


def _evaluate(node: ast.expr, known: Mapping[str, float]) -> float:
    """The arithmetic of LINES, and no more."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return known[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, known)
        case ast.BinOp(left=left, op=operator, right=right):
            first, second = _evaluate(left, known), _evaluate(right, known)
            match operator:
                case ast.Add():
                    return first + second
                case ast.Sub():
                    return first - second
                case ast.Mult():
                    return first * second
                case ast.Div():
                    return first / second
                case ast.Pow():
                    return float(first**second)
    raise ValueError(f"no arithmetic of a line: {ast.dump(node)}")
