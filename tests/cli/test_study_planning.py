"""`dcsim study oversubscription`, `policies` and `savings` as a planner types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from tests.studies.small import TEXT

runner = CliRunner()
QUICK = ["--workers", "1", "--quiet"]


@pytest.fixture
def site(tmp_path: Path) -> str:
    path = tmp_path / "site.yaml"
    path.write_text(TEXT.replace("duration: 60 s", "duration: 20 s"))
    return str(path)


def test_racks_by_the_paper_as_json_and_in_a_folder(site: str, tmp_path: Path) -> None:
    out = str(tmp_path / "racks")
    words = ["study", "oversubscription", site, "--rule", "paper", "--limit", "20 kW"]
    done = runner.invoke(app, [*words, "--models", "nameplate,ledger", "--out", out, *QUICK])
    assert done.exit_code == 0, done.output
    assert "nameplate: 1 racks fit under row (20 kW)." in done.output
    kept = json.loads((tmp_path / "racks" / "study.json").read_text())
    assert kept["study"] == "oversubscription"
    assert kept["figures"]["nameplate_count"] == 1
    assert kept["inputs"]["limit_w"] == 20_000.0


def test_policies_from_a_file(site: str, tmp_path: Path) -> None:
    block = tmp_path / "throttle.yaml"
    block.write_text("control:\n  - {policy: admission-throttle, nodes: row}\n")
    words = ["study", "policies", site, "--policy", "none", "--policy", f"held={block}"]
    done = runner.invoke(app, [*words, "--seeds", "1", "--json", *QUICK])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["figures"]["held_trip_probability"] == 0.0


def test_savings_with_a_tariff(site: str, tmp_path: Path) -> None:
    tariff = tmp_path / "tariff.yaml"
    tariff.write_text("energy: 0.1\nmeter: 10 s\n")
    words = ["study", "savings", site, "--racks", "3", "--tariff", str(tariff)]
    done = runner.invoke(app, [*words, "--capital-per-kw", "1000", "--json", *QUICK])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.output)["figures"]
    assert figures["capital_deferred"] == pytest.approx(13_000.0)
    assert figures["payback_years"] is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["oversubscription", "--under", "rwo"], "did you mean 'row'"),
        (["oversubscription", "--limit", "600"], "--limit"),
        (["oversubscription", "--max-trip", "0", "--seeds", "3"], "59 seeds"),
        (["oversubscription", "--policy", "x"], "names no control block"),
        (["policies", "--policy", "x=nothing.yaml"], "there is no file 'nothing.yaml'"),
        (["savings", "--tariff", "nothing.yaml"], "there is no file 'nothing.yaml'"),
        (["savings"], "give --set 'duration=15 min'"),
    ],
)
def test_refused_with_what_to_do_instead(site: str, words: list[str], told: str) -> None:
    done = runner.invoke(app, ["study", words[0], site, *words[1:], *QUICK])
    assert done.exit_code == 2, done.output
    assert told in done.output + done.stderr
    assert "Traceback" not in done.output
