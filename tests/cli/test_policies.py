"""Policies that cannot work on a site: told with file, line and path before anything is played."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from tests.cli.test_run import SCENARIO

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("policy", "path", "expected"),
    [
        ("policy: admission-throttle, nodes: rwo", "nodes", "no node is called 'rwo'"),
        ("policy: admission-throttle, nodes: site", "nodes", "no site has a rating"),
        ("policy: dual-threshold, low_priority: [b100]", "low_priority", "did you mean 'a100'"),
        ("policy: static-cap, gpu_power: 60 W", "gpu_power", "no more than a GPU draws at rest"),
        ("policy: static-cap, server_power: 1 kW", "server_power", "a server draws at rest"),
        ("policy: static-cap, clock: 0.5, groups: [x]", "groups", "no server is of a group 'x'"),
        ("policy: row-budget, budget: 2 kW", "budget", "no more than the servers under row draw"),
        ("policy: battery-shave", "nodes", "there is no battery at or below row"),
        ("policy: static-cap", "", "caps nothing"),
        ("policy: row-budget, target: 0.5", "", "must rise in this order"),
        ("policy: dual-threshold, first: 0.9", "", "`first` must be less than `second`"),
        ("policy: batch-limit, max_batch: 4, below: 1.2", "", "`below` must be less than `above`"),
    ],
)
def test_what_cannot_work_is_told(tmp_path: Path, policy: str, path: str, expected: str) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(SCENARIO + f"control:\n  - {{{policy}}}\n")
    line = len(file.read_text().splitlines())
    for command in ("validate", "run"):
        done = RUNNER.invoke(app, [command, str(file)])
        assert done.exit_code == 2
        assert f"tiny.yaml:{line}: control.0" + (f".{path}" if path else "") in done.stderr
        assert expected in done.stderr


def test_all_of_them_at_once_are_told(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(
        SCENARIO + "control:\n  - {policy: battery-shave}\n  - {policy: row-budget, nodes: x}\n"
    )
    done = RUNNER.invoke(app, ["validate", str(file)])
    assert "control.0.nodes" in done.stderr and "control.1.nodes" in done.stderr
    assert "2 problems" in done.stderr
