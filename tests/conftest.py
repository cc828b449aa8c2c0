"""Shared by all tests: the reference data, and a guard against stale compiled modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.data import data_folder
from dcsim.compiled import stale_warning


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compiled modules shadow their sources: testing old ones would prove nothing."""
    stale = stale_warning()
    if stale is not None:
        pytest.exit(f"{stale}; `make test` does it", returncode=3)


@pytest.fixture(scope="session")
def data() -> Path:
    """The reference data's folder; tests that ask for it are skipped where there is none."""
    folder = data_folder()
    if folder is None:
        pytest.skip("reference data not found: set DCSIM_DATA to its folder")
    return folder
