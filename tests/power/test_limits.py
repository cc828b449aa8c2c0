"""Caps and clock limits: bounds, and the published points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.power.limits import capped, under_cap, under_clock

watts = st.floats(121.0, 900.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 2000.0), min_size=1), st.floats(1.0, 1500.0))
def test_never_above_the_cap_and_untouched_below(drawn: list[float], cap_w: float) -> None:
    gpu_w = np.array(drawn)
    found = capped(gpu_w, cap_w)
    assert (found <= cap_w).all()
    assert np.array_equal(found[gpu_w <= cap_w], gpu_w[gpu_w <= cap_w])


@settings(max_examples=100, deadline=None)
@given(watts, watts, watts, watts)
def test_a_lower_cap_is_never_quicker(
    prefill: float, decode: float, one: float, two: float
) -> None:
    low, high = sorted((one, two))
    slow, quick = (under_cap(prefill, decode, 120.0, cap) for cap in (low, high))
    assert slow.prefill >= quick.prefill >= 1.0
    assert slow.decode >= quick.decode >= 1.0
    assert under_cap(prefill, decode, 120.0, 900.0).prefill == 1.0


def test_the_published_point() -> None:
    """Splitwise: an H100 held at 350 of 700 W takes 1.3 times as long for prompts, and as long as
    ever for tokens, whose watts are under the cap."""
    found = under_cap(700.0, 340.0, 120.0, 350.0)
    assert found.prefill == pytest.approx(1.3)
    assert found.decode == 1.0


def test_clocks() -> None:
    assert under_clock(1.0) == under_cap(300.0, 300.0, 70.0, 400.0)
    half = under_clock(0.5)
    assert half.prefill == 2.0
    assert half.decode == pytest.approx(1.1)
    for bad in (0.0, 1.1, -1.0):
        with pytest.raises(ValueError, match="share of the full clock"):
            under_clock(bad)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="not above the 120 W"):
        under_cap(700.0, 400.0, 120.0, 120.0)
    for bad in (0.0, -5.0, float("nan")):
        with pytest.raises(ValueError, match="above 0 W"):
            capped(np.array([100.0]), bad)
