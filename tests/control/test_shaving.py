"""Batteries told what to shave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcsim.control.policy import Shave
from dcsim.control.registry import build
from dcsim.errors import PolicyError
from dcsim.scenario import models
from tests.control.rows import SITE, ask, loads


def shave(nodes: str, **keys: object) -> models.BatteryShaveSpec:
    told = {"policy": "battery-shave", "nodes": nodes} | keys
    return models.BatteryShaveSpec.model_validate(told)


def test_a_row_with_its_own_battery_is_held_at_the_threshold() -> None:
    policy = build(shave("row-1"))
    policy.start(SITE)
    assert not ask(policy, loads(45, 45, 0, 0), 0.0)
    (command,) = ask(policy, loads(60, 60, 0, 0), 1.0)
    assert isinstance(command, Shave)
    assert (command.battery, command.above_w) == ("row-1", pytest.approx(95.0))


def test_batteries_below_share_the_excess_by_their_power() -> None:
    """9 W too much: 20 and 10 W of battery give 6 and 3."""
    policy = build(shave("row-2"))
    policy.start(SITE)
    commands = ask(policy, loads(0, 0, 54, 50), 0.0)
    found = {c.battery: c.above_w for c in commands if isinstance(c, Shave)}
    assert found == pytest.approx({"s-3": 48.0, "s-4": 47.0})


def test_shaving_follows_the_load_and_ends_below() -> None:
    """A loop with two ideal batteries: the row stands at its threshold whatever is drawn, until
    what is drawn falls."""
    policy = build(shave("row-2"))
    policy.start(SITE)
    limit_w = {"s-3": np.inf, "s-4": np.inf}
    power_w = {"s-3": 20.0, "s-4": 10.0}
    row_w = []
    for now, wanted in enumerate([(45, 45), (60, 60), (58, 60), (62, 60), (50, 49), (40, 40)] * 2):
        for at in range(3):
            drawn = [
                want - np.clip(want - limit_w[name], 0.0, power_w[name])
                for want, name in zip(wanted, limit_w, strict=True)
            ]
            row_w.append(sum(drawn))
            for command in ask(policy, loads(0, 0, *drawn), 10.0 * now + at):
                assert isinstance(command, Shave)
                limit_w[command.battery] = np.inf if command.above_w is None else command.above_w
    settled = [float(watts) for watts in row_w[2::3]]
    assert settled[:6] == pytest.approx([90.0, 95.0, 95.0, 95.0, 95.0, 80.0], abs=0.5)
    assert settled[6:] == pytest.approx(settled[:6], abs=0.5)


def test_a_watched_node_without_a_battery_is_refused() -> None:
    bare = replace(SITE, battery_w={"row-1": 30.0})
    with pytest.raises(PolicyError, match="no battery at or below row-2"):
        build(shave("row")).start(bare)
