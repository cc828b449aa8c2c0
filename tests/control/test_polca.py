"""The dual-threshold policy against two plain hysteresis loops and a brake."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.control.policy import LimitClock
from dcsim.control.registry import build
from dcsim.control.watched import PolicyError
from dcsim.scenario import models
from tests.control.rows import SITE, ask, rows

SPEC = models.DualThreshold(policy="dual-threshold", low_priority=("batch",))


def clocks(shares: list[float], spec: models.DualThreshold = SPEC) -> list[np.ndarray]:
    """What holds for the four servers after each look, 2 s apart, all lines obeyed at once."""
    policy = build(spec)
    policy.start(SITE)
    slots: dict[str, np.ndarray] = {}
    found = []
    for look, share in enumerate(shares):
        for command in ask(policy, rows(100.0 * share, 50.0), 2.0 * look):
            assert isinstance(command, LimitClock)
            slot = slots.setdefault(command.slot, np.ones(4))
            slot[command.servers] = command.clock
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
    got = clocks([0.81, 0.90], models.DualThreshold(policy="dual-threshold"))
    assert np.allclose(got[0], [0.904, 0.904, 1, 1])
    assert np.allclose(got[1], [0.787, 0.787, 1, 1])


def test_no_brake_where_it_is_none() -> None:
    spec = SPEC.model_copy(update={"brake": None})
    assert clocks([1.5], spec)[0].min() == pytest.approx(0.787)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(0.6, 1.2), max_size=60))
def test_steps_are_two_hysteresis_loops_and_the_brake_a_third(shares: list[float]) -> None:
    """Each threshold by itself: on where the last load outside its band was above it. The brake
    stays until the clocks told with it are in force."""

    def on(now: int, above: float, below: float) -> bool:
        outside = [s for s in shares[: now + 1] if s > above or s < below]
        return bool(outside) and outside[-1] > above

    braked_since = None
    for now, got in enumerate(clocks(shares)):
        if braked_since is None and shares[now] > 1.0:
            braked_since = now
        elif braked_since is not None and shares[now] < 0.84 and 2.0 * (now - braked_since) >= 40.0:
            braked_since = None
        second, first = on(now, 0.89, 0.89 - 0.05), on(now, 0.80, 0.80 - 0.05)
        low = 0.787 if second else 0.904 if first else 1.0
        high = 0.926 if second else 1.0
        brake = 1.0 if braked_since is None else 0.204
        assert got.tolist() == [min(high, brake), min(low, brake), 1.0, 1.0]


def test_an_unknown_group_is_refused_with_the_nearest_name() -> None:
    spec = models.DualThreshold(policy="dual-threshold", low_priority=("batches",))
    with pytest.raises(PolicyError, match="batch") as refused:
        build(spec).start(SITE)
    assert refused.value.key == "low_priority"
