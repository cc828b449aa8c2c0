"""The stand-ins: GPUs at the C boundary of NVML, and a clock that runs fast."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcsim.lab.measure.clock import MeasuringClock
from tests.lab.measure.gpus import Gpus, build, compiler

pytest.importorskip("aiohttp", reason="measuring needs dcsim[measure]")
pytest.importorskip("pynvml", reason="measuring needs dcsim[measure]")


class FastClock(MeasuringClock):
    """Time that passes `rate` times as fast, with a wall clock that can be set."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.set_by_s = 0.0
        self._start_s, self._wall_s = self.monotonic(), time.time()

    def monotonic(self) -> float:
        return self.rate * time.monotonic()

    def unix(self) -> float:
        return self._wall_s + self.monotonic() - self._start_s + self.set_by_s

    def real_s(self, seconds: float) -> float:
        return seconds / self.rate


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in NVML, loaded: who asks for libnvidia-ml.so.1 from now on gets it, because the
    loader knows libraries by that name once they are in."""
    if compiler() is None:
        pytest.skip("no C compiler to build the stand-in NVML with")
    path = build(tmp_path_factory.mktemp("nvml"))
    ctypes.CDLL(str(path), mode=os.RTLD_GLOBAL)
    return path


@pytest.fixture
def gpus(library: Path, tmp_path: Path) -> Iterator[Gpus]:
    """One GPU at 80 W."""
    made = Gpus(tmp_path / "nvml.state")
    yield made
    made.close()
