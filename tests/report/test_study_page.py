"""The page of a study's folder, and folders that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.errors import StudyPageError
from dcsim.report.page import study_page
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


def study_of(tmp_path: Path, *words: str) -> Path:
    """The folder of a study of the small site."""
    file, out = tmp_path / "small.yaml", tmp_path / words[0]
    file.write_text(TEXT)
    asked = ["study", words[0], str(file), *words[1:], "--out", str(out), "--workers", "1"]
    done = RUNNER.invoke(app, [*asked, "--quiet"])
    assert done.exit_code == 0, done.output
    return out


def test_load_nameplate_allowance_and_limit_stand_in_one_picture(tmp_path: Path) -> None:
    """Of two racks of 13 kW under 26 kW; the continuous allowance is 80 % of it."""
    for words, line in (
        (("sizing", "--node", "row"), "simulated"),
        (("oversubscription", "--max-trip", "0.6", "--fill", "rating"), "simulated"),
    ):
        out = study_of(tmp_path, *words)
        kept = json.loads((out / "study.json").read_text(encoding="utf-8"))
        main = kept["plots"][0]
        assert main["table"] == "together" and "allowance_w" in main["levels"]
        table = pd.read_csv(out / "tables" / "together.csv")
        assert set(table["line"]) == {line, "by nameplate"}
        assert set(table["limit_w"]) == {26_000.0}
        assert set(table["allowance_w"]) == {20_800.0}
        by_label = table[table["line"] == "by nameplate"]
        if "count" in table:
            assert (by_label["load_w"] == 13_000.0 * by_label["count"]).all()
        else:
            assert set(by_label["load_w"]) == {26_000.0}
        # In words, few, and of figures that are there.
        assert 2 < len(kept["cards"]) <= 6
        assert all(card["figure"] in kept["figures"] for card in kept["cards"])
        page = study_page(out)
        assert all(card["words"] in page for card in kept["cards"])
        # Tables for files are folded away, those for reading are not.
        assert page.count("<details") >= 2


def test_the_main_picture_of_a_study_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = study_of(tmp_path, "sizing")
    picture = tmp_path / "x.png"
    done = RUNNER.invoke(app, ["plot", str(out), "-o", str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"\x89PNG")
    again = tmp_path / "y.png"
    RUNNER.invoke(app, ["plot", str(out), "-o", str(again)])
    assert picture.read_bytes() == again.read_bytes()
    made = made_study(tmp_path / "made")
    for asked, told in (
        ([str(out), "-o", str(picture), "--kind", "load"], "a study has one picture"),
        ([str(tmp_path), "-o", str(picture)], "no study.json here"),
        ([str(out), "-o", str(tmp_path / "x.xyz")], "no format"),
    ):
        done = RUNNER.invoke(app, ["plot", *asked])
        assert (done.exit_code, told in done.stderr) == (2, True), done.output
    assert RUNNER.invoke(app, ["plot", str(made), "-o", str(picture)]).exit_code == 0


@pytest.mark.parametrize("kind", ["line", "step", "bar", "heat"])
def test_every_kind_of_picture_can_be_drawn(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib")
    plot = {"table": "racks", "title": "a $ b", "kind": kind, "x": "racks", "by": "policy",
            "y": ["trip_probability"], "limit": "accepted_probability"}  # fmt: skip
    out = made_study(tmp_path / "s", plots=[plot])
    done = RUNNER.invoke(app, ["plot", str(out), "-o", str(tmp_path / "x.svg")])
    assert done.exit_code == 0, done.output
    assert "polca" in (tmp_path / "x.svg").read_text(encoding="utf-8") or kind != "heat"
