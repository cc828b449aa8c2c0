"""Scenarios that travel with dcsim. In a checkout they are its folder `scenarios`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def examples() -> dict[str, Path]:
    """Files by name, such as "quickstart"."""
    folder = Path(str(resources.files("dcsim"))) / "examples"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
