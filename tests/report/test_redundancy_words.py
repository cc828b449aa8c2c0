"""N-1 of paired feeds as terminal, page and `--fail-on` tell it, of a hall worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.report.page.limits import paired
from dcsim.report.redundancy_words import lost, redundancy_line
from dcsim.results import Results

HALL = """
name: hall
duration: 20 s
warm_up: 0 s
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {kind: poisson, rate: 0.1 req/s}
    tokens: {kind: fit, name: azure-2023-conv}
servers:
  - {name: a, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8, power: POWER}
facility:
  - {name: site, kind: site}
  - {name: ups-a, kind: ups, parent: site, rating: RATING}
  - {name: ups-b, kind: ups, parent: site, rating: RATING}
  - {name: row, kind: row, feeds: [ups-a, ups-b]}
  - {name: server, kind: server, parent: row, count: 2, group: a}
""".replace("POWER", "{model: board-limit}")
"""Two servers at 8 x 400 W + 1 kW: 8.4 kW, half on each UPS."""
runner = CliRunner()


def played(folder: Path, rating: str, *words: str) -> tuple[int, str, str]:
    path = folder / "hall.yaml"
    path.write_text(HALL.replace("RATING", rating))
    asked = ["run", str(path), "--force", "--out", str(folder / "hall.h5"), *words]
    done = runner.invoke(app, asked)
    return done.exit_code, " ".join(done.stdout.split()), done.stderr


def test_a_pair_that_could_not_bear_a_loss_is_told_everywhere(tmp_path: Path) -> None:
    """8.4 kW on one UPS of 7 kW: 120 %, though each carries 60 % and no limit is crossed."""
    status, out, err = played(tmp_path, "7 kW", "--fail-on", "limit,redundancy")
    assert status == 3
    assert "N-1 NOT kept: with ups-" in out
    assert "would have carried 8.40 kW" in out
    assert "120.0 % of the 7.00 kW that it may carry for good: too much for 20 s" in out
    assert "failed on redundancy: 2 survivors could not have carried the load: ups-" in err
    assert "failed on limit" not in err
    with Results.open(tmp_path / "hall.h5") as results:
        rows = results.summary["redundancy"]
    assert len(lost(rows)) == 2
    ((name, value, note),) = paired(rows, None)
    assert (name, value) == ("Survivor, one feed lost", "120.0 %")
    assert note.startswith("N-1 NOT kept")


def test_a_pair_that_could_is_told_too(tmp_path: Path) -> None:
    status, out, err = played(tmp_path, "10 kW", "--fail-on", "redundancy")
    assert (status, "failed" in err) == (0, False)
    assert "N-1 kept: with ups-" in out
    assert "84.0 % of the 10.0 kW that it may carry for good, the most of 2 survivors." in out


def test_a_site_without_paired_feeds_has_none_to_fail_on(tmp_path: Path) -> None:
    assert redundancy_line([], None) == ""
    assert paired([], None) == []
    path = tmp_path / "tree.yaml"
    path.write_text(
        HALL.replace("RATING", "7 kW").replace("feeds: [ups-a, ups-b]", "parent: ups-a")
    )
    done = runner.invoke(app, ["run", str(path), "--fail-on", "redundancy"])
    assert done.exit_code == 2
    assert "no node of the scenario has several" in " ".join(done.stderr.split())


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_the_worst_of_several_losses_is_told(share: float) -> None:
    row = {
        "node": "a", "survivor": "b", "would_carry_w": share * 1e4, "at_s": 5.0, "rating_w": 1e4,
        "limit_w": 1e4, "share": share, "over_s": 3.0,
    }  # fmt: skip
    small = {**row, "survivor": "c", "would_carry_w": 5e3, "share": 0.5, "over_s": 0.0}
    line = redundancy_line([row, small], None)
    assert "with a lost, b would have carried" in line
    assert ("NOT kept" in line) == (share > 1.0)
