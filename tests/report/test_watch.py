"""The full-screen view: what it shows, how it is left, and that the terminal is as it was."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dcsim.report.watch import WatchView
from dcsim.results import Results
from tests.cli.test_run import SCENARIO
from tests.report.frames import frame, plant
from tests.results.made import event

SITE = plant(20, row="20 kW", rack="2 kW")
RACKS = [f"row/rack-{number}" for number in range(1, 21)]


def screen(width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The last screen of a short run, as text."""
    monkeypatch.setattr("dcsim.report.watch.REFRESH_S", 0.0)
    console = Console(file=StringIO(), force_terminal=True, width=width, height=height)
    view = WatchView("my site", 100.0, console)
    view.begin(SITE, 0.0, lambda: 8.0)
    load_w = {"site": 22e3, "row": 22e3, **dict.fromkeys(RACKS, 1e3), RACKS[-1]: 1.9e3}
    with view:
        view.flag(event("trip"))
        for step in range(1, 30):
            now_w = {name: watts * (1 + 0.1 * (step % 2)) for name, watts in load_w.items()}
            now = frame(SITE, step, now_w, running=25, waiting=2, arrived=2 * step)
            assert view.update(now) is False
        plain = Console(file=StringIO(), width=width, height=height)
        plain.print(view._screenful(paused=True))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[?1049h" in said and "\x1b[?1049l" in said  # a screen of its own, and back
    return str(plain.file.getvalue())  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 45), (200, 60)])
def test_the_screen_shows_the_tree_and_the_flags(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = screen(width, height, monkeypatch)
    lines = said.splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert "nan" not in said
    row = next(
        line for line in lines if ("row " in line and "110.0 %" in line) or "121.0 %" in line
    )
    assert "█" in row
    assert "rack-20  of 20" in said  # the fullest of the crowd
    assert said.count("rack-") == 3
    assert "trip" in said and "PAUSED" in said
    # Two arrive a second, of the eight that twenty replicas can serve.
    busy = "25 running (1.2 a replica), 2 waiting; 2 requests/s, 25 % of its capacity"
    assert busy in said


def test_a_trip_stays_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many warnings of however many kinds come after it, in lines and in the title."""
    monkeypatch.setattr("dcsim.report.watch.REFRESH_S", 0.0)
    view = WatchView("my site", 100.0, Console(file=StringIO(), force_terminal=True))
    view.begin(SITE, 0.0, lambda: None)
    with view:
        view.flag(event("trip"))
        for kind in ("warning", "overload", "cleared", "predicted", "demand", "limited", "ramp"):
            for _ in range(20):
                view.flag(event(kind))
        view.update(frame(SITE, 1.0, {"row": 22e3}))
        plain = Console(file=StringIO(), width=100, height=30)
        plain.print(view._screenful(paused=False))
    lines = str(plain.file.getvalue()).splitlines()  # type: ignore[attr-defined]
    at = next(i for i, line in enumerate(lines) if "flags: 1 trip, 20 " in line)
    assert any("trip" in line for line in lines[at + 1 :])
    assert sum("ramp" in line for line in lines[at + 1 :]) > 2


def test_elsewhere_it_prints_lines() -> None:
    console = Console(file=StringIO(), width=100)
    view = WatchView("my site", 10.0, console)
    view.begin(SITE, 0.0, lambda: None)
    with view:
        for step in range(1, 11):
            assert not view.update(frame(SITE, step, {}))
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("\n") == 10
    assert "\x1b" not in said


CODE = "import sys; from dcsim.cli import main; sys.argv[0] = 'dcsim'; main()"


@pytest.mark.parametrize("end", ["q", "interrupt"])
def test_a_run_that_is_left_keeps_its_results(tmp_path: Path, end: str) -> None:
    scenario = tmp_path / "tiny.yaml"
    scenario.write_text(SCENARIO.replace("duration: 20 s", "duration: 200 d"))
    out = tmp_path / "run.h5"
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    command = [sys.executable, "-c", CODE, "run", str(scenario), "--watch", "--out", str(out)]
    child = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
    )  # fmt: skip
    said = b""
    asked = False
    limit = time.monotonic() + 60
    try:
        while time.monotonic() < limit and (child.poll() is None or _ready(ours)):
            if _ready(ours):
                said += os.read(ours, 1 << 16)
            if not asked and b"real time" in said:
                asked = True
                if end == "q":
                    os.write(ours, b"q")
                else:
                    child.send_signal(signal.SIGINT)
        assert child.wait(timeout=10) == 0, said[-2000:]
        assert termios.tcgetattr(theirs) == before
    finally:
        child.kill()
        os.close(ours)
        os.close(theirs)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode(errors="ignore"))
    assert "stopped after" in text
    with Results.open(out) as results:
        assert 0 < results.summary["simulated_s"] < 200 * 86400
        assert results.duration_s == results.summary["simulated_s"]
        requests = results.summary["requests"]
        gone = ("completed", "rejected", "timed_out", "failed", "running", "waiting")
        assert requests["arrived"] == sum(requests[name] for name in gone)


def _ready(file: int) -> bool:
    return bool(select.select([file], [], [], 0.05)[0])
