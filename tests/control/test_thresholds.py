"""The admission throttle, apart from any run."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.control.policy import Site, Telemetry
from dcsim.control.thresholds import AdmissionThrottle
from dcsim.scenario.models import AdmissionThrottle as Spec

SITE = Site(
    names=["site", "row-1", "row-2"],
    kinds=["site", "row", "row"],
    rating_w=np.array([np.nan, 100.0, 100.0]),
    servers_under={"row-1": np.array([0, 1]), "row-2": np.array([2, 3])},
)


def decide(policy: AdmissionThrottle, first_w: float, second_w: float) -> list[tuple[str, bool]]:
    loads = np.array([first_w + second_w, first_w, second_w])
    return [(c.node, c.allowed) for c in policy.decide(0.0, Telemetry(0.0, loads))]


def test_closes_above_and_reopens_below_each_row_for_itself() -> None:
    policy = AdmissionThrottle(Spec(policy="admission-throttle", above=0.95, below=0.8))
    policy.start(SITE)
    assert decide(policy, 94, 50) == []
    assert decide(policy, 96, 50) == [("row-1", False)]
    assert decide(policy, 99, 50) == []  # already closed
    assert decide(policy, 85, 97) == [("row-2", False)]  # between the thresholds nothing moves
    assert decide(policy, 79, 97) == [("row-1", True)]
    assert decide(policy, 79, 79) == [("row-2", True)]


def test_a_site_without_ratings_is_refused() -> None:
    policy = AdmissionThrottle(Spec(policy="admission-throttle", nodes="rack"))
    with pytest.raises(ValueError, match="no node is called"):
        policy.start(SITE)


def test_thresholds_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="less than"):
        Spec(policy="admission-throttle", above=0.8, below=0.9)
