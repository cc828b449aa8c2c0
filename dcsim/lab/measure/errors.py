"""What goes wrong while measuring, by whether it can be waited out."""

from __future__ import annotations

from dcsim.errors import DcsimError


class SampleError(DcsimError, RuntimeError):
    """One sample could not be taken; the next may."""


class MeterLostError(DcsimError, RuntimeError):
    """A meter that will not come back, such as a GPU that fell off its bus."""
