"""The page of a study's folder, and folders that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.report.page import StudyPageError, study_page
from tests.report.made_study import made_study
from tests.studies.small import TEXT

RUNNER = CliRunner()


def test_it_holds_answer_inputs_and_evidence(tmp_path: Path) -> None:
    page = study_page(made_study(tmp_path / "s"))
    assert "fix &lt;it&gt; by then" in page
    assert "growth_per_year" in page and "Five seeds: the date moves" in page
    assert "a &lt;b&gt;paper&lt;/b&gt;" in page
    assert len(page) < 10e6


@pytest.mark.parametrize("status", ["running", "stopped", "failed"])
def test_a_study_without_an_answer_says_so(tmp_path: Path, status: str) -> None:
    page = study_page(
        made_study(tmp_path / "s", status=status, error="no <b>space</b>", tables=[], plots=[])
    )
    assert "no &lt;b&gt;space&lt;/b&gt;" in page


def test_what_is_no_study_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyPageError, match=r"no study\.json"):
        study_page(tmp_path)
    folder = made_study(tmp_path / "s")
    (folder / "tables" / "racks.csv").unlink()
    with pytest.raises(StudyPageError, match="damaged table racks"):
        study_page(folder)
    (folder / "study.json").write_text("{")
    with pytest.raises(StudyPageError, match="damaged"):
        study_page(folder)
    (folder / "study.json").write_text(json.dumps({"format": "dcsim-study", "format_version": 99}))
    with pytest.raises(StudyPageError, match="reads up to 1"):
        study_page(folder)
    done = RUNNER.invoke(app, ["report", str(folder)])
    assert (done.exit_code, "format version 99" in done.stderr) == (2, True)


def test_from_a_question_to_its_page(tmp_path: Path) -> None:
    """The folder that a study really leaves."""
    file, out = tmp_path / "small.yaml", tmp_path / "out"
    file.write_text(TEXT)
    asked = ["study", "sizing", str(file), "--models", "ledger,nameplate", "--out", str(out)]
    assert RUNNER.invoke(app, [*asked, "--workers", "1", "--quiet"]).exit_code == 0
    done = RUNNER.invoke(app, ["report", str(out)])
    assert done.exit_code == 0, done.output
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Sizing: small" in page and "nameplate" in page
