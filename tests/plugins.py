"""Packages of other people: written to a folder, and installed without an installer."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dcsim import registry
from dcsim.scenario import find
from dcsim.scenario.describe import keys


def install(project: Path, site: Path) -> None:
    """Put a project's modules and the metadata of its `pyproject.toml` into a folder, as `pip
    install -t` would; whoever has the folder on the path finds the entry points."""
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = declared["name"].replace("-", "_")
    info = site / f"{name}-{declared['version']}.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {declared['name']}\nVersion: {declared['version']}\n"
    (info / "METADATA").write_text(text, encoding="utf-8")
    lines = []
    for group, points in declared["entry-points"].items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for module in project.glob("*.py"):
        shutil.copy(module, site)


@contextmanager
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All projects in the folder (`*/pyproject.toml`) are installed, and gone at the end."""
    projects = [file.parent for file in folder.glob("*/pyproject.toml")]
    if not projects:
        yield
        return
    site = folder / "site-packages"
    for project in projects:
        install(project, site)
    monkeypatch.syspath_prepend(str(site))
    forget()
    try:
        yield
    finally:
        forget()
        for module in site.glob("*.py"):
            sys.modules.pop(module.stem, None)


def forget() -> None:
    """As in a new process: entry points are looked up again, and what they gave is dropped."""
    registry.refresh()
    keys.cache_clear()
    find._all.cache_clear()
