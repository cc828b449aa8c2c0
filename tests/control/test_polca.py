"""The dual-threshold policy against two plain hysteresis loops and a brake."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.control.policy import LimitFrequency
from dcsim.control.registry import build
from dcsim.errors import PolicyError
from dcsim.scenario import models
from tests.control.rows import SITE, ask, rows

SPEC = models.DualThresholdSpec(policy="dual-threshold", low_priority=("batch",))


def clocks(shares: list[float], spec: models.DualThresholdSpec = SPEC) -> list[np.ndarray]:
    """What holds for the four servers after each look, 2 s apart, all lines obeyed at once."""
    policy = build(spec)
    policy.start(SITE)
    slots: dict[str, np.ndarray] = {}
    found = []
    for look, share in enumerate(shares):
        for command in ask(policy, rows(100.0 * share, 50.0), 2.0 * look):
            assert isinstance(command, LimitFrequency)
            slot = slots.setdefault(command.slot, np.ones(4))
            slot[command.servers] = command.frequency_ratio
            assert command.after_s == (5.0 if command.slot.endswith("brake") else 40.0)
        found.append(np.min([np.ones(4), *slots.values()], axis=0))
    return found


def test_low_priority_first_then_the_rest_then_the_brake() -> None:
    """As POLCA describes, with its figures; row 2 is left alone throughout."""
    got = clocks([0.79, 0.81, 0.85, 0.90, 1.01])
    assert np.array_equal(got[0], [1, 1, 1, 1])
    assert np.allclose(got[1], [1, 1275 / 1410, 1, 1], atol=1e-3)
    assert np.array_equal(got[2], got[1])
    assert np.allclose(got[3], [1305 / 1410, 1110 / 1410, 1, 1], atol=1e-3)
    assert np.allclose(got[4], [288 / 1410, 288 / 1410, 1, 1], atol=1e-3)


def test_without_low_priority_named_all_give_way_alike() -> None:
    got = clocks([0.81, 0.90], models.DualThresholdSpec(policy="dual-threshold"))
    assert np.allclose(got[0], [0.904, 0.904, 1, 1])
    assert np.allclose(got[1], [0.787, 0.787, 1, 1])


def test_no_brake_where_it_is_none() -> None:
    spec = SPEC.model_copy(update={"brake": None})
    assert clocks([1.5], spec)[0].min() == pytest.approx(0.787)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(0.6, 1.2), max_size=60))
def test_steps_are_two_hysteresis_loops(shares: list[float]) -> None:
    """Without a brake, each threshold by itself: on where the last load outside its band was
    above it."""

    def on(now: int, above: float, below: float) -> bool:
        outside = [s for s in shares[: now + 1] if s > above or s < below]
        return bool(outside) and outside[-1] > above

    for now, got in enumerate(clocks(shares, SPEC.model_copy(update={"brake": None}))):
        second, first = on(now, 0.89, 0.89 - 0.05), on(now, 0.80, 0.80 - 0.05)
        low = 0.787 if second else 0.904 if first else 1.0
        assert got.tolist() == [0.926 if second else 1.0, low, 1.0, 1.0]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([0.6, 0.78, 0.83, 0.87, 0.95, 1.1]), max_size=90))
def test_the_brake_holds_until_the_clocks_do_and_does_not_lift_them(shares: list[float]) -> None:
    """Once on it stays for the 40 s that clocks take; released, all is at the second step at
    least until loads without it have been seen."""
    braked_since = released = None
    for now, got in enumerate(clocks(shares)):
        on = bool(got[0] == 0.204)
        assert on == bool(got[1] == 0.204)
        if on and braked_since is None:
            assert shares[now] > 1.0
            braked_since = now
        elif not on and braked_since is not None:
            assert 2.0 * (now - braked_since) >= 40.0
            assert shares[now] < 0.89 - 0.05
            braked_since, released = None, now
        if not on and released is not None and 2.0 * (now - released) < 5.0 + 2.0:
            assert got[:2].tolist() == [0.926, 0.787]
        if not on:
            assert shares[now] <= 1.0


def test_an_unknown_group_is_refused_with_the_nearest_name() -> None:
    spec = models.DualThresholdSpec(policy="dual-threshold", low_priority=("batches",))
    with pytest.raises(PolicyError, match="batch") as refused:
        build(spec).start(SITE)
    assert refused.value.key == "low_priority"
