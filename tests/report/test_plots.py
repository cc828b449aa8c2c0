"""Pictures: every kind in every format, the same bytes each time, clear errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dcsim.cli.plot import KINDS
from dcsim.errors import MissingExtraError
from dcsim.results import Results
from tests.results.made import record

pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")

from dcsim.report import plots


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plots") / "run.h5"
    record(path, steps=400)
    return path


def test_the_command_offers_what_there_is() -> None:
    assert plots.KINDS == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_and_the_same_twice(made: Path, tmp_path: Path, kind: str) -> None:
    with Results.open(made) as results:
        for name in ("a.png", "a.svg", "b.svg"):
            plots.plot(results, kind, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_the_load_that_is_drawn_is_the_load(made: Path) -> None:
    with Results.open(made) as results:
        figure = plots.figure(results, "load", "row-1")
        (axis,) = figure.axes
        watts = results.load_w("row", nodes=["row-1"]).to_numpy()[:, 0]
    mean = axis.lines[0].get_ydata()
    assert np.allclose(mean, watts / 1e3, rtol=1e-6)
    assert axis.lines[1].get_ydata()[0] == 5.0  # its rating, kW


def test_what_cannot_be_drawn_is_told(made: Path, tmp_path: Path) -> None:
    with Results.open(made) as results:
        for kind, name, node, told in (
            ("pie", "a.png", None, "no kind of picture 'pie'; there is load, duration"),
            ("load", "a.doc", None, "no format '.doc'"),
            ("load", "a.png", "row-9", r"no node 'row-9' in this site \(did you mean 'row-[12]'"),
            ("heatmap", "a.png", "ups", "no level 'ups' in this site; there is site, row"),
        ):
            with pytest.raises(plots.PlotError, match=told):
                plots.plot(results, kind, tmp_path / name, node)
    assert list(tmp_path.iterdir()) == []


def test_a_node_goes_by_its_last_name(made: Path, tmp_path: Path) -> None:
    with Results.open(made) as results:
        plots.plot(results, "load", tmp_path / "short.png", "b")
        plots.plot(results, "load", tmp_path / "long.png", "row-1/b")
    assert (tmp_path / "short.png").read_bytes() == (tmp_path / "long.png").read_bytes()


def test_without_matplotlib_the_command_says_what_to_install(made: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from dcsim.cli import main; sys.argv = ['dcsim', *sys.argv[1:]]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "plot", str(made), "-o", str(tmp_path / "a.png")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install 'dcsim[plots]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_results_draw_themselves(made: Path, tmp_path: Path) -> None:
    with Results.open(made) as results:
        results.plot("load", node="row-1").savefig(tmp_path / "a.png")
        with pytest.raises(plots.PlotError, match="no kind of picture 'pie'"):
            results.plot("pie")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with Results.open(made) as results, pytest.raises(MissingExtraError, match=r"dcsim\[plots\]"):
        results.plot()
