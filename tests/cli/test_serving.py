"""`dcsim serving capacity`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from tests.engine.sites import HOLES, SITE

RUN = CliRunner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.format(**{**HOLES, "duration": "10 min"}), encoding="utf-8")
    return path


def test_estimate_and_play_agree(file: Path) -> None:
    done = RUN.invoke(app, ["serving", "capacity", str(file), "--at", "0.1,1", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    (model,) = found["models"]
    (group,) = found["groups"]
    assert group["capacity_per_s"] == pytest.approx(8 * group["capacity_per_s_replica"])
    assert model["estimate_per_s"] == pytest.approx(group["capacity_per_s"])
    assert model["played_per_s"] == pytest.approx(model["estimate_per_s"], rel=0.1)
    low, high = found["watts"]
    assert 1000 < low["server_w"] < high["server_w"] < 4200
    assert low["ttft_s"] < high["ttft_s"]


def test_a_promise_and_a_small_batch_are_seen(file: Path) -> None:
    few = ["--set", "servers.a100.engine.max_num_seqs=4", "--estimate", "--json"]
    done = RUN.invoke(app, ["serving", "capacity", str(file), *few])
    found = json.loads(done.stdout)
    assert found["groups"][0]["binds"] == "max_num_seqs"
    assert found["models"][0]["played_per_s"] is None
    assert found["watts"] == []
    promised = ["--set", "tenants=[{name: a, slo: {tpot: 40 ms}}]", "--estimate"]
    done = RUN.invoke(app, ["serving", "capacity", str(file), *promised])
    assert "within TPOT p99 40 ms by the estimate" in " ".join(done.stdout.split())


def test_pools_are_bound_by_the_smaller(tmp_path: Path) -> None:
    """Prompts and answers have servers of their own: the site serves what both can."""
    text = SITE.format(**{**HOLES, "duration": "10 min"})
    one = text[text.index("  - name: a100") : text.index("routing:")]
    two = one.replace("name: a100", "name: answers") + "    role: decode\n"
    text = text.replace(one, one + "    role: prefill\n" + two)
    text = text.replace(
        "parent: rack, count: 2, group: a100}",
        "parent: rack, count: 1, group: a100}\n"
        "  - {name: other, kind: server, parent: rack, count: 1, group: answers}",
    )
    path = tmp_path / "pools.yaml"
    path.write_text(text, encoding="utf-8")
    done = RUN.invoke(app, ["serving", "capacity", str(path), "--at", "1", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    parts = [group["capacity_per_s"] for group in found["groups"]]
    assert found["models"][0]["estimate_per_s"] == pytest.approx(min(parts))
    assert found["models"][0]["played_per_s"] == pytest.approx(min(parts), rel=0.15)
    assert {row["group"] for row in found["watts"]} == {"a100", "answers"}


def test_wrong_shares_are_told(file: Path) -> None:
    done = RUN.invoke(app, ["serving", "capacity", str(file), "--at", "much"])
    assert done.exit_code == 2
    assert "--at: shares above 0" in done.output
