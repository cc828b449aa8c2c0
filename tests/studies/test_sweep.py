"""Sweep and sizing as studies, and their commands."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pandas as pd
import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.errors import StudyError
from dcsim.studies import Runner, sizing_study, sweep
from tests.studies.small import TEXT, small

RUNNER = CliRunner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(TEXT)
    return path


def test_every_combination_or_pairs() -> None:
    over = {"workload.chat.arrivals.rate": ["1 req/s", "2 req/s"], "power_step": ["1 s", "500 ms"]}
    crossed = sweep(small(), over, runner=Runner(workers=1))
    assert crossed.tables["variants"].frame[list(over)].to_numpy().tolist() == [
        ["1 req/s", "1 s"],
        ["1 req/s", "500 ms"],
        ["2 req/s", "1 s"],
        ["2 req/s", "500 ms"],
    ]
    paired = sweep(small(), over, paired=True, runner=Runner(workers=1))
    assert paired.tables["variants"].frame[list(over)].to_numpy().tolist() == [
        ["1 req/s", "1 s"],
        ["2 req/s", "500 ms"],
    ]
    runs = crossed.frame
    assert runs.loc[2, "generated_tokens"] > 1.5 * runs.loc[0, "generated_tokens"]


def test_a_swept_seed_is_the_seed_that_is_played(tmp_path: Path) -> None:
    """As a path or as seeds: the same runs, each with its own numbers, none of them twice."""
    with Runner(tmp_path / "runs", workers=1) as runner:
        swept = sweep(small(), {"seed": [1, 2, 3]}, runner=runner)
        assert runner.executed == 3
        listed = sweep(small(), {"power_step": ["1 s"]}, seeds=[1, 2, 3], runner=runner)
        assert runner.executed == 3
    assert swept.frame["seed"].tolist() == [1, 2, 3]
    assert swept.inputs["seeds"] == [1, 2, 3]
    assert swept.frame["energy_wh"].nunique() == 3
    assert swept.frame["energy_wh"].tolist() == listed.frame["energy_wh"].tolist()
    for seeds in (2, [1], [4, 5]):
        with pytest.raises(StudyError, match="leave seed out of --over"):
            sweep(small(), {"seed": [1, 2, 3]}, seeds=seeds)


def test_sizing_puts_power_models_side_by_side() -> None:
    answer = sizing_study(
        small(), ["ledger", "board-limit", "nameplate"], windows_s=[1.0, 60.0], seeds=2
    )
    table = answer.frame.set_index(["model", "window_s"])
    assert table.loc[("board-limit", 60.0), "peak_w"] == pytest.approx(4 * (8 * 400 + 1000))
    assert table.loc[("nameplate", 60.0), "peak_w"] == pytest.approx(4 * 6500)
    assert table.loc[("ledger", 60.0), "nameplate_w"] == pytest.approx(4 * 6500)
    assert table.loc[("ledger", 1.0), "peak_w"] >= table.loc[("ledger", 60.0), "peak_w"]
    with pytest.raises(StudyError, match="did you mean 'gru'"):
        sizing_study(small(), ["gruu"])


def test_a_study_leaves_its_folder(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["study", "sweep", str(file), "--over", "power_step=[1 s, 2 s]", "--over"]
    command += ["seed=1:2:1", "--set", "record.server_step=2 s", "--out", str(out), "--quiet"]
    done = RUNNER.invoke(app, [*command, "--workers", "1", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    kept = json.loads((out / "study.json").read_text())
    assert (kept["format"], kept["status"], kept["study"]) == ("dcsim-study", "done", "sweep")
    assert kept["headline"] == told["headline"] == ["4 variants over power_step, seed, 1 seed each: 4 runs."]  # fmt: skip # noqa: E501
    assert len(told["tables"]["runs"]) == 4
    frame = pd.read_csv(out / "tables/runs.csv")
    assert frame["seed"].tolist() == [1, 2, 1, 2]
    assert frame["energy_wh"].nunique() == 4  # a seed among the values is really another seed
    assert len(list(out.glob("runs/*.json"))) == 4
    assert frame["site_mean_w"].tolist() == pytest.approx(
        [row["site_mean_w"] for row in told["tables"]["runs"]]
    )
    pd.testing.assert_frame_equal(pd.read_parquet(out / "tables/runs.parquet"), frame)
    with h5py.File(out / "tables.h5") as tables:
        assert tables["runs/seed"][:].tolist() == frame["seed"].tolist()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sweep", "--over", "power_step"], "has no values"),
        (["sweep", "--over", "power_step=1 s"], "is no list"),
        (["sweep", "--over", "power_stp=[1 s]"], "did you mean 'power_step'"),
        (["sweep", "--over", "seed=[1,2]", "--over", "power_step=[1 s]", "--paired"], "one length"),
        (["sweep", "--over", "seed=[1,2]", "--seeds", "2"], "leave seed out"),
        (["growth", "--factors", "2"], "two or more"),
        (["growth", "--start", "tomorrow"], "no day such as"),
        (["growth", "--fix", "x | y"], "has no cost"),
        (["growth", "--seeds", "0"], "--seeds 5"),
        (["growth", "--seeds", "1,1"], "named twice"),
        (["sizing", "--node", "roww"], "did you mean 'row'"),
        (["sizing", "--windows", "1"], "not a quantity"),
        (["sizing", "--out", __file__], "is a file"),
        (["sizing", "--out", str(Path(__file__).parent)], "something else than a study"),
        (["sizing", "--workers", "1", "--scheduler", "tcp://x:1"], "choose one"),
    ],
)
def test_what_is_meaningless_is_refused(file: Path, arguments: list[str], expected: str) -> None:
    name, *options = arguments
    done = RUNNER.invoke(app, ["study", name, str(file), *options, "--quiet"])
    assert done.exit_code == 2, done.output
    assert expected in done.stderr
