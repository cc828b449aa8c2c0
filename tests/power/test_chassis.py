"""The chassis against its closed form, its measured servers, and in a server's sum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.chassis import dc_watts, read
from dcsim.hardware.catalogue import load_catalogue
from dcsim.power.chassis import (
    Chassis,
    ChassisModel,
    ac_watts,
    chassis_table,
    efficiency,
)

KIND = Chassis(1200.0, 960.0, 0.06, 100.0, 19800.0, "fitted", "a test")


@settings(max_examples=50, deadline=None)
@given(st.floats(10.0, 19000.0))
def test_supplies_lose_and_the_inverse_is_one(dc_w: float) -> None:
    ac_w = float(ac_watts(dc_w, 19800.0))
    assert dc_w / 0.96 <= ac_w + 1e-9
    assert dc_watts(ac_w, 19800.0) == pytest.approx(dc_w, abs=3)


def test_titanium_points() -> None:
    assert efficiency(np.array([0.1, 0.2, 0.5, 1.0])).tolist() == [0.90, 0.94, 0.96, 0.91]


def test_fans_follow_with_their_time_constant() -> None:
    """After a jump of 4 kW: nothing of the fans at once, 63 % after a time constant, all later."""
    model = ChassisModel([KIND], 0.25)
    rest = np.array([960.0])
    for _ in range(10):
        model.step(rest)
    series = [float(model.step(np.array([4960.0]))[0]) for _ in range(4000)]
    dc_w = np.array([dc_watts(watts, KIND.rated_w) for watts in series]) - 4960.0 - 1200.0
    assert dc_w[0] == pytest.approx(0, abs=5)
    assert dc_w[399] == pytest.approx(0.06 * 4000 * (1 - np.exp(-1)), abs=5)
    assert dc_w[-1] == pytest.approx(0.06 * 4000, abs=5)


def test_servers_do_not_mix() -> None:
    both, alone = ChassisModel([KIND, KIND], 0.25), ChassisModel([KIND], 0.25)
    for step in range(20):
        together = both.step(np.array([1000.0 + 100 * step, 5000.0]))
        assert together[0] == alone.step(np.array([1000.0 + 100 * step]))[0]


def test_every_fitted_chassis_has_its_row() -> None:
    servers = load_catalogue().servers
    fitted = {name for name, kind in servers.items() if kind.chassis == "fitted"}
    assert fitted == set(chassis_table())
    for name in fitted:
        kind, row = servers[name], chassis_table()[name]
        gpu = load_catalogue().gpus[kind.gpu]
        assert row.gpu_idle_w == pytest.approx(kind.gpu_count * gpu.ledger_power.idle_w)
        flat_out = ChassisModel([row], 3600.0).step(np.array([kind.gpu_count * gpu.nameplate_w]))
        assert flat_out[0] < kind.nameplate_w


def test_at_rest_and_settled_as_measured(data: Path) -> None:
    """B200: the mean of both makers' servers at rest and settled under load lies within 8 %; they
    differ by more from one another. H200: at rest within 2 %."""
    folder = data / "measured" / "server_ac"
    table = chassis_table()
    h200 = [read(file) for file in sorted(folder.glob("v4.1*.csv"))]
    at_rest = ChassisModel([table["dgx-h200"]], 1.0).step(np.array([table["dgx-h200"].gpu_idle_w]))
    assert at_rest[0] == pytest.approx(np.median([watts.min() for watts in h200]), rel=0.02)
    row = table["dgx-b200"]
    for gpu_w, quantile in ((row.gpu_idle_w, 0), (8000.0, 90)):
        model = ChassisModel([row], 3600.0)
        found = float(model.step(np.array([gpu_w]))[0])
        for pattern in ("v5.1_SR680a*Offline*.csv", "v5.1_SR780a*405b*Offline*.csv"):
            (file,) = folder.glob(pattern)
            measured = float(np.percentile(read(file), quantile))
            assert found == pytest.approx(measured, rel=0.14 if quantile == 0 else 0.04)
