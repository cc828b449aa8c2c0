"""`dcsim explain` and `dcsim schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app

runner = CliRunner()


def test_a_key_in_full() -> None:
    done = runner.invoke(app, ["explain", "servers.*.engine.max_num_seqs"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "servers.*.engine.max_num_seqs\n"
        "  meaning:  Requests in one batch.\n"
        "  type:     whole number, 1 or more\n"
        "  default:  256\n"
        "  example:  max_num_seqs: 256\n"
        "  source:   dcsim.scenario.models.servers.Engine\n"
    )


def test_a_block_lists_its_keys() -> None:
    shown = runner.invoke(app, ["explain", "row.breaker"]).stdout
    assert shown.startswith("facility.*.breaker\n")
    assert "facility.*.breaker.electronic" in shown
    assert "facility.*.breaker.electronic.long_pickup" not in shown


def test_the_top() -> None:
    shown = runner.invoke(app, ["explain"]).stdout
    assert "  duration     Simulated time (required)\n" in shown


def test_kinds_are_told_apart() -> None:
    shown = runner.invoke(app, ["explain", "workload.chat.arrivals.rate"]).stdout
    assert "with kind: poisson, gamma, weibull:" in shown
    assert "the fit's own" in shown
    assert "only with kind: gamma\n" in runner.invoke(app, ["explain", "burstiness"]).stdout
    assert "kind: mmpp" in runner.invoke(app, ["explain", "arrivals.kind"]).stdout


def test_many_keys_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcsim.cli.explain.MANY", 2)
    shown = runner.invoke(app, ["explain", "rating"]).stdout
    assert shown.startswith("facility.*.rating") and "meaning:" in shown
    shown = runner.invoke(app, ["explain", "factor"]).stdout
    assert shown.startswith("3 keys end so:\n\n  workload.*.arrivals.spikes.*.factor")
    assert "meaning:" not in shown


@pytest.mark.parametrize("typed", ["max_num_seq", "servers.engine.max_num_seq"])
def test_a_near_miss(typed: str) -> None:
    done = runner.invoke(app, ["explain", typed])
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"no key '{typed}'" in done.stderr
    assert "did you mean servers.*.engine.max_num_seqs" in done.stderr


def test_the_schema_goes_to_screen_or_file(tmp_path: Path) -> None:
    shown = runner.invoke(app, ["schema"]).stdout
    assert json.loads(shown)["properties"]["duration"]["examples"] == ["250 ms"]
    path = tmp_path / "s.json"
    assert runner.invoke(app, ["schema", "-o", str(path)]).exit_code == 0
    assert path.read_text(encoding="utf-8") == shown
    done = runner.invoke(app, ["schema", "-o", str(tmp_path / "no/s.json")])
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
