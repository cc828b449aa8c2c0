"""Refresh: fleets side by side, whole or in part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.studies import Crew, Fleet, refresh
from dcsim.studies.ask import variant
from tests.studies.small import TEXT, small


def asked(**more: object) -> object:
    return refresh(small(), [Fleet("tp4", {"servers.a100.tensor_parallel": 4})], seeds=2,
                   crew=Crew(workers=1), **more)  # fmt: skip


def test_constant_power_differs_by_what_is_printed_on_it() -> None:
    """4 servers of 8 x 400 W + 1 kW against half of them of 8 x 700 W + 2 kW, at board limits."""
    site = variant(small(), {"servers.0.power": {"model": "board-limit"}})
    fleet = Fleet("h100", {"servers.a100.server": "dgx-h100"})
    answer = refresh(site, [fleet], part={"a100": 0.5}, seeds=2, crew=Crew(workers=1))
    means = answer.frame.set_index("fleet")["site_mean_w"]
    assert means["as it is"] == pytest.approx(4 * 4200)
    from dcsim.scenario.catalogue import load_catalogue

    h100_w = 8 * 700 + load_catalogue().servers["dgx-h100"].non_gpu_w
    assert means["h100"] == pytest.approx(2 * 4200 + 2 * h100_w)
    assert "2 dgx-a100-80gb" in answer.reasons[1] and "2 dgx-h100" in answer.reasons[1]


def test_differences_are_taken_seed_by_seed() -> None:
    answer = asked()
    changes = answer.tables["changes"].frame.set_index("figure")
    row = changes.loc["tpot_p95_s"]
    assert row["after"] - row["before"] == pytest.approx(row["change"])
    assert row["change"] > 0  # half the GPUs a token
    assert row["change_low"] <= row["change"] <= row["change_high"]
    assert np.isnan(changes.loc["slo_loss", "change_share"])  # of nothing
    assert answer.headline[0].startswith("tp4: mean load ")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--change", "x"], "changes nothing"),
        (["--change", "x | power_step=1 s", "--change", "x | power_step=1 s"], "same name"),
        (["--change", "x | seed=2"], "--change: seed: the study gives every run its seed"),
        (["--change", "x | power_step=1 s", "--part", "a1000=0.5"], "did you mean 'a100'"),
        (["--change", "x | power_step=1 s", "--part", "a100=1"], "between 0 and 1"),
        (["--change", "x | power_step=1 s", "--part", "a100=0.1"], "give more"),
        (["--change", "x | power_step=1 s", "--part", "a100"], "GROUP=SHARE"),
        (["--change", "x | servers.a100.server=dgx-h1000"], "dgx-h100"),
    ],
)
def test_what_is_meaningless_is_refused(tmp_path: Path, options: list[str], expected: str) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    done = CliRunner().invoke(app, ["study", "refresh", str(file), *options, "--quiet"])
    assert done.exit_code == 2, done.output
    assert expected in done.stderr
