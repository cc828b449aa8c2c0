"""The page's script and style: short lines, one global name, and no fault that a linter finds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from dcsim.report.page.html import SCRIPTS
from dcsim.report.palette import DARK, LIGHT

PROJECT = Path(__file__).parents[2]
ASSETS = PROJECT / "dcsim" / "report" / "assets"
OURS = sorted([*ASSETS.glob("*.js"), *ASSETS.glob("*.css")])


def test_all_scripts_are_in_the_page() -> None:
    assert {path.name for path in ASSETS.glob("*.js")} == set(SCRIPTS)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_lines_are_short(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 or line != line.rstrip()] == []


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.js")), ids=lambda path: path.name)
def test_parts_of_the_script_are_documented_and_in_one_namespace(path: Path) -> None:
    """Everything that a file hands on is a part of `D`, and says what it is for."""
    text = path.read_text(encoding="utf-8").removeprefix('"use strict";\n')
    assert text.startswith("/**")
    given = set(re.findall(r"^(?:const|let|function|class) (\w+)", text, re.MULTILINE))
    assert given <= {"D"}


def test_style_and_script_ask_for_colours_that_there_are() -> None:
    names = {
        name
        for path in OURS
        for name in re.findall(r"var\(--([\w-]+)\)|D\.css\(\"(\w+)\"\)", path.read_text("utf-8"))
        for name in name
        if name
    }
    assert names
    assert names <= set(LIGHT)
    assert set(DARK) == set(LIGHT)


def test_the_linter_finds_nothing() -> None:
    linter = shutil.which("oxlint", path=sysconfig.get_path("scripts")) or shutil.which("oxlint")
    if linter is None:
        pytest.skip("no oxlint here: pip install 'dcsim[lint]'")
    done = subprocess.run(
        [linter, "--deny-warnings"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
