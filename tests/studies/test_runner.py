"""Runs are played once, by whoever, and come out alike; what was interrupted goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pandas as pd
import pytest

from dcsim.errors import RunFailedError
from dcsim.studies import Runner, sweep
from dcsim.studies.jobs import Job, Keep, job
from dcsim.studies.outcome import RunOutcome, play
from tests.studies.small import TEXT, small

RATES = {"workload.chat.arrivals.rate": ["1 req/s", "2 req/s", "3 req/s"]}


def test_the_same_run_is_played_once(tmp_path: Path) -> None:
    first = Runner(tmp_path, workers=1)
    before = sweep(small(), RATES, seeds=2, runner=first)
    assert (first.executed, first.cached) == (6, 0)
    again = Runner(tmp_path, workers=1)
    after = sweep(small(), RATES, seeds=3, runner=again)
    assert (again.executed, again.cached) == (3, 6)
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
    runner = Runner(tmp_path, workers=1)
    (outcome,) = runner.play([job(small(), 1)])
    (tmp_path / f"{outcome.key}.json").write_text("{")
    (again,) = runner.play([job(small(), 1)])
    assert runner.executed == 2
    assert again.summary == outcome.summary


def test_series_are_kept_when_asked_for(tmp_path: Path) -> None:
    runner = Runner(tmp_path, workers=1)
    (outcome,) = runner.play([job(small(), 1, (Keep("rack"),))])
    series = runner.series(outcome).series["rack"]
    assert series.load_w.shape == (60, 2)
    assert series.names == ("row/rack-1", "row/rack-2")
    (row,) = [n for n in outcome.summary["nodes"] if n["name"] == "row"]
    assert series.load_w.sum(axis=1).mean() == pytest.approx(row["mean_w"], rel=1e-5)


def test_workers_give_the_same_table_and_one_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """One test, because workers take seconds to start."""
    alone = sweep(small(), RATES, seeds=2, runner=Runner(tmp_path / "one", workers=1))
    with Runner(tmp_path / "two", workers=2) as runner:
        runner.play([job(small(), seed) for seed in (101, 102)])  # starts the workers
        os.kill(active_children()[0].pid or 0, signal.SIGKILL)
        together = sweep(small(), RATES, seeds=2, runner=runner)
    assert not active_children()
    pd.testing.assert_frame_equal(together.tables["runs"].frame, alone.tables["runs"].frame)


def _deadly(job: Job) -> RunOutcome:
    """Ends its worker at seed 3, as the system does when memory is short."""
    if job.scenario.seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return play(job)


def test_a_run_that_always_kills_its_worker_is_named_after_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcsim.studies.pool.play", _deadly)
    monkeypatch.setattr("dcsim.studies.pool.RETRIES", 1)  # each costs the start of two processes
    with (
        Runner(tmp_path, workers=2) as runner,
        pytest.raises(RunFailedError, match="seed 3: its worker was killed"),
    ):
        runner.play([job(small(), seed) for seed in (3, 4, 5)])
    assert runner.executed == 2


@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_workers_end_with_their_study(tmp_path: Path, name: str) -> None:
    """Ctrl-C reaches all processes of a command, kill -9 the study alone: no worker stays, and
    what was played is kept."""
    file = tmp_path / "small.yaml"
    file.write_text(TEXT.replace("duration: 60 s", "duration: 30 min"))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dcsim", "study", "sweep", str(file), "--seeds", "50"]
    command += ["--over", "power_step=[1 s]", "--out", str(out), "--workers", "2", "--quiet"]
    study = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("runs/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(out.glob("runs/*.json"))
    assert all(_holds_off_ctrl_c(pid) for pid in _workers(study.pid))
    if name == "SIGINT":
        os.killpg(study.pid, signal.SIGINT)
    else:
        study.kill()
    # Workers hold stderr open: it ends with the last of them.
    _, errors = study.communicate(timeout=30)
    if name == "SIGINT":
        assert study.returncode == 130
        assert errors == "stopped; the same command goes on from here\n"
    assert not (out / "tables").exists(), "the study was over before it was stopped"


def _workers(pid: int) -> list[int]:
    """Process identifiers of the workers of a study; empty where the system does not tell."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        return []
    pids = [int(child) for child in children.read_text().split()]
    workers = [pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    return workers


def _holds_off_ctrl_c(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk"))
    return bool(int(blocked.split()[1], 16) & 1 << signal.SIGINT - 1)


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcsim.studies.runner.CONNECT_S", 1.0)
    with (
        Runner(scheduler="tcp://127.0.0.1:1") as runner,
        pytest.raises(RunFailedError, match="no scheduler answers"),
    ):
        runner.play([job(small(), 1)])


def test_a_scheduler_elsewhere_gives_the_same_table(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    alone = sweep(small(), RATES, runner=Runner(tmp_path / "one", workers=1))
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, protocol="tcp",
            host="127.0.0.1", dashboard_address=None,
        ) as cluster,
        Runner(tmp_path / "two", scheduler=cluster.scheduler_address) as runner,
    ):  # fmt: skip
        assert runner.parallelism == 1
        together = sweep(small(), RATES, runner=runner)
    pd.testing.assert_frame_equal(together.tables["runs"].frame, alone.tables["runs"].frame)


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
