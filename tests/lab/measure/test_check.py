"""What makes a folder not good, one thing at a time; and the commands' exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dcsim.cli import app
from dcsim.lab.measure.check import check_folder
from tests.lab.learn.folder import write_run
from tests.lab.measure.bench import written


def dcsim(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["measure", *(str(argument) for argument in arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of known truth, two minutes, with requests."""
    path = tmp_path / "run"
    start_s = write_run(path, 120.0)
    lines = ["start,input_tokens,output_tokens,ttft"]
    # 400 prompt tokens every 20 s and 160 tokens a second, as its engine.csv counts them
    lines += [f"{start_s + 10 + 20 * i:.3f},400,1600,0.05" for i in range(5)]
    lines.append(f"{start_s + 110:.3f},1,1592,0.05")
    (path / "requests.csv").write_text("\n".join(lines) + "\n")
    return path


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """The manifest, edited."""
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_good_folder(folder: Path) -> None:
    found = check_folder(folder)
    assert found.good, found.errors
    assert found.figures["seconds"] == pytest.approx(119.75)
    assert found.figures["requests"] == 6
    assert found.figures["mean_w"] == pytest.approx(190, abs=2)
    assert any("slower than 10 Hz" in doubt for doubt in found.warnings)


def drop_power(folder: Path, first: int, last: int) -> None:
    lines = (folder / "power.csv").read_text().splitlines()
    (folder / "power.csv").write_text("\n".join(lines[:first] + lines[last:]) + "\n")


def set_clock(folder: Path) -> None:
    change(folder, lambda m: m["clock"].update(steps=[{"epoch": 1.0, "step_s": 2.0}]))


def rewrite(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


TELEMETRY = "epoch,gpu,power_w,energy_j,limit_w\n1,0,100,0,400\n2,0,100,120,{}\n3,0,100,240,400\n"


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda f: drop_power(f, 100, 120), "power.csv has no sample for 5.25 s, 24.5 s on"),
        (lambda f: (f / "power.csv").unlink(), "no power.csv"),
        (lambda f: rewrite(f, "engine.csv", "prompt_total", "x"), "lacks vllm:prompt_tokens"),
        (lambda f: (f / "manifest.json").write_text("{}"), "manifest.json lacks hardware, model"),
        (
            lambda f: rewrite(f, "power.csv", "80.00", "lots"),
            "power.csv:2: expected a number, not 'lots'",
        ),
        (lambda f: rewrite(f, "power.csv", "80.00", "0"), "samples are not above 0 W"),
        (
            lambda f: rewrite(f, "engine.csv", ",1200,", ",0,"),
            "counters fall 1 time (40.0 s on)",
        ),
        (set_clock, "the wall clock was set by +2.000 s meanwhile"),
        (
            lambda f: change(f, lambda m: m["clock"].update(drift_s=0.2)),
            "the wall clock moved by +0.200 s",
        ),
        (
            lambda f: change(f, lambda m: m.update(status="interrupted", stopped="x")),
            "it was not finished: interrupted (x)",
        ),
        (
            lambda f: change(f, lambda m: m.update(instrumentation={"power": {"period_s": 0.1}})),
            "power.csv has 40 % of the samples that a period of 100 ms promises",
        ),
        (
            lambda f: (f / "telemetry.csv").write_text(TELEMETRY.format(300)),
            "GPU 0: its power limit was changed meanwhile: 300, 400 W",
        ),
        (
            lambda f: change(f, lambda m: m.update(probe={"requests": 7})),
            "1 of 7 requests were not answered in full",
        ),
        (
            lambda f: rewrite(f, "requests.csv", "1600", "x"),
            "requests.csv:2: expected a number, not 'x'",
        ),
        (
            lambda f: rewrite(f, "requests.csv", "output_tokens", "out"),
            "requests.csv has no column output_tokens",
        ),
        (
            lambda f: change(f, lambda m: m["clock"].update(steps=[{"at": 1}])),
            "manifest.json: there is no 'step_s'",
        ),
        (lambda f: change(f, lambda m: m["clock"].update(steps=5)), "manifest.json: 'int' object"),
    ],
)
def test_one_fault(folder: Path, harm: Callable[[Path], object], fault: str) -> None:
    harm(folder)
    found = check_folder(folder)
    assert not found.good
    assert any(fault in told for told in found.errors), found.errors


@pytest.mark.parametrize(
    ("harm", "doubt"),
    [
        (lambda f: (f / "requests.csv").unlink(), "no requests.csv: nothing can be replayed"),
        (lambda f: (f / "engine.csv").unlink(), "training simulates the requests' work"),
        (
            lambda f: change(f, lambda m: m.update(model="acme/unheard-of")),
            "training will refuse it: the catalogue has no model acme/unheard-of",
        ),
        (
            lambda f: change(f, lambda m: m.update(hardware="X9")),
            "training will refuse it: the catalogue has no GPU X9",
        ),
        (
            lambda f: change(f, lambda m: m.update(client={"late_p99_ms": 30.0})),
            "the client was late by 30.0 ms at the 99th percentile",
        ),
        (
            lambda f: (f / "telemetry.csv").write_text(TELEMETRY.format(400)),
            "sampled watts and the GPU's energy counter differ by -16.7 %",
        ),
        (lambda f: rewrite(f, "requests.csv", ",1592,", ",1000,"), "generation_total grew by"),
    ],
)
def test_one_doubt(folder: Path, harm: Callable[[Path], object], doubt: str) -> None:
    harm(folder)
    found = check_folder(folder)
    assert found.good, found.errors
    assert any(doubt in told for told in found.warnings), found.warnings


def test_tokens_that_nobody_asked_for_make_a_measured_folder_not_good(folder: Path) -> None:
    change(
        folder,
        lambda m: m.update(
            measure_format=1, engine={"columns_counted": ["generation_total"], "kv_tokens": 1}
        ),
    )
    rewrite(folder, "requests.csv", ",1592,", ",1000,")
    (fault,) = check_folder(folder).errors
    assert fault == "the engine's generation_total grew by 9,577, the requests explain 9,000"


def test_the_reference_runs_are_good(data: Path) -> None:
    for path in sorted((data / "measured" / "vllm_runs").iterdir()):
        found = check_folder(path)
        assert found.good, (path, found.errors)


def test_check_says_good_or_not_and_why(folder: Path, tmp_path: Path) -> None:
    done = dcsim("check", folder)
    assert done.exit_code == 0
    assert f"{folder}: good: 120 s, 6 requests, 9,592 output tokens" in done.stdout
    bad = tmp_path / "bad"
    bad.mkdir()
    done = dcsim("check", folder, bad)
    assert done.exit_code == 1
    assert f"{bad}: not good\n  error: no manifest.json\n" in done.stdout
    told = json.loads(dcsim("check", folder, bad, "--json").stdout)
    assert [one["good"] for one in told] == [True, False]
    done = dcsim("check", folder, tmp_path / "none", tmp_path / "nothing")
    assert done.exit_code == 2
    assert done.stderr.count("no such folder") == 2


def test_run_refuses_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    path = written(tmp_path, "http://127.0.0.1:1")
    done = dcsim("run", path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{path}: http://127.0.0.1:1: nobody answers there: ")
    assert len(done.stderr.splitlines()) == 1
    done = dcsim("run", path, "--out", tmp_path)
    assert done.exit_code == 2 and "is not empty" in done.stderr
    done = dcsim("run", path, "--out", path / "out")
    assert done.exit_code == 2 and done.stderr.startswith("--out: ")
    done = dcsim("run", tmp_path / "none.yaml", "--out", tmp_path / "out")
    assert done.exit_code == 2 and "no such file" in done.stderr
