"""Runs are played once, by whoever, and come out alike; what was interrupted goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from dcsim.errors import RunFailedError
from dcsim.studies import Crew, sweep
from dcsim.studies.jobs import Keep, job
from tests.studies.small import TEXT, small

RATES = {"workload.chat.arrivals.rate": ["1 req/s", "2 req/s", "3 req/s"]}


def test_the_same_run_is_played_once(tmp_path: Path) -> None:
    first = Crew(tmp_path, workers=1)
    before = sweep(small(), RATES, seeds=2, crew=first)
    assert (first.played, first.found) == (6, 0)
    again = Crew(tmp_path, workers=1)
    after = sweep(small(), RATES, seeds=3, crew=again)
    assert (again.played, again.found) == (3, 6)
    kept = after.tables["runs"].frame
    pd.testing.assert_frame_equal(
        kept[kept["seed"] < 3].reset_index(drop=True), before.tables["runs"].frame
    )


def test_a_key_is_of_all_that_decides_and_no_more() -> None:
    one = small()
    renamed = one.model_copy(update={"name": "other", "description": "x"})
    longer = one.model_copy(update={"duration_s": 61.0})
    assert job(one, 1).key == job(renamed, 1).key
    others = [job(one, 2), job(longer, 1), job(one, 1, (Keep("rack"),)), job(one, 1, (), (5.0,))]
    assert len({job(one, 1).key, *(other.key for other in others)}) == 5


def test_a_damaged_run_is_played_again(tmp_path: Path) -> None:
    crew = Crew(tmp_path, workers=1)
    (outcome,) = crew.play([job(small(), 1)])
    (tmp_path / f"{outcome.key}.json").write_text("{")
    (again,) = crew.play([job(small(), 1)])
    assert crew.played == 2
    assert again.summary == outcome.summary


def test_series_are_kept_when_asked_for(tmp_path: Path) -> None:
    crew = Crew(tmp_path, workers=1)
    (outcome,) = crew.play([job(small(), 1, (Keep("rack"),))])
    series = crew.series(outcome).series["rack"]
    assert series.load_w.shape == (60, 2)
    assert series.names == ("row/rack-1", "row/rack-2")
    (row,) = [n for n in outcome.summary["nodes"] if n["name"] == "row"]
    assert series.load_w.sum(axis=1).mean() == pytest.approx(row["mean_w"], rel=1e-5)


def test_a_cluster_gives_the_same_table_and_outlives_a_killed_worker(tmp_path: Path) -> None:
    """One test, because a cluster takes seconds to start."""
    alone = sweep(small(), RATES, seeds=2, crew=Crew(tmp_path / "one", workers=1))
    with Crew(tmp_path / "two", workers=2) as crew:
        crew.play([job(small(), seed) for seed in (101, 102)])  # starts the workers
        for pid in [worker.pid for worker in crew._cluster.workers.values()][:1]:
            os.kill(pid, signal.SIGKILL)
        together = sweep(small(), RATES, seeds=2, crew=crew)
    pd.testing.assert_frame_equal(together.tables["runs"].frame, alone.tables["runs"].frame)


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcsim.studies.crew.CONNECT_S", 1.0)
    with (
        Crew(scheduler="tcp://127.0.0.1:1") as crew,
        pytest.raises(RunFailedError, match="no scheduler answers"),
    ):
        crew.play([job(small(), 1)])


def test_a_killed_study_goes_on_where_it_was(tmp_path: Path) -> None:
    """kill -9 of the whole study, then the same command: the same table, nothing played twice."""
    file = tmp_path / "small.yaml"
    file.write_text(TEXT.replace("duration: 60 s", "duration: 10 min"))
    out = tmp_path / "out"
    code = "import sys; from dcsim.cli import main; sys.argv[0] = 'dcsim'; main()"
    command = [sys.executable, "-c", code, "study", "sweep", str(file), "--seeds", "12"]
    command += ["--over", "power_step=[1 s]", "--out", str(out), "--workers", "1", "--quiet"]
    study = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(out.glob("runs/*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    study.send_signal(signal.SIGKILL)
    study.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("runs/*.json")}
    assert len(kept) >= 2
    assert not (out / "tables").exists(), "the study was over before it was killed"
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("runs/*.json")}
    assert len(after) == 12
    assert {name: after[name] for name in kept} == kept
    found = pd.read_csv(out / "tables/runs.csv")
    whole = tmp_path / "whole"
    subprocess.run(
        [str(whole) if part == str(out) else part for part in command],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    pd.testing.assert_frame_equal(found, pd.read_csv(whole / "tables/runs.csv"))
