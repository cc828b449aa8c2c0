"""Which software made a result."""

from __future__ import annotations

import platform
from importlib.metadata import version

from dcsim.hardware.own_catalogue import own_sha256

PACKAGES = ("dcsim", "simpy", "numpy", "scipy", "h5py")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run's figures depend on, and the checksum of
    a catalogue of one's own where there is one."""
    by_name = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    checksum = own_sha256()
    return by_name if checksum is None else {**by_name, "catalogue": f"sha256:{checksum}"}
