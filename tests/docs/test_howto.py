"""Every example of the how-to pages, as a reader would try it: files written, then run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app

PROJECT = Path(__file__).parents[2]
PAGES = sorted((PROJECT / "docs/howto").glob("*.md"))
NAMED = re.compile(r"^`([\w./-]+)`:\n\n```(?:yaml|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
runner = CliRunner()


def write_files(page: Path, folder: Path) -> list[Path]:
    """The page's named examples, as files."""
    made = []
    for name, text in NAMED.findall(page.read_text(encoding="utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        made.append(path)
    return made


def test_there_is_a_page_for_each() -> None:
    assert {page.stem for page in PAGES} >= {"gpu", "model", "breaker", "policy", "power-model"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_files(page, tmp_path)
    assert files
    (tmp_path / "scenarios").symlink_to(PROJECT / "scenarios")
    monkeypatch.chdir(tmp_path)
    if (tmp_path / "my-catalogue").is_dir():
        monkeypatch.setenv("DCSIM_CATALOGUE", "my-catalogue")
        done = runner.invoke(app, ["run", "site.yaml", "--quiet"])
        assert done.exit_code == 0, done.output
        assert "Simulated" in done.output
        if page.stem == "breaker":
            assert re.search(r"[1-9] trips?\b", done.output)
        else:
            assert "extrapolated" in done.output
    programs = [file for file in files if file.suffix == ".py"]
    for program in programs[-1:]:  # the last one imports those before it
        done_too = subprocess.run(
            [sys.executable, program.name], capture_output=True, text=True, check=False,
            env={"PYTHONPATH": f"{PROJECT}:{tmp_path}", "PATH": ""},
        )  # fmt: skip
        assert done_too.returncode == 0, done_too.stderr
