"""`dcsim new`: whatever it writes is right, and runs."""

from __future__ import annotations

import itertools
import json
import os
import pty
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.cli.new import _prompted
from dcsim.hardware import load_catalogue
from dcsim.loading.rooms import check_power
from dcsim.plant import Plant
from dcsim.scenario import loads
from dcsim.scenario.draft import DraftAnswers, DraftError, draft, parallel_for, server_for
from dcsim.studies.capacity_rows import capacity_rows

runner = CliRunner()
GPUS = [server.gpu.split("-")[0] for server in load_catalogue().servers.values()]
MODELS = list(load_catalogue().models)


@pytest.mark.parametrize("gpu", GPUS)
def test_every_gpu_and_model_gives_a_right_file_or_says_why_not(gpu: str) -> None:
    refused = 0
    for model in MODELS:
        done = runner.invoke(app, ["new", "--gpu", gpu, "--model", model, "--racks", "2"])
        if done.exit_code == 2:
            assert "does not fit into one" in done.stderr, (model, done.stderr)
            refused += 1
            continue
        scenario = loads(done.stdout)
        assert list(check_power(Plant.build(scenario))) == []
        assert scenario.servers[0].model == model
    assert refused < len(MODELS) / 2


GRID = list(
    itertools.product(
        (1, 7),
        (1, 4),
        ("none", "55 kW"),
        ("0.5 req/s", None),
        ("sharegpt", "500:60"),
        ("none", None),
    )
)


def test_a_grid_of_flags_is_right() -> None:
    for racks, servers, limit, rate, tokens, breaker in GRID:
        flags = ["--racks", racks, "--servers-per-rack", servers, "--row-limit", limit]
        flags += ["--tokens", tokens] + (["--rate", rate] if rate else [])
        flags += ["--breaker", breaker] if breaker else []
        done = runner.invoke(app, ["new", *map(str, flags)])
        assert done.exit_code == 0, done.stderr
        scenario = loads(done.stdout)
        row = next(node for node in scenario.facility if node.name == "row")
        assert row.rating_w == (None if limit == "none" else 55e3)
        assert (row.breaker is None) == (limit == "none" or breaker == "none")
        assert [node.count for node in scenario.facility][2:] == [racks, servers]


@pytest.mark.parametrize(
    "flags",
    [
        ["--gpu", "a100", "--model", "llama-3-8b", "--racks", "1", "--servers-per-rack", "1"],
        ["--gpu", "b200", "--model", "gpt-oss-120b", "--racks", "1", "--row-limit", "none"],
    ],
)
def test_what_it_writes_runs(tmp_path: Path, flags: list[str]) -> None:
    file = tmp_path / "my-site.yaml"
    done = runner.invoke(app, ["new", str(file), *flags])
    assert done.exit_code == 0, done.stderr
    assert "next: dcsim validate" in done.stdout
    assert loads(file.read_text(encoding="utf-8")).name == "my-site"
    run = runner.invoke(app, ["run", str(file), "--duration", "5 s", "--json", "--quiet"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["simulated_s"] == 5.0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--gpu", "h1000"], "--gpu: no server has a GPU 'h1000'; did you mean 'h100'?"),
        (["--model", "lama-3-8b"], "did you mean 'llama-3-8b'?"),
        (["--gpu", "a100", "--model", "llama-3-405b-bf16"], "does not fit into one dgx-a100-80gb"),
        (["--row-limit", "10 kg"], "--row-limit: '10 kg' is not a quantity"),
        (["--row-limit", "600"], "--row-limit: expected a quantity with its unit"),
        (["--rate", "fast: yes"], "--rate: 'fast: yes' is not a quantity"),
        (["--rate", "0 req/s"], "--rate: '0 req/s' must be above 0"),
        (["--tokens", "many"], "--tokens: 'many' is none of"),
        (["--tokens", "0:5"], "--tokens: must be greater than or equal to 1"),
        (["--duration", "1 h\n  evil: 1"], "--duration:"),
        (["--breaker", "thermal-magnetc"], "--breaker:"),
        (["--tensor-parallel", "3"], "--tensor-parallel: 3 does not divide"),
        (["--name", "a b"], "--name: 'a b' is not a name"),
        (["--racks", "0"], "--racks"),
    ],
)
def test_a_wish_that_cannot_be(flags: list[str], said: str) -> None:
    done = runner.invoke(app, ["new", *flags])
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_nothing_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    done = runner.invoke(app, ["new", str(file)])
    assert (done.exit_code, file.read_text()) == (2, "mine")
    assert "--force replaces it" in done.stderr
    assert runner.invoke(app, ["new", str(file), "--force"]).exit_code == 0
    assert "facility:" in file.read_text()
    done = runner.invoke(app, ["new", str(tmp_path / "no/such.yaml")])
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_questions_on_a_terminal(tmp_path: Path) -> None:
    """Defaults by Enter, and an answer of one's own."""
    file = tmp_path / "asked.yaml"
    ours, theirs = pty.openpty()
    code = "import sys; from dcsim.cli import main; sys.argv[0] = 'dcsim'; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "new", str(file), "--gpu", "a100", "--model", "llama-3-8b"],
        stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, b"3\n\n70 kW\n\n\n10 min\n")  # racks, servers, limit, rate, tokens, duration
    seen = b""
    while process.poll() is None or seen[-1:] != b"\n":
        try:
            seen += os.read(ours, 4096)
        except OSError:
            break
    os.close(ours)
    assert process.wait() == 0, seen.decode()
    scenario = loads(file.read_text(encoding="utf-8"))
    assert [node.count for node in scenario.facility][2:] == [3, 4]
    assert scenario.duration_s == 600.0
    assert "How many racks" in seen.decode()
    assert "Which GPU" not in seen.decode()


def test_the_least_parallel_that_fits() -> None:
    catalogue = load_catalogue()
    h100 = server_for("h100", catalogue)
    assert parallel_for(catalogue.models["llama-3-8b"], h100, catalogue) == 1
    assert parallel_for(catalogue.models["llama-3-70b"], h100, catalogue) == 4
    assert server_for("dgx-b200", catalogue).name == "dgx-b200"
    with pytest.raises(DraftError, match="--gpu"):
        draft(DraftAnswers(gpu="tpu"), catalogue)


def test_each_answer_is_checked_when_it_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong answer is told at once and asked for again; those before it are kept."""
    given = iter(
        ["h1000", "h100", "llama-7", "llama-3-70b", 0, 4, 2, "200", "200 kW", "fast", "3 req/s",
         "12", "1000:250", "soon", "10 min"]
    )  # fmt: skip
    asked: list[str] = []

    def prompt(question: str, default: object, **_: object) -> object:
        asked.append(question)
        return next(given)

    monkeypatch.setattr("typer.prompt", prompt)
    answers = _prompted(DraftAnswers(), defaultdict(lambda: None), load_catalogue())
    assert (answers.gpu, answers.model, answers.racks, answers.servers_per_rack) == (
        "h100", "llama-3-70b", 4, 2,
    )  # fmt: skip
    assert (answers.row_limit, answers.rate, answers.tokens, answers.duration) == (
        "200 kW", "3 req/s", "1000:250", "10 min",
    )  # fmt: skip
    assert len(asked) == 15 and len(set(asked)) == 8
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 7, told
    for words in ("no server has a GPU 'h1000'; did you mean 'h100'?", "llama-7", "'soon' is not"):
        assert words in told
    assert next(given, None) is None


def test_without_a_rate_the_servers_are_half_busy() -> None:
    """By the very capacity that `dcsim serving capacity` tells, for small and large sites."""
    for flags in (["--racks", "2"], ["--gpu", "h100", "--racks", "9", "--tokens", "500:60"]):
        done = runner.invoke(app, ["new", *flags])
        assert done.exit_code == 0, done.stderr
        assert "# half of what they can serve" in done.stdout
        (served,) = capacity_rows(loads(done.stdout), played=False)["models"]
        rate = loads(done.stdout).workload[0].arrivals.rate_per_s  # type: ignore[union-attr]
        assert rate == pytest.approx(0.5 * served["estimate_per_s"], rel=0.05)
