"""Caps that always hold."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.control.policy import CapGpus, CapServers, Command, LimitFrequency
from dcsim.control.registry import build, labels
from dcsim.errors import PolicyError
from dcsim.scenario import models
from tests.control.rows import SITE


def commands(**keys: object) -> list[Command]:
    spec = models.StaticCapSpec.model_validate({"policy": "static-cap"} | keys)
    return list(build(spec).start(SITE) or [])


def test_each_kind_of_cap_is_asked_for_once_at_the_start() -> None:
    told = commands(gpu_power="300 W", server_power="2 kW", clock=0.8)
    gpus, servers, clock = told
    assert isinstance(gpus, CapGpus)
    assert isinstance(servers, CapServers)
    assert isinstance(clock, LimitFrequency)
    assert gpus.cap_w == 300.0
    assert servers.cap_w.tolist() == [2000.0] * 4
    assert clock.frequency_ratio == 0.8
    assert all(c.after_s == 0.0 for c in told)


@pytest.mark.parametrize(
    ("keys", "servers"),
    [
        ({}, [0, 1, 2, 3]),
        ({"nodes": "row"}, [0, 1, 2, 3]),
        ({"nodes": "row-2"}, [2, 3]),
        ({"groups": ["batch"]}, [1, 3]),
        ({"nodes": "row-2", "groups": ["batch"]}, [3]),
    ],
)
def test_whom_it_holds(keys: dict[str, object], servers: list[int]) -> None:
    (command,) = commands(clock=0.5, **keys)
    assert isinstance(command, LimitFrequency)
    assert command.servers.tolist() == servers


def test_between_two_times() -> None:
    begin, end = commands(clock=0.5, start="10 s", end="1 min")
    assert isinstance(begin, LimitFrequency)
    assert isinstance(end, LimitFrequency)
    assert (begin.after_s, begin.frequency_ratio) == (10.0, 0.5)
    assert (end.after_s, end.frequency_ratio) == (60.0, 1.0)
    (lifted,) = commands(server_power="2 kW", end="1 min")[1:]
    assert isinstance(lifted, CapServers)
    assert np.isinf(lifted.cap_w).all()


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ({"gpu_power": "3 W"}, "gpu_power", "at rest"),
        ({"server_power": "10 W"}, "server_power", "at rest"),
        ({"clock": 0.5, "nodes": "roww"}, "nodes", "row"),
        ({"clock": 0.5, "groups": ["btach"]}, "groups", "batch"),
    ],
)
def test_what_cannot_be_is_refused(keys: dict[str, object], key: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words) as refused:
        commands(**keys)
    assert refused.value.key == key


def test_policies_of_one_kind_are_told_apart() -> None:
    assert labels(["static-cap", "priority-shed", "static-cap"]) == [
        "static-cap-1",
        "priority-shed",
        "static-cap-2",
    ]
