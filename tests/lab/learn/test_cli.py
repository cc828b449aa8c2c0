"""`dcsim power` from run folders to a pack that a model can be built from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dcsim.cli.power import app
from dcsim.ledger import GpuState
from dcsim.power import build
from dcsim.power.pack import load
from dcsim.scenario.models import Power
from tests.lab.learn.folder import IDLE_W, write_run
from tests.power.bench import CATALOGUE, QWEN, ledger


def dcsim_power(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], Result]:
    """A pack trained, for seconds, on two runs of known truth."""
    home = tmp_path_factory.mktemp("packs")
    folders = [home / "one", home / "two"]
    for folder in folders:
        write_run(folder, jitter_w=3.0)
    done = dcsim_power("train", *folders, "--out", home / "mine.h5", "--updates", 40)
    return home / "mine.h5", folders, done


def test_train_writes_a_pack_and_says_how_good_it_is(
    trained: tuple[Path, list[Path], Result],
) -> None:
    path, _, done = trained
    assert done.exit_code == 0, done.output
    assert "wrote" in done.output and QWEN.key in done.output
    assert (
        done.output.count("run left out") == 4
    )  # each run, at both resolutions, by a pack without it
    pack = load(path)
    assert set(pack.configs) == {QWEN.key}
    assert pack.configs[QWEN.key].evidence == "fitted"
    assert "one, two" in pack.configs[QWEN.key].source
    model = build(Power(pack=str(path)), [QWEN], CATALOGUE)
    model.reset([QWEN] * 50, 0.25, np.random.SeedSequence(1))
    nothing = {
        name: np.zeros(50) for name in ledger(1).__slots__ if name not in ("step_s", "state")
    }
    at_rest = ledger(50, **nothing, state=np.full(50, int(GpuState.IDLE)))
    watts = [model.step(at_rest).mean() for _ in range(40)]
    assert watts[-1] == pytest.approx(IDLE_W, rel=0.35)  # after seconds of training


def test_show_says_where_states_come_from() -> None:
    shown = dcsim_power("show", "gru-a100")
    assert shown.exit_code == 0
    assert "llama-3-70b_A100_tp8, 52,603 samples" in shown.output
    assert "unstated number of samples" in shown.output  # llama-3-8b on A100: not published


def test_wrong_input_is_named_and_nothing_written(tmp_path: Path) -> None:
    write_run(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    out = tmp_path / "pack.h5"
    for arguments, told in (
        (("train", tmp_path / "good", tmp_path / "bad", "--out", out), "bad: no manifest.json"),
        (("train", tmp_path / "good", "--out", tmp_path / "no" / "pack.h5"), "there is no folder"),
        (("train", tmp_path / "good", "--out", tmp_path / "pack"), "must end in .h5"),
        (
            ("evaluate", tmp_path / "good", "--pack", "gru-a1000"),
            "no pack is called 'gru-a1000'",
        ),
        (("evaluate", tmp_path / "bad"), "bad: no manifest.json"),
        (("evaluate", tmp_path / "good", "--from", "requests"), "good: no requests.csv"),
        (("evaluate", tmp_path / "good", "--model", "lut", "--pack", "x.h5"), "gru only"),
        (("evaluate", tmp_path / "good", "--model", "bigru"), "none of them is of qwen3-8b"),
        (("evaluate", tmp_path / "good", "--pack", "gru-h100"), "no states for qwen3-8b"),
        (("validate", tmp_path / "nowhere"), "no folder with .json files"),
        (("validate", tmp_path, "--model", "bigru"), "validate simulates"),
        (("show", tmp_path / "good" / "power.csv"), "ending in .h5"),
        (("show", tmp_path / "none.h5"), "no such pack"),
    ):
        done = dcsim_power(*arguments)
        assert done.exit_code == 2, arguments
        assert told in done.output
    assert not out.exists()
