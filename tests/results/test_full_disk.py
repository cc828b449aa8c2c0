"""Invariant 12 on a disk that has no room left, or where nothing may be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.results.made import recorder

PROGRAM = """
import resource, sys
from pathlib import Path
import numpy as np
from tests.results.made import loads, recorder, records

made = recorder(Path(sys.argv[1]))
# No file may grow beyond this: what writes then get is what a full disk gives them.
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    if sys.argv[2] == "steps":
        for row in loads(50_000):
            made.step(row)
        made.finish({})
    elif sys.argv[2] == "requests":
        many = np.tile(records(), 5_000)
        many["end_s"] += np.random.default_rng(0).random(len(many))
        for _ in range(10):
            made.requests(many)
    else:
        for row in loads(5_000):
            made.step(row)
        print("all taken")
        made.finish({"padding": "x" * 200_000})
except OSError as error:
    print(type(error).__name__, error)
    made.abort()
"""


@pytest.mark.parametrize("when", ["steps", "requests", "finish"])
def test_no_room_left(tmp_path: Path, when: str) -> None:
    """The error is clear, the older file stays, nothing else does, and the process ends well:
    HDF5 alone would lose requests without a word and crash the process when it ends."""
    path = tmp_path / "run.h5"
    path.write_text("an older result")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path, when],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    if when == "finish":
        assert said.pop(0) == "all taken"
    assert len(said) == 1
    assert "cannot write results: File too large" in said[0]
    assert done.stderr == ""
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]
    assert path.read_text() == "an older result"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="that is a folder"):
        recorder(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="not writable"):
        recorder(tmp_path / "run.h5")
    tmp_path.chmod(0o700)


def test_abort_after_finish_keeps_the_file(tmp_path: Path) -> None:
    made = recorder(tmp_path / "run.h5")
    made.finish({})
    made.abort()
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]
