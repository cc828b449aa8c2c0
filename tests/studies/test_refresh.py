"""Refresh: fleets side by side, whole or in part."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.hardware.catalogue import load_catalogue
from dcsim.studies import FleetVariant, Runner, refresh
from dcsim.studies.ask import variant
from tests.studies.small import TEXT, small


def asked(**more: object) -> object:
    return refresh(small(), [FleetVariant("tp4", {"servers.a100.tensor_parallel": 4})], seeds=2,
                   runner=Runner(workers=1), **more)  # fmt: skip


def test_constant_power_differs_by_what_is_printed_on_it() -> None:
    """4 servers of 8 x 400 W + 1 kW against half of them of 8 x 700 W + 2 kW, at board limits."""
    site = variant(small(), {"servers.0.power": {"model": "board-limit"}})
    fleet = FleetVariant("h100", {"servers.a100.server": "dgx-h100"})
    answer = refresh(site, [fleet], part={"a100": 0.5}, seeds=2, runner=Runner(workers=1))
    means = answer.frame.set_index("fleet")["site_mean_w"]
    assert means["as it is"] == pytest.approx(4 * 4200)
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


def test_a_change_is_off_by_what_differs() -> None:
    """Half the servers get other GPUs. 4 kW of the old fleet's GPUs (4.8 % in the median) and 1 kW
    assumed beside them were a share of all, and are a smaller one of the new: that much of their
    error does not cancel, and all of the new servers' own does not."""
    site = variant(small(), {"servers.0.power": {"model": "board-limit"}})
    fleet = FleetVariant("h100", {"servers.a100.server": "dgx-h100"})
    answer = refresh(site, [fleet], part={"a100": 0.5}, seeds=1, runner=Runner(workers=1))
    rest_w = load_catalogue().servers["dgx-h100"].non_gpu_w
    before_w, after_w = 4 * 4200.0, 2 * 4200.0 + 2 * (5600.0 + rest_w)
    gpu, other = 0.048 / 0.6745, 0.1
    kept_gpu = gpu * (2 * 3200 / after_w - 4 * 3200 / before_w)
    kept_other = other * (2 * 1000 / after_w - 4 * 1000 / before_w)
    new_gpu, new_other = gpu * 2 * 5600 / after_w, other * 2 * rest_w / after_w
    deviation = math.sqrt(kept_gpu**2 + kept_other**2 + new_gpu**2 + new_other**2)
    changes = answer.tables["changes"].frame.set_index("figure")
    for key in ("site_mean_w", "site_peak_window_w", "wh_per_1000_tokens"):
        row = changes.loc[key]
        ratio = 1 + row["change_share"]
        assert row["change_band_low"] == pytest.approx(
            ratio * (1 - 1.6449 * deviation) - 1, abs=1e-5
        )
        assert row["change_band_high"] == pytest.approx(
            ratio * (1 + 1.6449 * deviation) - 1, abs=1e-5
        )
    assert np.isnan(changes.loc["tpot_p95_s", "change_band_low"])
    low, high = (100 * changes.loc["site_mean_w", f"change_band_{end}"] for end in ("low", "high"))
    assert f"mean load {low:+.1f} to {high:+.1f} %" in answer.headline[1]


def test_a_fleet_that_is_the_same_is_off_by_nothing() -> None:
    """The same watts in both: whatever they are off by, the change is not."""
    site = variant(small(), {"servers.0.power": {"model": "board-limit"}})
    fleet = FleetVariant("same", {"servers.a100.engine.max_num_seqs": 128})
    answer = refresh(site, [fleet], seeds=1, runner=Runner(workers=1))
    row = answer.tables["changes"].frame.set_index("figure").loc["site_mean_w"]
    assert row["change_share"] == row["change_band_low"] == row["change_band_high"] == 0.0


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
