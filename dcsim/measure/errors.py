"""What goes wrong while measuring, by whether it can be waited out."""

from __future__ import annotations


class MeasureError(ValueError):
    """Nothing can be measured as things stand: no endpoint, no NVML, a model that is not there."""


class SampleError(RuntimeError):
    """One sample could not be taken; the next may."""


class MeterLost(RuntimeError):
    """A meter that will not come back, such as a GPU that fell off its bus."""
