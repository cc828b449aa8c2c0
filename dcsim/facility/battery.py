"""Batteries: they carry what hangs below when the supply is lost, and shave peaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.arrays import BoolArray, FloatArray
from dcsim.scenario.models import Battery


class Batteries:
    """The charge of `n` batteries, in the order given. Arrays are (n,).

    All of the round trip's loss is taken while charging: a joule taken stores `efficiency` of it,
    a joule given costs one. `shave_above_w` and `allowed_w` (most that shaving may give) may be
    set by a policy.
    """

    def __init__(self, specs: Sequence[Battery]) -> None:
        self.capacity_j = np.array([spec.energy_wh * 3600.0 for spec in specs])
        self.power_w = np.array([spec.power_w for spec in specs])
        self.efficiency = np.array([spec.efficiency for spec in specs])
        self.charge_w = np.array([spec.charge_w for spec in specs])
        self.shave_above_w = np.array(
            [np.inf if spec.shave_above_w is None else spec.shave_above_w for spec in specs]
        )
        self.allowed_w = self.power_w.copy()
        self.stored_j = self.capacity_j * np.array([spec.initial for spec in specs])
        self._kept_j = self.capacity_j * np.array([spec.reserve for spec in specs])
        self._rides = np.array([spec.ride_through for spec in specs], dtype=bool)
        self.collapsed = np.zeros(len(specs), dtype=bool)
        """Given up while carrying: empty, or asked for more than its power."""
        self.given_w = np.zeros(len(specs))
        self.taken_w = np.zeros(len(specs))

    def __len__(self) -> int:
        return len(self.capacity_j)

    @property
    def charge(self) -> FloatArray:
        """State of charge, 0 to 1."""
        charge: FloatArray = np.clip(self.stored_j / self.capacity_j, 0.0, 1.0)
        return charge

    @property
    def rides_through(self) -> BoolArray:
        """Which would carry their nodes if the supply were lost now."""
        rides: BoolArray = self._rides & ~self.collapsed & (self.stored_j > 0.0)
        return rides

    def step(
        self,
        at: slice,
        need_w: FloatArray,
        fed: BoolArray,
        on: BoolArray,
        step_s: float,
    ) -> FloatArray:
        """One step of the batteries `at`: watts taken less watts given, by battery.

        `need_w` is what their nodes must deliver, `fed` whether these have a supply, `on` whether
        they work and have any power. A battery that runs empty within a step carries it to its
        end: times are known to a step.
        """
        stored, power = self.stored_j[at], np.minimum(self.power_w[at], self.allowed_w[at])
        above = self.shave_above_w[at]
        spare_w = np.maximum(stored - self._kept_j[at], 0.0) / step_s
        shaved = np.minimum(np.clip(need_w - above, 0.0, power), spare_w)
        given = np.where(fed & on, shaved, np.where(on, need_w, 0.0))
        room_w = np.maximum(self.capacity_j[at] - stored, 0.0) / (self.efficiency[at] * step_s)
        taken = np.minimum(np.minimum(self.charge_w[at], room_w), np.maximum(above - need_w, 0.0))
        taken = np.where(fed & on & (given <= 0.0), taken, 0.0)
        stored = stored + (self.efficiency[at] * taken - given) * step_s
        self.stored_j[at] = stored
        self.given_w[at] = given
        self.taken_w[at] = taken
        alone = ~fed & on
        self.collapsed[at] &= ~fed
        self.collapsed[at] |= alone & ((stored <= 0.0) | (given > self.power_w[at]))
        net: FloatArray = taken - given
        return net
