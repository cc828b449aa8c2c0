"""Time while measuring: everything is stamped by the monotonic clock, which nobody can set, and
brought to unix seconds by one offset, taken when a part begins. The offset is watched: a wall clock
that is set while a part runs would put our stamps at odds with everybody else's."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

STEP_S = 0.02
"""A wall clock that moves so far from the monotonic one within one sample was set; discipline by
NTP slews at 0.5 ms a second at most (RFC 5905's 500 ppm)."""
TRIES = 3


class MeasuringClock:
    """Seconds of the two clocks. Tests put one in its place that runs faster or is set."""

    def monotonic(self) -> float:
        return time.monotonic()

    def unix(self) -> float:
        """Unix seconds."""
        return time.time()

    def real_s(self, seconds: float) -> float:
        """How long to wait for this clock to go on by `seconds`."""
        return seconds


def offset_s(clock: MeasuringClock) -> float:
    """Wall less monotonic time; of some readings the one that took least."""
    readings = []
    for _ in range(TRIES):
        before = clock.monotonic()
        unix_s = clock.unix()
        after = clock.monotonic()
        readings.append((after - before, unix_s - 0.5 * (before + after)))
    return min(readings)[1]


@dataclass
class ClockWatch:
    """One part's offset, and what the wall clock did meanwhile."""

    clock: MeasuringClock
    anchor_s: float = 0.0
    steps: list[dict[str, float]] = field(default_factory=list)
    _last_s: float = 0.0

    def __post_init__(self) -> None:
        self.anchor_s = self._last_s = offset_s(self.clock)

    def epoch(self, monotonic_s: float) -> float:
        """Unix seconds of a moment, by the clock as it stood when the part began."""
        return monotonic_s + self.anchor_s

    def look(self) -> None:
        """Compare the clocks; called with every sample of the GPUs."""
        now_s = offset_s(self.clock)
        moved_s = now_s - self._last_s
        if abs(moved_s) > STEP_S:
            self.steps.append({"epoch": self.epoch(self.clock.monotonic()), "step_s": moved_s})
        self._last_s = now_s

    def to_dict(self) -> dict[str, Any]:
        """For the manifest's `clock`."""
        return {
            "monotonic_offset_s": self.anchor_s,
            "drift_s": self._last_s - self.anchor_s,
            "steps": list(self.steps),
        }
