"""Every example of the how-to pages, as a reader would try it: files written, then run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.serving.routers import base
from tests import plugins
from tests.docs.pages import files as named

PROJECT = Path(__file__).parents[2]
PAGES = sorted((PROJECT / "docs/howto").glob("*.md"))
runner = CliRunner()
COMPILED = not str(base.__file__).endswith(".py")
SEEN: dict[str, Callable[[dict[str, Any]], bool]] = {
    "policy": lambda told: told["control"]["policies"][0]["commands"] > 0,
    "power-model": lambda told: told["power_model"]["name"] == "straight-line",
    "router": lambda told: told["requests"]["completed"] > 0,
    "arrivals": lambda told: told["requests"]["arrived"] > 150,
}
"""What the run of a page's scenario shows of its package."""


def write_files(page: Path, folder: Path) -> list[Path]:
    """The page's named examples, as files."""
    made = []
    for name, text in named(page):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        made.append(path)
    return made


def test_there_is_a_page_for_each() -> None:
    assert {page.stem for page in PAGES} >= {"gpu", "model", "breaker", "study", *SEEN}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_files(page, tmp_path)
    assert files
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
    for program in (file for file in files if file.name == "try_it.py"):
        python(tmp_path, program.name)


@pytest.mark.parametrize("page", SEEN)
def test_its_package_works_by_name(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's package as another project would have it, on the command line."""
    write_files(PROJECT / f"docs/howto/{page}.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    refused = runner.invoke(app, ["validate", "site.yaml"])
    assert refused.exit_code == 2, "it is not installed yet"
    with plugins.installed(tmp_path, monkeypatch):
        runs = [runner.invoke(app, ["run", "site.yaml", "--quiet", "--json"]) for _ in range(2)]
    first, again = (json.loads(done.stdout) for done in runs)
    assert SEEN[page](first), first
    for told in (first, again):
        told.pop("wall_s")
    assert first == again


def test_a_package_works_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Nothing is prepared but the path: what the page says is all there is to it."""
    write_files(PROJECT / "docs/howto/router.md", tmp_path)
    plugins.install(tmp_path / "tenant-affinity", tmp_path)
    done = python(tmp_path, "-m", "dcsim", "run", "site.yaml", "--quiet", "--json")
    assert json.loads(done)["requests"]["completed"] > 0


@pytest.mark.skipif(not COMPILED, reason="serving is not compiled here (`make build`)")
def test_a_router_inherits_from_the_compiled_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(PROJECT / "docs/howto/router.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    with plugins.installed(tmp_path, monkeypatch):
        from tenant_affinity import TenantAffinity

        assert base.Router in TenantAffinity.__mro__
        done = runner.invoke(app, ["run", "site.yaml", "--quiet"])
    assert done.exit_code == 0, done.output


def python(folder: Path, *words: str) -> str:
    """What Python prints, with the folder and this dcsim on its path."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{folder}"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
