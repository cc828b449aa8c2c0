"""Which software made a result."""

from __future__ import annotations

import platform
from importlib.metadata import version

PACKAGES = ("dcsim", "simpy", "numpy", "torch", "h5py")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run's figures depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
