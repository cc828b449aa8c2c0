"""Numbers in words."""

from __future__ import annotations

import pytest

from dcsim.records import EVENT_KINDS
from dcsim.report.flags import KIND_STYLES, counted
from dcsim.results.shares import number_text


@pytest.mark.parametrize(
    ("value", "told"),
    [(11560.4, "11,560"), (3145.6, "3,146"), (115.604, "115.6"), (2.0, "2"), (0.012344, "0.01234"),
     (0.0, "0"), (1234567.0, "1,235,000"), (999.96, "1,000")],
)  # fmt: skip
def test_numbers_are_in_full_with_thousands_parted(value: float, told: str) -> None:
    assert number_text(value) == told


def test_flags_have_a_plural() -> None:
    assert counted("continuous", 6) == "6 loads over their continuous allowances"
    assert counted("redundancy-lost", 6) == "6 losses of redundancy"
    assert counted("demand", 1) == "1 crossing of a demand limit"
    assert (counted("trip", 1), counted("trip", 2000)) == ("1 trip", "2,000 trips")
    assert counted("cleared", 2) == "2 cleared"


def test_every_kind_of_flag_has_a_style() -> None:
    assert set(KIND_STYLES) == set(EVENT_KINDS)
