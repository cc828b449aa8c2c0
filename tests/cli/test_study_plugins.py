"""A study of another package as a command: its options, help, refusals, folder and page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.errors import PluginError
from tests import plugins
from tests.docs.pages import PROJECT, files

runner = CliRunner()
BROKEN = """
[project]
name = "dcsim-broken"
version = "3"

[project.entry-points."dcsim.studies"]
broken = "broken_study:Broken"
taken = "taken_study:Taken"
growth = "taken_study:Taken"
no-study = "taken_study:NoStudy"
"""
TAKEN = """
from pydantic import BaseModel

from dcsim.studies import Study


class Taken(Study):
    out: str = "here"

    def play(self, scenario, runner):
        raise NotImplementedError


class NoStudy(BaseModel):
    out: str = "here"
"""


@pytest.fixture
def ramps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packages are installed: that of the how-to page, and one that is broken."""
    for name, text in files(PROJECT / "docs/howto/study.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "pyproject.toml").write_text(BROKEN)
    (tmp_path / "broken" / "taken_study.py").write_text(TAKEN)
    monkeypatch.chdir(tmp_path)
    with plugins.installed(tmp_path, monkeypatch):
        yield


@pytest.mark.usefixtures("ramps")
def test_its_options_are_its_fields() -> None:
    told = " ".join(runner.invoke(app, ["study", "ramps", "--help"]).output.split())
    assert "How fast does the site's load rise and fall?" in told
    for option in ("--interval", "--limit", "--seeds", "--workers", "--out", "--json"):
        assert option in told
    assert "[default: 3]" in told
    assert "[default: 1 min]" in told


@pytest.mark.usefixtures("ramps")
def test_it_answers_on_terminal_json_and_page() -> None:
    words = ["study", "ramps", "site.yaml", "--interval", "2 s", "--limit", "10 W", "--seeds", "1"]
    words += ["--set", "duration=1 min", "--workers", "1", "--quiet"]
    shown = runner.invoke(app, [*words, "--out", "kept"])
    assert shown.exit_code == 0, shown.output
    assert "The load rises by up to" in shown.output
    told = json.loads(runner.invoke(app, [*words, "--json", "--runs", "kept/runs"]).stdout)
    assert told["study"] == "ramps"
    assert told["inputs"] == {"interval_s": 2.0, "limit_w": 10.0, "seeds": 1}
    changes = [row["change_w"] for row in told["tables"]["ramps"]]
    assert told["figures"]["rise_w"] == max(changes)
    assert told["figures"]["over_limit"] == sum(abs(change) > 10.0 for change in changes)
    page = runner.invoke(app, ["report", "kept"])
    assert page.exit_code == 0, page.output
    assert "largest rise" in Path("kept/report.html").read_text()


@pytest.mark.usefixtures("ramps")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--interval", "2"], "--interval: '2' is not a quantity such as '250 ms'"),
        (["--seeds", "0"], "--seeds: must be greater than or equal to 1, not '0'"),
        (["--seeds", "many"], "--seeds: expected a whole number, not 'many'"),
    ],
)
def test_wrong_values_are_refused_as_in_a_file(words: list[str], told: str) -> None:
    done = runner.invoke(app, ["study", "ramps", "site.yaml", *words])
    assert (done.exit_code, done.output.strip()) == (2, told)


@pytest.mark.usefixtures("ramps")
def test_a_broken_one_is_listed_and_spoils_no_other() -> None:
    told = " ".join(runner.invoke(app, ["study", "--help"]).output.split())
    assert "How fast does" in told
    assert "Cannot be used." in told
    assert "When does more traffic meet a limit" in told, "a built-in study keeps its name"
    done = runner.invoke(app, ["study", "broken", "site.yaml", "--limit", "1 W"])
    assert isinstance(done.exception, PluginError)
    assert "dcsim-broken 3: entry point 'broken = broken_study:Broken'" in str(done.exception)
    taken = runner.invoke(app, ["study", "taken"]).exception
    assert str(taken) == "study 'taken' (dcsim-broken 3): --out is of all studies"
    none = runner.invoke(app, ["study", "no-study"]).exception
    assert str(none) == "study 'no-study' (dcsim-broken 3): not a dcsim.studies.Study"


def test_a_packages_power_model_stands_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files(PROJECT / "docs/howto/power-model.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    words = ["study", "sizing", "site.yaml", "--windows", "1 s", "--workers", "1", "--quiet"]
    words += ["--set", "duration=20 s", "--json", "--models"]
    assert runner.invoke(app, [*words, "straight-line"]).exit_code == 2
    with plugins.installed(tmp_path, monkeypatch):
        told = json.loads(runner.invoke(app, [*words, "board-limit,straight-line"]).stdout)
        wrong = runner.invoke(app, ["power", "evaluate", ".", "--model", "straight-lien"])
    assert wrong.exit_code == 2
    assert wrong.output == "--model: there is no 'straight-lien' (did you mean 'straight-line'?)\n"
    figures = told["figures"]
    assert 0.0 < figures["straight-line_peak_w"] <= figures["board-limit_peak_w"]
