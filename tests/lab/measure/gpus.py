"""GPUs that are not there: the stand-in NVML, built, loaded, and told what to answer."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("standin_nvml.c")
VARIABLE = "DCSIM_STANDIN_NVML"
GPUS = 8
Numbers, Reals = ctypes.c_uint32 * GPUS, ctypes.c_double * GPUS


class State(ctypes.Structure):
    """As the C file declares it."""

    _fields_ = (
        ("gpus", ctypes.c_uint32),
        ("has_energy", ctypes.c_uint32),
        ("has_instant", ctypes.c_uint32),
        ("driver_fails", ctypes.c_uint32),
        ("lost", Numbers),
        ("flaky", Numbers),
        ("sm_mhz", Numbers),
        ("percent", Numbers),
        ("celsius", Numbers),
        ("watts", Reals),
        ("limit_w", Reals),
        ("energy_j", Reals),
        ("since_s", Reals),
        ("rate", ctypes.c_double),
    )


def compiler() -> str | None:
    return shutil.which("gcc") or shutil.which("cc")


def build(folder: Path) -> Path:
    """The library, under the name by which every NVML client loads it."""
    library = folder / "libnvidia-ml.so.1"
    command = [str(compiler()), "-shared", "-fPIC", "-O1", f"-Wl,-soname,{library.name}"]
    subprocess.run([*command, "-o", str(library), str(SOURCE)], check=True)
    return library


class Gpus:
    """The state of the stand-in's GPUs, at 80 W unless told otherwise."""

    def __init__(self, path: Path, gpus: int = 1, rate: float = 1.0) -> None:
        path.write_bytes(bytes(ctypes.sizeof(State)))
        self.path = path
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 0)
        self.state: Any = State.from_buffer(self._map)
        self.state.gpus, self.state.rate = gpus, rate
        self.state.has_energy = self.state.has_instant = 1
        for i in range(GPUS):
            self.state.sm_mhz[i], self.state.celsius[i] = 1410, 40
            self.state.limit_w[i] = 400.0
            self.draw(80.0, i)
        os.environ[VARIABLE] = str(path)

    def draw(self, watts: float, gpu: int = 0) -> None:
        """From now on."""
        state, now_s = self.state, time.monotonic()
        passed_s = (now_s - state.since_s[gpu]) * state.rate if state.since_s[gpu] else 0.0
        state.energy_j[gpu] += state.watts[gpu] * passed_s
        state.since_s[gpu] = now_s
        state.watts[gpu] = watts
        state.percent[gpu] = 0 if watts <= 80.0 else 100

    def close(self) -> None:
        os.environ.pop(VARIABLE, None)
        del self.state
        self._map.close()
        self._file.close()
