"""Admission throttle, batch limit and priority shed, apart from any run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.control.policy import Admit, Command, LimitBatch, Shed
from dcsim.control.registry import build
from dcsim.control.watched import Hysteresis
from dcsim.errors import PolicyError
from dcsim.scenario import models
from tests.control.rows import SITE, ask, loads, rows


def throttle(nodes: str = "row") -> models.AdmissionThrottleSpec:
    return models.AdmissionThrottleSpec(
        policy="admission-throttle", above=0.95, below=0.8, nodes=nodes, actuation_delay="3 s"
    )


def told(commands: Sequence[Command]) -> list[tuple[str, bool]]:
    found = []
    for command in commands:
        assert isinstance(command, Admit)
        assert command.after_s == 3.0
        found.append((command.node, command.allowed))
    return found


def test_closes_above_and_reopens_below_each_row_for_itself() -> None:
    policy = build(throttle())
    policy.start(SITE)
    assert told(ask(policy, rows(94, 50))) == []
    assert told(ask(policy, rows(96, 50))) == [("row-1", False)]
    assert told(ask(policy, rows(99, 50))) == []  # already closed
    assert told(ask(policy, rows(85, 97))) == [("row-2", False)]  # in between nothing moves
    assert told(ask(policy, rows(79, 97))) == [("row-1", True)]
    assert told(ask(policy, rows(79, 79))) == [("row-2", True)]


def test_one_node_may_be_watched_by_name() -> None:
    policy = build(throttle("row-2"))
    policy.start(SITE)
    (command,) = ask(policy, rows(120, 120))
    assert isinstance(command, Admit)
    assert command.node == "row-2"
    assert command.servers.tolist() == [2, 3]


def test_what_it_cannot_watch_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(PolicyError, match="row-2") as refused:
        build(throttle("row-22")).start(SITE)
    assert refused.value.key == "nodes"
    with pytest.raises(PolicyError, match="no server has a rating"):
        build(throttle("server")).start(SITE)


def test_a_batch_limit_is_lifted_where_it_was_set() -> None:
    spec = models.BatchLimitSpec(policy="batch-limit", max_batch=4)
    policy = build(spec)
    policy.start(SITE)
    (command,) = ask(policy, rows(50, 99))
    assert isinstance(command, LimitBatch)
    assert (command.max_batch, command.servers.tolist()) == (4, [2, 3])
    (command,) = ask(policy, rows(50, 91))
    assert isinstance(command, LimitBatch)
    assert (command.max_batch, command.servers.tolist()) == (None, [2, 3])


def test_shedding_says_whom_it_keeps_and_for_which_row() -> None:
    policy = build(models.PriorityShedSpec(policy="priority-shed", keep=1))
    policy.start(SITE)
    (command,) = ask(policy, loads(50, 49, 10, 10))
    assert isinstance(command, Shed)
    assert (command.keep, command.node, command.reason) == (1, "row-1", "load at 99.0 % of rating")
    assert "priority above 1" in command.text
    (command,) = ask(policy, loads(40, 40, 10, 10))
    assert isinstance(command, Shed)
    assert command.keep is None
    assert not command.text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 2.0), max_size=40), st.floats(0.1, 0.9), st.floats(0.01, 0.5))
def test_hysteresis_is_the_last_threshold_that_was_crossed(
    shares: list[float], below: float, gap: float
) -> None:
    """On exactly where the last load outside the band was above it."""
    watch = Hysteresis(1, below + gap, below)
    for now in range(len(shares)):
        watch.moved(np.array([shares[now]]))
        outside = [s for s in shares[: now + 1] if s > below + gap or s < below]
        assert watch.on[0] == bool(outside and outside[-1] > below + gap)
