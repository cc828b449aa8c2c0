"""What is written: complete or absent (invariant 12), the same bytes (11), energy kept (5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcsim.errors import ResultsError
from dcsim.results import Results
from dcsim.results.recorder import NodeTable
from tests.results.made import NODES, event, loads, record, recorder, records


def test_complete_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_text("an older result")
    made = recorder(path)
    made.step(loads(1)[0])
    made.requests(records())
    assert path.read_text() == "an older result"
    assert len(list(tmp_path.iterdir())) == 2
    made.abort()
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]
    assert path.read_text() == "an older result"
    record(path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]
    Results.open(path).close()


def test_a_missing_folder_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such folder"):
        recorder(tmp_path / "none" / "run.h5")


def test_same_input_same_bytes(tmp_path: Path) -> None:
    record(tmp_path / "a.h5")
    record(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("steps", [1, 3, 4, 42, 9000])
def test_loads_come_back(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "run.h5"
    summary = record(path, steps)
    wanted = loads(steps)
    with Results.open(path) as results:
        site, rows, servers = (results.load_w(kind) for kind in ("site", "row", "server"))
    assert rows.columns.tolist() == ["row-1", "row-2"]
    assert site.index.to_numpy() == pytest.approx(0.25 * np.arange(1, steps + 1))
    assert rows.to_numpy() == pytest.approx(wanted[:, 1:3], rel=1e-6)
    whole = steps // 4 * 4
    means = wanted[:whole, 3:].reshape(-1, 4, 3).mean(axis=1)
    assert servers.to_numpy()[: whole // 4] == pytest.approx(means, rel=1e-6)
    assert len(servers) == -(-steps // 4)
    assert servers.index[-1] == pytest.approx(0.25 * steps)
    if steps > whole:
        assert servers.iloc[-1].to_numpy() == pytest.approx(wanted[whole:, 3:].mean(axis=0))
    energy = {node["name"]: node["energy_wh"] for node in summary["nodes"]}
    assert energy["site"] == pytest.approx(wanted[:, 0].sum() * 0.25 / 3600, rel=1e-12)
    assert energy["row-1"] == pytest.approx(energy["row-1/a"] + energy["row-1/b"], rel=1e-12)


def test_many_nodes_and_percentiles_by_column_blocks(tmp_path: Path) -> None:
    rows, servers, steps = 150, 200, 700
    kinds = ["site"] + ["row"] * rows + ["server"] * servers
    table = NodeTable(
        [f"n{i}" for i in range(len(kinds))],
        kinds,
        np.full(len(kinds), np.nan),
        np.zeros(len(kinds), dtype=np.int64),
    )
    made = recorder(tmp_path / "run.h5", nodes=table, server_step_s=0.25)
    values = np.random.default_rng(1).uniform(0, 1000, (steps, len(kinds)))
    for row in values:
        made.step(row)
    found = made.percentile_w(99)
    assert found == pytest.approx(np.percentile(values.astype(np.float32), 99, axis=0), rel=1e-6)
    made.abort()


def test_server_step_must_be_a_multiple(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="whole multiple"):
        recorder(tmp_path / "run.h5", server_step_s=0.6)
    assert not list(tmp_path.iterdir())


def test_requests_and_events(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    record(path)
    with Results.open(path) as results:
        requests, events, nodes = results.requests(), results.events(), results.nodes()
    assert requests["status"].tolist() == ["completed", "completed", "failed", "running"]
    assert requests["tpot_s"].iloc[0] == pytest.approx(0.1)
    # One token has no gaps; the end of a request that failed is not that of its last token.
    assert requests["tpot_s"].isna().tolist() == [False, True, True, True]
    assert events["kind"].tolist() == ["warning", "cleared"]
    assert events["margin_w"].tolist() == [900.0, 900.0]
    assert events["node"].tolist() == ["row-1", "row-1"]
    assert events["node_kind"].tolist() == ["row", "row"]
    assert nodes.loc["row-1/b", "parent"] == "row-1"
    assert nodes["parent"].isna().tolist() == [True] + [False] * 5
    assert np.isnan(nodes.loc["site", "rating_w"])


def test_requests_may_be_left_out_but_not_their_latencies(tmp_path: Path) -> None:
    kept = record(tmp_path / "a.h5")
    left = record(tmp_path / "b.h5", keep_requests=False)
    assert kept["latency"] == left["latency"]
    with Results.open(tmp_path / "b.h5") as results:
        left_out = results.requests()
    with Results.open(tmp_path / "a.h5") as results:
        assert left_out.empty
        assert left_out.columns.tolist() == results.requests().columns.tolist()


def test_resample(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    record(path, 400)
    with Results.open(path) as results:
        rows = results.load_w("row", resample="10s")
    assert rows.index.tolist() == [10.0 * k for k in range(1, 11)]
    wanted = loads(400)[:, 1:3].reshape(10, 40, 2).mean(axis=1)
    assert rows.to_numpy() == pytest.approx(wanted, rel=1e-6)


def test_unknown_kind_names_those_that_are(tmp_path: Path) -> None:
    record(tmp_path / "run.h5")
    with (
        Results.open(tmp_path / "run.h5") as results,
        pytest.raises(KeyError, match="there is site, row, server"),
    ):
        results.load_w("rack")


def test_files_that_are_no_results(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "run.h5"
    with pytest.raises(FileNotFoundError, match="no such results"):
        Results.open(path)
    path.write_text("text")
    with pytest.raises(ResultsError, match="not an HDF5 file"):
        Results.open(path)
    record(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ResultsError):
        Results.open(path)
    path.write_bytes(whole)
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(ResultsError, match="format version 99"):
        Results.open(path)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "another"
    with pytest.raises(ResultsError, match="not one of dcsim"):
        Results.open(path)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "dcsim-results"
    with pytest.raises(ResultsError, match="parts missing"):
        Results.open(path)


def test_event_counts_leave_out_what_is_cleared(tmp_path: Path) -> None:
    made = recorder(tmp_path / "run.h5")
    for kind in ("warning", "overload", "cleared", "overload", "trip"):
        made.event(event(kind))
    assert made.event_counts == {"warning": 1, "overload": 2, "cleared": 1, "trip": 1}
    made.abort()
    assert NODES.names[0] == "site"
