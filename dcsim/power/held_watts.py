"""Watts of GPUs that limits held down, over a power step or a part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.ledger import HeldWork
from dcsim.power.frequency import FREQUENCY_EXPONENT, power_ratio

LEAST_MODEL_RATIO, MOST_MODEL_RATIO = 0.2, 1.5
"""Watts that a model draws at random, over what was expected, as far as they are made up for in
time."""


@dataclass(frozen=True, slots=True)
class LimitsInForce:
    """What is in force on each replica, shape (n,), and on each server, shape (servers,)."""

    frequency_ratio: FloatArray
    gpu_cap_w: FloatArray
    server_cap_w: FloatArray


@dataclass(frozen=True, slots=True)
class StepPart:
    """A power step, or the part of it in which the same limits were in force."""

    share: float
    """Of the step."""
    held: HeldWork
    limits: LimitsInForce


def held_watts(
    part: StepPart,
    full_w: FloatArray,
    model_ratio: FloatArray,
    known: BoolArray,
    rest_w: FloatArray,
    random: BoolArray,
) -> tuple[FloatArray, FloatArray]:
    """Watts of replicas that were held down, and by what share of the part they should be put
    off, both shape (n,).

    Iterations that a cap held down draw what it left them, or less where the model draws so
    much less than was expected of them; the others what the model says, at their clock.

    Parameters
    ----------
    full_w
        What the model says of each replica at full clock.
    model_ratio
        The model's watts above rest over those expected, where that is `known`.
    rest_w
        Of each replica at rest.
    random
        Replicas whose models draw watts at random: only those are put off.
    """
    held = part.held
    by_ratio = power_ratio(part.limits.frequency_ratio)
    bound_full_w = np.maximum(held.full_w - held.free_w / by_ratio, 0.0)
    bound_ratio = np.maximum(model_ratio, 0.0)
    bound_w = np.minimum(held.bound_w, bound_ratio * bound_full_w * by_ratio)
    drawn_w = np.where(known, rest_w + bound_w + model_ratio * held.free_w, full_w)
    if not random.any():
        return drawn_w, np.zeros(len(full_w))
    least = held.bound_w / np.maximum(bound_full_w * by_ratio, 1e-9)
    unexpected = np.clip(bound_ratio, np.clip(least, LEAST_MODEL_RATIO, 1.0), MOST_MODEL_RATIO)
    return drawn_w, np.where(random, held.soft_bound * lost_share(unexpected), 0.0)


def divided(
    wanted_w: FloatArray, rest_w: FloatArray, server: IntArray, server_gpu_w: FloatArray
) -> FloatArray:
    """Each replica's part of what its server's GPUs may draw, shape (n,): rest first, what is left
    in proportion to what is wanted above it; infinite where all of it fits.

    Parameters
    ----------
    wanted_w, rest_w, server
        Watts and server of each replica, shape (n,).
    server_gpu_w
        What the replicas of each server may draw, shape (servers,).
    """
    count = len(server_gpu_w)
    rest_w = np.minimum(wanted_w, rest_w)
    demand = np.bincount(server, wanted_w, count)
    rest = np.bincount(server, rest_w, count)
    over = demand > server_gpu_w
    if not over.any():
        return np.full(len(wanted_w), np.inf)
    room = np.maximum(server_gpu_w - rest, 0.0) / np.maximum(demand - rest, 1e-9)
    # Where not even rest fits, the cap still holds: boards have other means than the clock.
    squeeze = np.minimum(np.maximum(server_gpu_w, 0.0) / np.maximum(rest, 1e-9), 1.0)
    with np.errstate(invalid="ignore"):
        part_w = rest_w * squeeze[server] + room[server] * (wanted_w - rest_w)
    return np.where(over[server], part_w, np.inf)


def lost_share(ratio: FloatArray) -> FloatArray:
    """What of its time work that goes with the clock would have lost, had its watts been so many
    times what was expected and the clock as much lower; below 0 what it would have gained."""
    lost: FloatArray = 1.0 - ratio ** (-1.0 / FREQUENCY_EXPONENT)
    return lost
