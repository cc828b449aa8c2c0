"""No traceback for bad input, whatever is put before a command; a fault of ours leaves a log."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from typer.testing import CliRunner

from dcsim.cli import app, exits
from dcsim.cli.lazy import COMMANDS
from tests.results.made import record
from tests.scenario.sample import GOOD

runner = CliRunner()
NOT_ROOT = hasattr(os, "geteuid") and os.geteuid() != 0


def binary(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(5000))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("just: [some, text\n")


def numbers(path: Path) -> None:
    path.write_text(GOOD.replace("10 min", "1e400 s").replace("count: 2", f"count: {10**400}"))


def huge_list(path: Path) -> None:
    path.write_text("name: x\nfacility: " + "[" * 3000 + "]" * 3000)


def bomb(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 12)]
    path.write_text("\n".join(lines))


def other_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = [1, 2]


def half_h5(path: Path) -> None:
    whole = path.with_name("whole.h5")
    record(whole)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


def no_parts(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "dcsim-results"
        file.attrs["format_version"] = 1


def odd_attributes(path: Path) -> None:
    record(path)
    with h5py.File(path, "a") as file:
        file.attrs["seed"] = "not a number"


def foreign_scenario(path: Path) -> None:
    """A results file whose scenario no version reads."""
    record(path)


def missing(path: Path) -> None:
    """Nothing there."""


def pipe_like(path: Path) -> None:
    path.symlink_to(path)  # a link to itself


FILES: tuple[Callable[[Path], None], ...] = (
    binary, empty, folder, text, numbers, huge_list, bomb, other_h5, half_h5, no_parts,
    odd_attributes, foreign_scenario, missing, pipe_like,
)  # fmt: skip
COMMAND_LINES = (
    ("validate", "{}"),
    ("show", "{}"),
    ("run", "{}", "--quiet"),
    ("export", "{}", "--to", "pandapower", "-o", "{}.out"),
    ("power", "show", "{}"),
    ("power", "evaluate", "{}"),
    ("power", "train", "{}", "--out", "pack.h5"),
)


@pytest.mark.parametrize("make", FILES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("line", COMMAND_LINES, ids=lambda line: " ".join(line[:2]))
def test_odd_files(
    make: Callable[[Path], None],
    line: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("odd.h5" if line[0] in ("export", "power") else "odd.yaml")
    make(path)
    before = sorted(found.name for found in tmp_path.iterdir())
    done = runner.invoke(app, [word.format(path) for word in line])
    assert done.exit_code == 2, (done.output, done.exception)
    assert isinstance(done.exception, SystemExit)
    assert done.stderr.strip()
    assert "Traceback" not in done.output
    assert all(len(line) < 2000 for line in done.stderr.splitlines())
    assert sorted(found.name for found in tmp_path.iterdir()) == before


@pytest.mark.skipif(not NOT_ROOT, reason="root may read everything")
@pytest.mark.parametrize("line", COMMAND_LINES, ids=lambda line: " ".join(line[:2]))
def test_unreadable_files(line: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "odd.h5"
    path.write_text(GOOD)
    path.chmod(0)
    done = runner.invoke(app, [word.format(path) for word in line])
    assert done.exit_code == 2
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "words",
    [
        ["--to", "csv", "--every", "0 s"],
        ["--to", "csv", "--every", "1 ms"],
        ["--to", "csv", "--every", "nan s"],
        ["--to", "csv", "--every", "5 kg"],
        ["--to", "csv", "-o", "no/such/folder"],
        ["--to", "excel"],
        ["--to", "opendss-loadshape", "--level", "pdu"],
        ["--to", "pandapower", "--at", "noon"],
        ["--to", "pandapower", "--low-voltage", "-1 V"],
        [],
    ],
    ids=" ".join,
)
def test_export_options(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "r.h5")
    done = runner.invoke(app, ["export", "r.h5", *words])
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert [path.name for path in tmp_path.iterdir()] == ["r.h5"]


@pytest.mark.parametrize(
    "change",
    [
        "facility.rack.count=999999",
        f"facility.rack.count={10**30}",
        f"seed={10**30}",
        "record.server_step=1e20 h",
        "duration=1e300 s",
        "workload.chat.tokens={kind: fixed, prompt: 99999999999999999999, output: 5}",
        "workload.chat.tokens={kind: lognormal, prompt_median: 1e300, prompt_sigma: 1,"
        " output_median: 5, output_sigma: 1}",
        "servers.a100.engine.max_num_seqs=1e30",
        "workload.chat.arrivals={kind: replay, file: .}",
        "servers.a100.power={pack: ./x.h5}",
        "name=\x00",
        "=",
        "workload",
        "workload.chat.arrivals.rate",
        "workload.99=x",
        "[]=[",
    ],
)
def test_odd_changes(change: str, tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD.replace("count: 4", "count: 400"))
    done = runner.invoke(app, ["run", str(path), "--quiet", "--set", change])
    assert done.exit_code == 2, (done.output, done.exception)
    assert isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = runner.invoke(app, [name, "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output


def test_unknown_options_are_status_2() -> None:
    for name in COMMANDS:
        assert runner.invoke(app, [name, "--no-such-option"]).exit_code == 2


# --- faults of our own -----------------------------------------------------------------------


def guarded(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys\nfrom dcsim.cli.guard import run_guarded\ndef command():\n    {code}\n"
    program += "run_guarded(command)"
    return subprocess.run(
        [sys.executable, "-c", program, "run", "x.yaml"],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_a_fault_is_one_line_and_a_log(tmp_path: Path) -> None:
    done = guarded("raise KeyError('an odd\\nkey')", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == exits.FAULT
    (line,) = done.stderr.splitlines()
    (log,) = (tmp_path / "dcsim/log").iterdir()
    assert line == (
        "Internal error in dcsim (KeyError: 'an odd\\nkey'). "
        f"Please report it, with this log: {log}"
    )
    content = log.read_text()
    assert "Traceback" in content
    assert "'run', 'x.yaml'" in content


def test_a_fault_where_no_cache_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "tmp").mkdir()
    done = guarded(
        "raise MemoryError", XDG_CACHE_HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path / "tmp")
    )
    assert done.returncode == exits.FAULT
    assert done.stderr.startswith("out of memory")
    assert len(list((tmp_path / "tmp").iterdir())) == 1


def test_stopping_is_clean() -> None:
    done = guarded("raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (exits.STOPPED, "stopped\n")


def test_a_command_that_is_stopped_says_so_once() -> None:
    """By typer, which turns the interrupt into an exit; what a command said itself is enough."""
    app = "import typer; app = typer.Typer(pretty_exceptions_enable=False)\n    @app.command()\n"
    head = "    def main(a: str, b: str):\n        "
    done = guarded(f"{app}{head}raise KeyboardInterrupt\n    app()")
    assert (done.returncode, done.stderr) == (exits.STOPPED, "stopped\n")
    said = "print('kept', file=sys.stderr); raise typer.Exit(130) from None"
    caught = f"try: raise KeyboardInterrupt\n        except KeyboardInterrupt: {said}"
    done = guarded(f"{app}{head}{caught}\n    app()")
    assert (done.returncode, done.stderr) == (exits.STOPPED, "kept\n")


def test_statuses_pass() -> None:
    assert guarded("sys.exit(2)").returncode == 2
    assert guarded("pass").returncode == 0


def test_a_reader_that_goes_away() -> None:
    code = "import sys; from dcsim.cli import main; sys.argv[0] = 'dcsim'; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read().decode()
    process.wait()
    assert "Traceback" not in said
    assert "Exception ignored" not in said
