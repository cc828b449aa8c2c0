"""Commands in odd surroundings: full disks, devices, old locales, being told to end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app, exits, guard
from tests.results.made import record
from tests.scenario.sample import GOOD

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "dcsim"]
runner = CliRunner()

posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes and signals")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), **more}


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(GOOD)
    return path


@posix
@pytest.mark.parametrize(
    "words",
    [
        ["run", "my.yaml", "--duration", "1 s", "--out", "pipe"],
        ["export", "kept.h5", "--to", "csv", "-o", "pipe", "--force"],
        ["export", "kept.h5", "--to", "opendss-loadshape", "-o", "pipe", "--force"],
    ],
)
def test_what_is_no_plain_file_is_never_replaced(
    words: list[str], scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/null, for one, would be gone for all."""
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "kept.h5")
    os.mkfifo(tmp_path / "pipe")
    done = runner.invoke(app, words)
    assert done.exit_code == exits.WRONG_INPUT, done.output
    assert "pipe is no" in done.output
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_line(scenario: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "validate", str(scenario)], stdout=full, stderr=subprocess.PIPE, text=True,
            env=environment(), check=False,
        )  # fmt: skip
    assert done.returncode == exits.FAILED
    assert done.stderr == f"output cannot be written: {os.strerror(28)}\n"


def test_an_old_locale_gets_the_tree_in_utf8(scenario: Path) -> None:
    old = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    old.pop("PYTHONIOENCODING", None)
    done = subprocess.run(
        [*COMMAND, "show", str(scenario)], capture_output=True, env=old, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "└" in done.stdout.decode("utf-8")


def skip_where_ignored(name: str) -> None:
    if signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        pytest.skip(f"begun so that {name} is ignored, as by nohup: a run then rightly goes on")


@posix
@pytest.mark.parametrize("name", guard.STOP_SIGNALS)
def test_told_to_end_it_ends_and_leaves_nothing(name: str, scenario: Path, tmp_path: Path) -> None:
    skip_where_ignored(name)
    running = subprocess.Popen(
        [*COMMAND, "run", str(scenario), "--duration", "300 d", "--out", "kept.h5", "--quiet"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".kept.h5.*.part")) and time.monotonic() < deadline:
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    running.send_signal(getattr(signal, name))
    _, told = running.communicate(timeout=60)
    assert (running.returncode, told) == (exits.STOPPED, "stopped; no results were kept\n")
    assert [path.name for path in tmp_path.iterdir()] == ["my.yaml"]


DROPPED = """
import os, signal, sys, time, weakref
from dcsim.cli import guard
from dcsim.interrupts import raise_if_interrupted

class Owner: ...

def signalled_within(_):
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    for _ in range(1000): ...

def command():
    try:
        owner = Owner()
        watch = weakref.ref(owner, signalled_within)
        del owner
        print("dropped", flush=True)
        while True:
            raise_if_interrupted()
            time.sleep(0.01)
    finally:
        print("cleared", flush=True)

guard.run_guarded(command)
"""


@posix
@pytest.mark.parametrize("name", guard.STOP_SIGNALS)
def test_told_to_end_within_a_callback_it_ends(name: str, tmp_path: Path) -> None:
    """Python drops what is raised in the callback of a weak reference, as HDF5's library has for
    every object that is let go. The mark stays, and nothing is said of the drop."""
    skip_where_ignored(name)
    done = subprocess.run(
        [sys.executable, "-c", DROPPED, name], check=False,
        cwd=tmp_path, capture_output=True, text=True, env=environment(), timeout=45,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (
        exits.STOPPED,
        "dropped\ncleared\n",
        "stopped\n",
    )


def test_a_view_may_answer_ctrl_c() -> None:
    """The first is a request to stop in order, the second ends as elsewhere."""
    answers = [True, False]
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), guard.interrupts_to(lambda: answers.pop(0)):
        signal.raise_signal(signal.SIGINT)
        assert answers == [False]
        signal.raise_signal(signal.SIGINT)
    assert answers == []
    assert signal.getsignal(signal.SIGINT) == before


@posix
def test_a_folder_that_is_gone(scenario: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'rmdir ../gone && "$0" "$@"', *COMMAND, "validate", str(scenario)],
        cwd=gone, capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == exits.WRONG_INPUT
    assert "the current folder no longer exists" in done.stderr
    assert "Traceback" not in done.stderr
