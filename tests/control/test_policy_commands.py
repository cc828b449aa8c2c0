"""Commands as data: what they set, to which value, and what lifts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from dcsim.control.policy import (
    Admit,
    CapGpus,
    CapServers,
    Command,
    LimitBatch,
    LimitFrequency,
    Shave,
    Shed,
    Telemetry,
)
from dcsim.engine import simulate
from tests.engine.sites import site

SERVERS = np.array([2, 5])
FOR = {"node": "row-1", "reason": "a test"}
LIMITS: list[tuple[Command, object, float]] = [
    (Admit(SERVERS, False, **FOR), 0.0, 1.0),
    (LimitFrequency(SERVERS, 0.7, **FOR), 0.7, 1.0),
    (CapGpus(SERVERS, 300.0, **FOR), 300.0, np.inf),
    (CapServers(SERVERS, np.array([4e3, np.inf]), **FOR), [4e3, np.inf], np.inf),
    (LimitBatch(SERVERS, 8, **FOR), 8.0, np.inf),
    (Shed(1, **FOR), 1.0, np.inf),
    (Shave("row-1", 5e3, **FOR), 5e3, np.inf),
]


@pytest.mark.parametrize(("command", "value", "free"), LIMITS, ids=lambda v: type(v).__name__)
def test_a_limit_and_what_lifts_it(command: Command, value: object, free: float) -> None:
    """Values are such that the lowest of several is the tightest."""
    assert np.array_equal(np.asarray(command.value, dtype=float), value)
    assert command.unlimited == free
    assert command.text
    lifted = command.lifted(60.0, "over")
    assert np.all(np.asarray(lifted.value, dtype=float) == free)
    assert (lifted.text, lifted.after_s, lifted.reason) == ("", 60.0, "over")
    assert type(lifted) is type(command)
    assert (lifted.key, lifted.slot, lifted.node) == (command.key, command.slot, command.node)


@dataclass(frozen=True, slots=True)
class Halve(LimitFrequency):
    """A kind of command that dcsim does not know, of a setting that it knows."""

    @property
    def text(self) -> str:
        return "halved"


@dataclass(frozen=True, slots=True)
class Paint(Shed):
    """One of a setting that it does not know."""

    target = "colour"


class Orders:
    """Gives a command at the start."""

    name = "orders"
    period_s = np.inf
    delay_s = 0.0

    def __init__(self, command: Command) -> None:
        self.command = command

    def start(self, site: object) -> list[Command]:
        return [self.command]

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        return []


def test_a_new_kind_of_command_needs_no_change_of_the_actuators() -> None:
    halve = Halve(np.arange(8), 0.5, node="site", reason="a test")
    scenario = site(duration="20 s")
    with simulate(scenario) as plain, simulate(scenario, policies=[Orders(halve)]) as halved:
        assert halved.summary["control"]["policies"][0]["limited_s"] == 20.0
        assert halved.summary["control"]["capped_server_h"] > 0.0
        assert halved.load_w("row").sum().sum() < plain.load_w("row").sum().sum()


def test_a_setting_that_is_not_there_is_refused() -> None:
    with pytest.raises(TypeError, match="no actuator sets 'colour' \\(Paint\\)"):
        simulate(site(duration="10 s"), policies=[Orders(Paint(1, node="site", reason="a test"))])
