"""Shared by all tests: the reference data, and a guard against stale compiled modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.data import data_folder

SERVING = Path(__file__).parents[1] / "dcsim" / "serving"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compiled modules shadow their sources: testing old ones would prove nothing."""
    for library in SERVING.rglob("*.so"):
        source = library.parent / f"{library.name.split('.')[0]}.py"
        if source.exists() and source.stat().st_mtime > library.stat().st_mtime:
            pytest.exit(f"{library.name} is older than {source.name}: run make test", returncode=3)


@pytest.fixture(scope="session")
def data() -> Path:
    """The reference data's folder; tests that ask for it are skipped where there is none."""
    folder = data_folder()
    if folder is None:
        pytest.skip("reference data not found: set DCSIM_DATA to its folder")
    return folder
