"""How long servers' power supplies bridge a gap in their voltage."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray

HOLD_UP_S = 0.012
"""At HOLD_UP_AT[0] of a server's nameplate and below. Of Intel's common redundant power supplies
("AC line dropout / holdup" in Intel Server System R1000SP Product Family, Technical Product
Specification, order number G64249-002, section 4.5.4): at least 12 ms at 70 % load, 10 ms at 100 %.
Both are the least that the maker asks for; what a supply holds beyond is not counted. Others:
12 ms at 75 % (R1000JP, section 3.2.6.20), 20 ms at 75 % and 12 ms at full load (SR2625UR, order
number E46130-010, section 3.8.3). The 20 ms of the ITI (CBEMA) curve are what equipment is asked to
bear, not what supplies do."""
HOLD_UP_FULL_S = 0.010
"""At full load."""
HOLD_UP_AT = (0.7, 1.0)


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
