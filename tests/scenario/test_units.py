"""Quantities: what is read, what is refused, and writing them back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from dcsim.spec.units import _USUAL, RATE, SECOND, WATT, Unit, _registry, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("600 kW", "watt", 600e3),
        ("0.6 MW", "watt", 600e3),
        ("250 ms", "second", 0.25),
        ("1 h", "second", 3600),
        ("90 min", "second", 5400),
        ("2 req/s", "req/s", 2),
        ("7200 requests/hour", "req/s", 2),
        ("80 GB", "byte", 80e9),
        ("0.5/s", "req/s", 0.5),
        ("0.5 / s", "req/s", 0.5),
        ("6.34e3 W", "watt", 6340),
        ("600kW", "watt", 600e3),
    ],
)
def test_reads(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit, "") == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (600, "watt"),
        (True, "watt"),
        (None, "watt"),
        ("600", "watt"),
        ("600 kg", "watt"),
        ("600 kw h", "watt"),
        ("600 kVA", "watt"),
        ("nan kW", "watt"),
        ("inf kW", "watt"),
        ("", "watt"),
        ("kW kW", "watt"),
        ("[1] kW", "watt"),
        ("2 * 3 kW", "watt"),
        ("9**9**9 kW", "watt"),
        ("1 kW**99", "watt"),
        ("1e999 kW", "watt"),
        ("3 W", "second"),
    ],
)
def test_refuses(value: object, unit: str) -> None:
    with pytest.raises(PydanticCustomError):
        parse_quantity(value, unit, "600 kW")


@given(
    value=st.floats(min_value=0, max_value=1e12, allow_nan=False),
    unit=st.sampled_from([WATT, SECOND, RATE]),
)
def test_written_quantities_read_back_exactly(value: float, unit: Unit) -> None:
    assert parse_quantity(unit.format(value), unit.name, unit.example) == value


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (WATT, 600e3, "600 kW"),
        (WATT, 1.482e6, "1.482 MW"),
        (WATT, 100 / 3, "33.333333333333336 W"),
        (SECOND, 0.25, "0.25 s"),
        (SECOND, 86400.0, "24 h"),
        (RATE, 0.5, "0.5 req/s"),
    ],
)
def test_writes_the_unit_that_reads_best(unit: Unit, value: float, text: str) -> None:
    assert unit.format(value) == text


@settings(max_examples=300, deadline=None)
@given(
    number=st.floats(min_value=0, max_value=1e9, allow_nan=False),
    unit=st.sampled_from([(unit, symbol) for unit in _USUAL for symbol in _USUAL[unit]]),
)
def test_usual_units_are_exactly_what_pint_makes_of_them(
    number: float, unit: tuple[str, str]
) -> None:
    name, symbol = unit
    text = "1" + symbol if symbol.startswith("/") else symbol
    assert number * _USUAL[name][symbol] == _registry().Quantity(number, text).to(name).magnitude
