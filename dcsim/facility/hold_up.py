"""How long servers' power supplies bridge a gap in their voltage."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.servers import HOLD_UP_FULL_S

HOLD_UP_AT = (0.7, 1.0)
"""Shares of the nameplate that makers state it at; `dcsim.hardware.servers` has the seconds."""


class HoldUp:
    """Hold-up of each server by its load: a line between the two loads that makers state, its ends
    held. Arrays are (servers,)."""

    def __init__(self, seconds: FloatArray, full_s: FloatArray, nameplate_w: FloatArray) -> None:
        self._seconds = seconds
        self._full_s = full_s
        self._nameplate_w = nameplate_w

    @classmethod
    def usual(cls, servers: int) -> HoldUp:
        """Where nothing is known of the servers: that at full load, whatever they draw."""
        full_s = np.full(servers, HOLD_UP_FULL_S)
        return cls(full_s, full_s, np.ones(servers))

    def at(self, server_w: FloatArray) -> FloatArray:
        """Seconds, at these loads."""
        low, high = HOLD_UP_AT
        place = np.clip((server_w / self._nameplate_w - low) / (high - low), 0.0, 1.0)
        seconds: FloatArray = self._seconds + place * (self._full_s - self._seconds)
        return seconds
