"""Reading run folders: clocks, counters, gaps and slips, on logs of known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcsim.errors import RunFolderError
from dcsim.lab.learn.runs import read_run
from tests.lab.learn.folder import BUSY_W, IDLE_W, write_run
from tests.power.bench import CATALOGUE


def test_logs_of_two_clocks_are_aligned(tmp_path: Path) -> None:
    """Power in local wall time across midnight, engine in unix time: power rises with work."""
    start_s = write_run(tmp_path / "run")
    run = read_run(tmp_path / "run", CATALOGUE)
    # The first of the power samples, four a second, after the engine log begins at 0.1 s.
    assert run.edges_s[0] == pytest.approx(start_s + 0.25, abs=0.01)
    assert len(run.series) == pytest.approx(119.5 / 0.25, abs=2)
    column = run.series.columns
    inside = column["busy_fraction"] > 0
    agree = (run.power_w > 0.5 * (IDLE_W + BUSY_W)) == inside
    assert agree.mean() > 0.97  # all but the steps in which a burst begins or ends
    assert run.power_w.max() == BUSY_W
    assert run.power_w.min() == IDLE_W


def test_work_follows_from_counters(tmp_path: Path) -> None:
    """In a burst: 40 iterations and 160 tokens a second, 16.4 GB less the input embedding read
    each time. By hand: 15.1 GB x 40 / 2 TB/s is 0.30 of the bandwidth."""
    write_run(tmp_path / "run")
    column = read_run(tmp_path / "run", CATALOGUE).series.columns
    inside = np.flatnonzero(column["busy_fraction"] == 1.0)
    inside = inside[np.isin(inside - 2, inside) & np.isin(inside + 2, inside)]
    assert len(inside) > 150
    assert column["iterations"][inside].mean() == pytest.approx(10.0, rel=0.02)
    assert column["decode_tokens"][inside].mean() == pytest.approx(40.0, rel=0.02)
    assert column["memory_util"][inside].mean() == pytest.approx(0.30, abs=0.02)
    # 160 tokens a second at 2 x 7.57e9 FLOPs each, of 312e12 a second.
    assert column["compute_util"][inside].mean() == pytest.approx(0.0078, rel=0.15)
    assert column["running"][inside] == pytest.approx(4.0)
    resting = np.flatnonzero(column["busy_fraction"] == 0.0)
    assert column["iterations"][resting] == pytest.approx(0.0)


def test_a_slip_of_the_meter_is_mended(tmp_path: Path) -> None:
    write_run(tmp_path / "clean")
    write_run(tmp_path / "slip", glitch=True)
    clean = read_run(tmp_path / "clean", CATALOGUE)
    slip = read_run(tmp_path / "slip", CATALOGUE)
    around = np.abs(slip.power_w - clean.power_w)
    # Off the grid, one slip shows in two interpolated samples, each partly.
    assert around.max() < 0.45 * (BUSY_W - 98.0)
    assert abs(slip.power_w.sum() / clean.power_w.sum() - 1) < 0.003


def test_gaps_are_bridged_or_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "short", gap_s=1.0)
    bridged = read_run(tmp_path / "short", CATALOGUE)
    assert np.isfinite(bridged.power_w).all()
    write_run(tmp_path / "long", gap_s=3.0)
    with pytest.raises(RunFolderError, match=r"gap of 3\.\d s"):
        read_run(tmp_path / "long", CATALOGUE)


def test_logs_that_hardly_overlap_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run", engine_delay_s=80.0)
    with pytest.raises(RunFolderError, match="less than a minute"):
        read_run(tmp_path / "run", CATALOGUE)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("power.csv", "t,gpu0\n", "fewer than two samples"),
        ("power.csv", "t,gpu0\n12:00:00.000,many\n", "power.csv"),
        ("power.csv", "time,gpu0\n12:00:00.000,90\n", "power.csv"),
        ("engine.csv", "epoch,running\n", "engine.csv"),
        ("engine.csv", "epoch,running\n1,x\n", "engine.csv"),
        ("engine.csv", "", "engine.csv"),
        ("manifest.json", "{", "manifest.json"),
        ("manifest.json", "[]", "manifest.json"),
        ("manifest.json", '{"hardware": "A100"}', "lacks model, tp"),
    ],
)
def test_damaged_logs_are_refused_by_name(tmp_path: Path, file: str, text: str, told: str) -> None:
    """No traceback, whatever is in the folder."""
    write_run(tmp_path / "run")
    (tmp_path / "run" / file).write_text(text)
    with pytest.raises(RunFolderError, match=told):
        read_run(tmp_path / "run", CATALOGUE)
