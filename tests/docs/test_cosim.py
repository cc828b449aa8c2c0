"""The pages that couple dcsim with other simulators: their programs, taken out and run."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import files

PAGES = Path(__file__).parents[2] / "docs/howto"
NEEDS = "pip install 'dcsim[cosim]'"


def program(page: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program of a page, imported from where a reader would have kept it."""
    for file, text in files(PAGES / f"{page}.md"):
        (folder / file).write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def test_opendss_drops_the_voltage_of_the_hand_calculation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along the phasor (R P + X Q) / V, across it (X P - R Q) / V, with V at the receiving end."""
    pytest.importorskip("opendssdirect", reason=NEEDS)
    feeder = program("opendss", "feeder", tmp_path, monkeypatch)
    feeder.build_feeder()
    r, x, source_v = feeder.R_OHM, feeder.X_OHM, feeder.SOURCE_V
    for load_w in (6_000.0, 15_000.0, 24_000.0):
        volts = feeder.voltage_pu(load_w) * source_v
        reactive_var = load_w * math.tan(math.acos(feeder.POWER_FACTOR))
        along = (r * load_w + x * reactive_var) / volts
        across = (x * load_w - r * reactive_var) / volts
        assert source_v - volts == pytest.approx(along, rel=0.02)
        assert math.hypot(volts + along, across) == pytest.approx(source_v, abs=0.01)


def test_opendss_voltage_recovers_when_clocks_are_lowered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opendssdirect", reason=NEEDS)
    feeder = program("opendss", "feeder", tmp_path, monkeypatch)
    held, free = feeder.play(), feeder.play(controlled=False)
    falls = next(i for i, step in enumerate(held) if step[2] < feeder.LOW_PU)
    assert held[: falls + 1] == free[: falls + 1], "no command before the voltage is low"
    assert held[falls + 1][3] < 1.0
    assert held[falls + 1][1] < free[falls + 1][1], "in force from the next step on"
    lowered = [i for i in range(1, len(held)) if held[i][3] < held[i - 1][3]]
    settled = held[lowered[-1] :]
    assert len(settled) >= 8, "two seconds at least after the last command"
    assert held[-1][3] > feeder.LOW_CLOCK, "not at the end of what the controller may do"
    assert all(voltage >= feeder.LOW_PU for _, _, voltage, _ in settled)
    assert min(voltage for _, _, voltage, _ in free[lowered[-1] :]) < feeder.LOW_PU
    assert feeder.play() == held
