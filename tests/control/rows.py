"""A site of two rows of two servers, to try policies on without a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.control.policy import Command, Policy, Site, Telemetry

SITE = Site(
    names=["site", "row-1", "row-2", "s-1", "s-2", "s-3", "s-4"],
    kinds=["site", "row", "row", "server", "server", "server", "server"],
    rating_w=np.array([np.nan, 100.0, 100.0, *[np.nan] * 4]),
    servers_under={
        "site": np.arange(4),
        "row-1": np.array([0, 1]),
        "row-2": np.array([2, 3]),
    }
    | {f"s-{i + 1}": np.array([i]) for i in range(4)},
    server_nodes=np.arange(3, 7),
    server_groups=("chat", "batch", "chat", "batch"),
    server_rest_w=np.full(4, 10.0),
    gpu_rest_w=np.full(4, 4.0),
    battery_w={"row-1": 30.0, "s-3": 20.0, "s-4": 10.0},
)


def loads(*server_w: float) -> np.ndarray:
    """Node loads from those of the four servers."""
    first, second = sum(server_w[:2]), sum(server_w[2:])
    return np.array([first + second, first, second, *server_w])


def rows(first_w: float, second_w: float) -> np.ndarray:
    """Node loads from those of the two rows, each spread evenly over its servers."""
    return loads(first_w / 2, first_w / 2, second_w / 2, second_w / 2)


def ask(policy: Policy, node_w: np.ndarray, now_s: float = 0.0) -> Sequence[Command]:
    """What a policy answers to loads just measured."""
    return policy.decide(now_s, Telemetry(now_s, node_w))
