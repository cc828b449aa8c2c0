"""Numbers in words."""

from __future__ import annotations

import pytest

from dcsim.report.terminal import _plural
from dcsim.results.shares import number_text


@pytest.mark.parametrize(
    ("value", "told"),
    [(11560.4, "11,560"), (3145.6, "3,146"), (115.604, "115.6"), (2.0, "2"), (0.012344, "0.01234"),
     (0.0, "0"), (1234567.0, "1,235,000"), (999.96, "1,000")],
)  # fmt: skip
def test_numbers_are_in_full_with_thousands_parted(value: float, told: str) -> None:
    assert number_text(value) == told


def test_flags_have_a_plural() -> None:
    assert _plural("continuous", 6) == "loads over their continuous allowances"
    assert _plural("redundancy-lost", 6) == "losses of redundancy"
    assert _plural("demand", 1) == "crossing of a demand limit"
    assert (_plural("trip", 1), _plural("trip", 2)) == ("trip", "trips")
    assert _plural("cleared", 2) == "cleared"
