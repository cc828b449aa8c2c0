"""Exit statuses are stated once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from dcsim.cli.exits import WRONG_INPUT, refuse, refuse_problems
from dcsim.errors import Problem

CLI = Path(__file__).parents[2] / "dcsim" / "cli"


def test_a_refusal_names_each_problem(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught:
        refuse("one", ValueError("two"))
    assert caught.value.exit_code == WRONG_INPUT == 2
    assert capsys.readouterr().err == "one\ntwo\n"


def test_problems_of_a_file_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        refuse_problems([Problem("a.yaml", 3, "seed", "is no number")])
    assert capsys.readouterr().err == "a.yaml:3: seed: is no number\n1 problem\n"


def test_statuses_stand_in_one_module() -> None:
    numbers = re.compile(r"(Exit|sys\.exit)\((code=)?[1-9]|^[A-Z_]+ = (2|70|130)$", re.M)
    places = [
        str(file.relative_to(CLI))
        for file in CLI.rglob("*.py")
        if file.name != "exits.py" and numbers.search(file.read_text(encoding="utf-8"))
    ]
    assert places == []
