"""What other programs are given: tables, a net on which a load flow runs, load shapes."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dcsim.engine import simulate
from dcsim.errors import ExportError, MissingExtraError
from dcsim.extras import optional
from dcsim.hardware import load_catalogue
from dcsim.results import Results
from dcsim.results.export.cables import LOAD_LOSS, NO_LOAD_LOSS, cable, split
from dcsim.results.export.loadshape import export_loadshapes
from dcsim.results.export.needs import whole_folder
from dcsim.results.export.network import Grid, export_network, network
from dcsim.results.export.tables import TABLES, export_tables
from dcsim.results.export.wiring import wiring
from dcsim.scenario import loads

SITE = """
name: exported
duration: 12 s
workload:
  - {name: chat, model: llama-3-8b, arrivals: {kind: poisson, rate: 8 req/s},
     tokens: {kind: fixed, prompt: 300, output: 40}}
servers:
  - {name: a100, server: dgx-a100-80gb, model: llama-3-8b, tensor_parallel: 8,
     power: {model: ledger}}
facility:
  - {name: site, kind: site}
  - {name: transformer, kind: transformer, parent: site, apparent_rating: 100 kVA,
     losses: transformer-liquid}
  - {name: ups-a, kind: ups, parent: transformer, rating: 40 kW, losses: ups-double-conversion}
  - {name: ups-b, kind: ups, parent: transformer, rating: 40 kW, losses: ups-double-conversion}
  - {name: row, kind: row, feeds: [ups-a, ups-b], rating: 50 kW}
  - {name: spare, kind: row, feeds: [ups-a, ups-b], transfer: static}
  - {name: rack, kind: rack, parent: row, count: 2, rating: 15 kW}
  - {name: lone, kind: rack, parent: spare}
  - {name: server, kind: server, parent: rack, count: 2, group: a100, power_factor: 0.95}
  - {name: last, kind: server, parent: lone, group: a100, power_factor: 0.95}
cooling: {pue: 1.1}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "r.h5"
    simulate(loads(SITE), path).close()
    return path


@pytest.fixture
def results(file: Path) -> Any:
    with Results.open(file) as found:
        yield found


# --- tables ----------------------------------------------------------------------------------


def test_tables_say_what_the_results_say(results: Results, tmp_path: Path) -> None:
    made = export_tables(results, tmp_path / "t", "csv")
    assert sorted(path.stem for path in made) == sorted(TABLES)
    loads_w = pd.read_csv(tmp_path / "t/loads_w.csv")
    assert list(loads_w.columns) == ["time_s", *results.nodes().query("kind != 'server'").index]
    expected = results.load_w("row").to_numpy()
    found = loads_w[[*results.load_w("row").columns]].to_numpy()
    assert found == pytest.approx(expected, rel=1e-7)
    requests = pd.read_csv(tmp_path / "t/requests.csv")
    assert len(requests) == len(results.requests()) > 50
    assert requests["ttft_s"].to_numpy() == pytest.approx(
        results.requests()["ttft_s"].to_numpy(), rel=1e-7, nan_ok=True
    )
    servers_w = pd.read_csv(tmp_path / "t/servers_w.csv")
    assert servers_w.shape == (12, 6)


def test_parquet_keeps_types_and_the_unknown(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    export_tables(results, tmp_path / "p", "parquet", every_s=2.0)
    loads_w = pd.read_parquet(tmp_path / "p/loads_w.parquet")
    assert loads_w["time_s"].tolist() == [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]
    assert loads_w["site"].mean() == pytest.approx(results.load_w("site")["site"].mean(), rel=1e-6)
    nodes = pd.read_parquet(tmp_path / "p/nodes.parquet").set_index("node")
    assert math.isnan(nodes["rating_w"]["site"])
    status = pd.read_parquet(tmp_path / "p/requests.parquet")["status"]
    assert set(status.astype(str)) <= {"completed", "running", "waiting"}


def test_an_interval_below_the_step_is_refused(results: Results, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"every 0\.25 s: no means over 0\.1 s"):
        export_tables(results, tmp_path / "t", "csv", every_s=0.1)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_lost(results: Results, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "kept").write_text("mine")
    with pytest.raises(ExportError, match="--force"):
        export_tables(results, out, "csv")
    assert (out / "kept").read_text() == "mine"
    with pytest.raises(RuntimeError), whole_folder(out, force=True) as part:
        (part / "half").write_text("")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (out / "kept").exists()
    with pytest.raises(ExportError, match="no folder"), whole_folder(tmp_path / "a/b", force=True):
        pass


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr("dcsim.extras.import_module", absent)
    with pytest.raises(MissingExtraError, match=r"needs pandapower.*pip install 'dcsim\[export\]'"):
        optional("pandapower.control", "--to pandapower")
    # A library that is there but broken is not told to be absent.
    monkeypatch.setattr("dcsim.extras.import_module", lambda _: importlib.import_module("no_such"))
    with pytest.raises(ModuleNotFoundError):
        optional("pandapower", "x")


# --- OpenDSS ---------------------------------------------------------------------------------


def test_load_shapes(results: Results, tmp_path: Path) -> None:
    made = export_loadshapes(results, tmp_path / "d", every_s=1.0)
    script = (tmp_path / "d/loadshapes.dss").read_text()
    shapes = [line for line in script.splitlines() if line.startswith("New Loadshape.")]
    assert len(shapes) == len(made) - 1 == 3
    for line, rack in zip(shapes, results.load_w("rack").columns, strict=True):
        words = dict(word.split("=", 1) for word in line.split("  !")[0].split()[2:])
        assert (words["npts"], words["sinterval"], words["useactual"]) == ("12", "1", "yes")
        file = words["mult"].removeprefix("(file=").rstrip(")")
        values = [float(row) for row in (tmp_path / "d" / file).read_text().split()]
        expected = results.load_w("rack", 1.0)[rack].to_numpy() / 1e3
        assert values == pytest.approx(expected, rel=1e-5)
        name = line.split()[1].removeprefix("Loadshape.")
        assert "." not in name and "/" not in name
    assert len(export_loadshapes(results, tmp_path / "e", kind="server")) == 6
    with pytest.raises(ExportError, match="no pdu in this site; there is site"):
        export_loadshapes(results, tmp_path / "f", kind="pdu")


# --- pandapower ------------------------------------------------------------------------------


@pytest.fixture
def flow(results: Results, tmp_path: Path) -> Any:
    """The net, read back from its file, after a load flow."""
    pandapower = pytest.importorskip("pandapower")
    export_network(results, tmp_path / "net.json")
    net = pandapower.from_json(str(tmp_path / "net.json"))
    pandapower.runpp(net, numba=False)
    return net


def test_what_the_grid_gives_is_what_the_site_drew(results: Results, flow: Any) -> None:
    """Cables and the transformer's copper are all that a load flow adds to our own sums."""
    site_w = results.load_w("site")["site"]
    peak_s = flow["dcsim"]["loads_at_s"]
    assert site_w[peak_s] == site_w.max()
    cables_mw = flow.res_line.pl_mw.sum()
    assert flow.res_ext_grid.p_mw[0] - cables_mw == pytest.approx(site_w.max() / 1e6, rel=2e-3)
    assert 0 < cables_mw < 0.01 * site_w.max() / 1e6


def test_each_line_carries_its_node(results: Results, flow: Any) -> None:
    at_s = flow["dcsim"]["loads_at_s"]
    for bus, name in (("rack", "row/rack-1"), ("rack", "spare/lone"), ("ups", "ups-a")):
        full = next(node for node in results.nodes().index if node.endswith(name))
        expected = results.load_w(bus)[full][at_s] / 1e6
        into = flow.line[flow.line.name.str.contains(f"> {full}(?:@|$)", regex=True)].index
        assert flow.res_line.p_from_mw[into].sum() == pytest.approx(expected, rel=0.01)


def test_two_cords_stay_apart_and_a_switch_stays_open(results: Results, flow: Any) -> None:
    names = set(flow.bus.name)
    ups = [name for name in results.nodes().index if "ups-" in name]
    row = next(name for name in results.nodes().index if name.endswith("row"))
    assert {f"{row}@{feed}" for feed in ups} <= names
    assert row not in names
    assert flow.switch.closed.tolist() == [False]
    lone = flow.load[flow.load.name.str.contains("lone")]
    assert len(lone) == 1
    tan = math.tan(math.acos(0.95))
    assert lone.q_mvar.iloc[0] == pytest.approx(lone.p_mw.iloc[0] * tan)


def test_ratings_are_there_and_the_unknown_is_unknown(flow: Any) -> None:
    rated = flow.line[flow.line.name.str.contains("> .*rack-1@", regex=True)].iloc[0]
    amperes = 15e3 / (math.sqrt(3) * 415)
    assert rated.max_i_ka * rated.parallel * 1e3 == pytest.approx(amperes)
    lone = flow.line[flow.line.name.str.contains("lone")].iloc[0]
    assert math.isnan(lone.max_i_ka)
    assert flow.trafo.sn_mva.tolist() == [0.1]
    assert flow.trafo.vk_percent.tolist() == [4.0]
    racks = flow.load[flow.load.name.str.contains("rack-1@")]
    assert racks.max_p_mw.sum() == pytest.approx(2 * 6.5e-3)


def test_the_time_series_play(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("pandapower")
    from pandapower.timeseries import OutputWriter, run_timeseries

    net = network(results, every_s=3.0)
    writer = OutputWriter(net, output_path=None, log_variables=[("res_ext_grid", "p_mw")])
    run_timeseries(net, time_steps=range(4), verbose=False, numba=False)
    grid_mw = writer.np_results["res_ext_grid.p_mw"][:, 0]
    assert grid_mw == pytest.approx(results.load_w("site", 3.0)["site"].to_numpy() / 1e6, rel=0.01)
    assert net["dcsim"]["series_end_s"] == [3.0, 6.0, 9.0, 12.0]


def test_an_instant_of_ones_own(results: Results) -> None:
    pytest.importorskip("pandapower")
    net = network(results, Grid(low_v=480.0), at_s=5.9)
    assert net["dcsim"]["loads_at_s"] == 6.0
    assert set(net.bus.vn_kv) == {13.8, 0.48}
    with pytest.raises(ExportError, match="the run ends at 12 s"):
        network(results, at_s=12.1)


def test_the_wiring_has_the_nodes_of_the_results(results: Results) -> None:
    wires = wiring(results)
    assert {wire.name for wire in wires} == set(results.nodes().index)
    kinds = results.nodes()["kind"]
    assert all(kinds[wire.name] == wire.kind for wire in wires)
    seen: set[str] = set()
    for wire in wires:
        assert set(wire.feeds) <= seen
        assert sum(wire.shares) == pytest.approx(1.0 if wire.feeds else 0.0)
        seen.add(wire.name)


# --- what cables and transformers are taken to be ---------------------------------------------


def test_cables_suffice_for_their_rating() -> None:
    for rating_w in (5e3, 200e3, 3e6):
        made = cable(rating_w, 0.0, 0.415)
        amperes = rating_w / (math.sqrt(3) * 415.0)
        assert made["parallel"] * 270.0 >= amperes > (made["parallel"] - 1) * 270.0
    assert math.isnan(cable(None, 100e3, 0.415)["max_i_ka"])


def test_the_transformers_losses_are_those_of_the_law() -> None:
    """10 CFR 431.196: 99.53 % at half load, and there no-load and load loss are equal."""
    at_half = 0.5 / (0.5 + NO_LOAD_LOSS + LOAD_LOSS * 0.25)
    assert at_half == pytest.approx(0.9953, abs=1e-6)
    no_load, full = split(load_catalogue().losses["transformer-liquid"])
    assert (no_load, full) == pytest.approx((NO_LOAD_LOSS, LOAD_LOSS), rel=0.03)
    for share in np.linspace(0.1, 1.25, 8):
        curve = load_catalogue().losses["transformer-liquid"].points
        efficiency = np.interp(share, [x for x, _ in curve], [y for _, y in curve])
        lost = share * (1 / efficiency - 1)
        assert no_load + full * share**2 == pytest.approx(lost, rel=0.06)
