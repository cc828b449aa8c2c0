"""`dcsim explain` and `dcsim schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.hardware.catalogue import load_catalogue
from dcsim.scenario.describe import models_in
from dcsim.scenario.models import Scenario

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


def test_every_kind_of_a_policy_is_told() -> None:
    """All that a key may say, whatever the kinds have in common."""
    shown = runner.invoke(app, ["explain", "control.policy"]).stdout
    kinds = [get_args(kind.model_fields["policy"].annotation)[0] for kind in models_in_control()]
    assert len(kinds) > 6
    assert all(f"policy: {kind} " in shown for kind in kinds)


def models_in_control() -> list[type]:
    return models_in(Scenario.model_fields["control"].annotation)


def test_an_example_is_of_its_own_key() -> None:
    """`at` is a time for a fault and a node for cooling: what is shown must load."""
    assert "example:  at: utility\n" in runner.invoke(app, ["explain", "cooling.at"]).stdout
    assert "example:  at: 2 h\n" in runner.invoke(app, ["explain", "faults.at"]).stdout


@pytest.mark.parametrize(
    ("key", "table"),
    [
        ("servers.model", "models"),
        ("servers.server", "servers"),
        ("workload.model", "models"),
        ("breaker.curve", "curves"),
        ("facility.losses", "losses"),
    ],
)
def test_names_of_the_catalogue_are_listed(key: str, table: str) -> None:
    shown = " ".join(runner.invoke(app, ["explain", key]).stdout.split())
    names = list(getattr(load_catalogue(), table))
    assert ", ".join(names) in shown
    assert f"`dcsim catalogue list {table}`" in shown


def test_the_catalogue_is_listed_with_its_figures() -> None:
    done = runner.invoke(app, ["catalogue", "list", "--json"])
    found = json.loads(done.stdout)
    catalogue = load_catalogue()
    for table in ("gpus", "models", "servers", "curves", "losses"):
        assert [row["name"] for row in found[table]] == list(getattr(catalogue, table))
    h100 = next(row for row in found["servers"] if row["name"] == "dgx-h100")
    # NVIDIA's data sheets: 10.2 kW for the server, 700 W a GPU.
    assert (h100["nameplate_w"], h100["board_limits_w"]) == (10_200.0, 5600.0)
    llama = next(row for row in found["models"] if row["name"] == "llama-3-70b")
    # 80 layers, 8 heads of 128 numbers for keys and as many for values, 2 bytes each.
    assert llama["kv_kb_per_token"] == pytest.approx(2 * 80 * 8 * 128 * 2 / 1e3)
    for table in ("gpus", "models", "servers", "curves", "losses"):
        shown = runner.invoke(app, ["catalogue", "list", table])
        assert shown.exit_code == 0
        assert all(row["name"] in shown.stdout for row in found[table])
    names = runner.invoke(app, ["catalogue", "list"]).stdout
    assert "servers: dgx-a100-80gb, dgx-h100" in names


def test_the_users_own_names_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "losses.yaml").write_text(
        "mine:\n  title: Mine\n  points: [[0.5, 0.9], [1.0, 0.95]]\n  source: me\n"
    )
    monkeypatch.setenv("DCSIM_CATALOGUE", str(tmp_path))
    assert "mine" in runner.invoke(app, ["catalogue", "list", "losses"]).stdout
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "losses.yaml").write_text("mine: 3\n")
    monkeypatch.setenv("DCSIM_CATALOGUE", str(broken))
    done = runner.invoke(app, ["catalogue", "list"])
    assert done.exit_code == 2
    assert "losses.yaml:1" in done.stderr
