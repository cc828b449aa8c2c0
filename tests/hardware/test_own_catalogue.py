"""A catalogue of one's own: it adds, it is checked, and results name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcsim.errors import ScenarioError
from dcsim.hardware import load_catalogue
from dcsim.hardware.own_catalogue import own_sha256
from dcsim.results.versions import versions

CURVE = "ours:\n  title: Ours\n  points: [[1.1, 100], [2.0, 1]]\n  source: a test\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DCSIM_CATALOGUE", str(tmp_path))
    return tmp_path


def problems() -> list[str]:
    with pytest.raises(ScenarioError) as error:
        load_catalogue()
    return [str(problem) for problem in error.value.problems]


def test_it_adds(folder: Path) -> None:
    (folder / "curves.yaml").write_text(CURVE)
    catalogue = load_catalogue()
    assert catalogue.curves["ours"].points == ((1.1, 100.0), (2.0, 1.0))
    assert "thermal-magnetic" in catalogue.curves


def test_without_it_nothing_is_added(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "curves.yaml").write_text(CURVE)
    monkeypatch.delenv("DCSIM_CATALOGUE")
    assert "ours" not in load_catalogue().curves
    assert own_sha256() is None
    assert "catalogue" not in versions()


def test_results_name_it(folder: Path) -> None:
    (folder / "curves.yaml").write_text(CURVE)
    before = versions()["catalogue"]
    assert before.startswith("sha256:")
    (folder / "curves.yaml").write_text(CURVE.replace("100", "90"))
    assert versions()["catalogue"] != before


def test_all_that_is_wrong_is_told(folder: Path) -> None:
    (folder / "curves.yaml").write_text(CURVE.replace("100", "0.5"))
    (folder / "losses.yaml").write_text("ups-eco: {}\nlist: [1]\n")
    (folder / "gpus.yaml").write_text("a: {title: x\n")
    told = "\n".join(problems())
    assert f"{folder}/curves.yaml:1: ours: points must have rising multiples" in told
    assert f"{folder}/losses.yaml:1: ups-eco: is in the shipped catalogue already" in told
    assert f"{folder}/losses.yaml:2: list: expected a block" in told
    assert f"{folder}/gpus.yaml:" in told and "not YAML" in told


def test_a_folder_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCSIM_CATALOGUE", str(folder / "no"))
    assert problems() == [f"DCSIM_CATALOGUE: there is no folder {folder}/no"]


def test_a_list_that_is_too_short_is_told(folder: Path) -> None:
    (folder / "curves.yaml").write_text(CURVE.replace(", [2.0, 1]", ""))
    assert problems() == [f"{folder}/curves.yaml:3: ours.points: expected at least 2 items, not 1"]
