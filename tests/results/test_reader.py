"""What is read back: means over any interval, and one clear error for a damaged file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.errors import ResultsError
from dcsim.results import Results
from dcsim.results.recorder import NodeTable
from tests.results.made import loads, record, recorder


@settings(max_examples=30, deadline=None)
@given(
    steps=st.integers(1, 300),
    window=st.sampled_from([1, 2, 4, 7, 400]),
    width=st.sampled_from([0.25, 1.0, 1.75, 10.0, 60.0]),
)
def test_no_energy_is_lost_by_averaging(
    tmp_path_factory: pytest.TempPathFactory, steps: int, window: int, width: float
) -> None:
    """Invariant 5 on file: watts times the length of their interval, whatever the interval."""
    path = tmp_path_factory.mktemp("mean") / "run.h5"
    record(path, steps, server_step_s=0.25 * window)
    wanted_j = loads(steps).sum(axis=0) * 0.25
    with Results.open(path) as results:
        for kind, nodes in (("site", [0]), ("row", [1, 2]), ("server", [3, 4, 5])):
            for resample in (None, width):
                if resample is not None and kind == "server" and width < 0.25 * window:
                    with pytest.raises(ValueError, match="recorded every"):
                        results.load_w(kind, resample)
                    continue
                frame = results.load_w(kind, resample)
                length_s = np.diff(frame.index.to_numpy(), prepend=0.0)
                if kind == "server" and resample and resample % (0.25 * window):
                    continue  # windows that straddle an interval count where they end
                energy_j = (frame.to_numpy(dtype=np.float64) * length_s[:, None]).sum(axis=0)
                assert energy_j == pytest.approx(wanted_j[nodes], rel=1e-6)
                assert frame.index[-1] == pytest.approx(0.25 * steps)


def test_scripts_with_the_former_name_still_run(tmp_path: Path) -> None:
    record(tmp_path / "run.h5", 500)
    with Results.open(tmp_path / "run.h5") as results:
        with pytest.warns(DeprecationWarning, match="load_w"):
            frame = results.load("row", resample=60.0)
        assert frame.equals(results.load_w("row", 60.0))


def test_text_and_seconds_mean_the_same(tmp_path: Path) -> None:
    record(tmp_path / "run.h5", 500)
    with Results.open(tmp_path / "run.h5") as results:
        minute = results.load_w("row", "1min")
        assert minute.equals(results.load_w("row", 60.0))
    assert minute.index.tolist() == [60.0, 120.0, 125.0]
    assert minute.iloc[-1].to_numpy() == pytest.approx(loads(500)[480:, 1:3].mean(axis=0))


def test_some_nodes_in_any_order(tmp_path: Path) -> None:
    record(tmp_path / "run.h5")
    with Results.open(tmp_path / "run.h5") as results:
        every = results.load_w("server")
        some = ["row-2/c", "row-1/a"]
        assert results.load_w("server", nodes=some).equals(every[some])
        minute = results.load_w("server", 5.0, nodes=some)
        assert minute.equals(results.load_w("server", 5.0)[some])
        with pytest.raises(KeyError, match="no server named row-1, x"):
            results.load_w("server", nodes=["row-1", "row-1/a", "x"])


def test_many_columns_are_averaged_in_blocks(tmp_path: Path) -> None:
    kinds = ["site"] + ["rack"] * 150 + ["server"]
    parents = np.array([-1] + [0] * 150 + [1])
    table = NodeTable([f"n{i}" for i in range(152)], kinds, np.full(152, np.nan), parents)
    made = recorder(tmp_path / "run.h5", nodes=table)
    values = np.random.default_rng(2).uniform(0, 9000, (100, 152))
    for row in values:
        made.step(row)
    made.finish({})
    with Results.open(tmp_path / "run.h5") as results:
        means = results.load_w("rack", 5.0).to_numpy()
    assert means == pytest.approx(values[:, 1:151].reshape(5, 20, 150).mean(axis=1), rel=1e-6)


def test_a_run_without_a_step(tmp_path: Path) -> None:
    """Shorter than one power step: empty frames, not errors."""
    made = recorder(tmp_path / "run.h5")
    made.finish({"requests": {}})
    with Results.open(tmp_path / "run.h5") as results:
        assert results.load_w("row").shape == (0, 2)
        assert results.load_w("server", "1min").shape == (0, 3)
        assert results.requests().empty
        assert results.events().empty


def test_provenance(tmp_path: Path) -> None:
    record(tmp_path / "run.h5")
    with Results.open(tmp_path / "run.h5") as results:
        assert results.provenance == {
            "seed": 3,
            "versions": {"python": "3"},
            "power_model": {"name": "ledger", "pack": None, "provenance": []},
        }
        assert results.scenario_yaml == "name: made\n"


@pytest.mark.parametrize("column", ["load/row_w", "load/server_w", "requests/ttft_s"])
def test_damage_is_told_not_read(tmp_path: Path, column: str) -> None:
    """One bit of a chunk turned: its checksum says so, no wrong watt comes out."""
    path = tmp_path / "run.h5"
    record(path, 3000)
    with h5py.File(path) as file:
        chunk = file[column].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)
    with Results.open(path) as results, pytest.raises(ResultsError, match="damaged"):
        if column == "requests/ttft_s":
            results.requests()
        else:
            results.load_w(column.removeprefix("load/").removesuffix("_w"))


def test_incomplete_and_closed_files(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    record(path)
    with h5py.File(path, "a") as file:
        del file["load/row_w"], file["requests/end_s"]
    results = Results.open(path)
    with pytest.raises(ResultsError, match="row_w"):
        results.load_w("row")
    with pytest.raises(ResultsError, match="end_s"):
        results.requests()
    results.close()
    with pytest.raises(ValueError, match="already closed"):
        results.load_w("site")
    assert results.summary["requests"]["arrived"] == 4
    with pytest.raises(ResultsError):
        Results.open(tmp_path)


@pytest.mark.parametrize(
    ("kind", "nodes", "told"),
    [
        ("a", None, "'a' is the server 'row-1/a': load_w('row-1/a')"),
        ("rows", None, "there is site, row, server; did you mean 'row'?"),
        ("row", ["row-11"], "no row named row-11 in this site (did you mean 'row-1'?)"),
    ],
)
def test_a_wrong_name_is_told_the_right_one(
    tmp_path: Path, kind: str, nodes: list[str] | None, told: str
) -> None:
    record(tmp_path / "run.h5")
    with Results.open(tmp_path / "run.h5") as results, pytest.raises(KeyError) as raised:
        results.load_w(kind, nodes=nodes)
    assert told in raised.value.args[0]


def test_a_node_is_read_by_its_name(tmp_path: Path) -> None:
    record(tmp_path / "run.h5")
    with Results.open(tmp_path / "run.h5") as results:
        for kind, name in (("row", "row-1"), ("server", "row-1/a")):
            assert results.load_w(name).equals(results.load_w(kind, nodes=[name]))


def test_results_show_themselves(tmp_path: Path) -> None:
    record(tmp_path / "run.h5")
    with Results.open(tmp_path / "run.h5") as results:
        shown, table = repr(results), results._repr_html_()
        nodes = [node for node in results.summary["nodes"] if node["kind"] != "server"]
    completed = results.summary["requests"]["completed"]
    assert shown.startswith("<Results run.h5: ")
    assert f"{completed} of 4 requests completed" in shown
    assert "closed" not in shown
    assert repr(results).endswith("closed>")
    assert table.count("<tr>") == 1 + len(nodes)
    for node in nodes:
        assert node["peak_w"] is not None
        assert f"<td>{node['name']}</td>" in table
        assert f"<td>{node['peak_w'] / 1e3:,.1f} kW</td>" in table
