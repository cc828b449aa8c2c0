"""Folders and files that nobody would make on purpose: told in one line, or shown harmlessly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from dcsim.engine import simulate
from dcsim.errors import ResultsError, StudyPageError
from dcsim.report.charts.study import study_charts
from dcsim.report.figure_names import format_figure, unit_of
from dcsim.report.page import run_page, study_page
from dcsim.report.study_file import MOST_ROWS, ColumnValues, PlotSpec, TableValues
from dcsim.results import Results
from dcsim.scenario.load import load
from tests.report.made_study import made_study

EVIL = "</script><img src=x onerror=alert(1)>"
PROJECT = Path(__file__).parents[2]


def model_of(page: str) -> dict[str, Any]:
    text = page.split('<script type="application/json" id="model">')[1].split(
        "</script>", maxsplit=1
    )[0]
    found: dict[str, Any] = json.loads(text)
    return found


def test_names_that_end_a_script_are_text(tmp_path: Path) -> None:
    page = study_page(
        made_study(
            tmp_path / "s",
            more={"t": pd.DataFrame({EVIL: [1, 2], "b": [EVIL, EVIL]})},
            study=EVIL,
            headline=[EVIL],
            inputs={EVIL: {EVIL: [EVIL, {EVIL: 1}]}},
            figures={EVIL: 3},
            scenario={"file": EVIL, "name": EVIL, "yaml": EVIL},
            versions={EVIL: EVIL},
            plots=[{"table": "t", "title": EVIL, "x": EVIL, "y": [EVIL], "by": "b"}],
        )
    )
    assert "<img" not in page
    assert model_of(page)["charts"]["plot-0"]["label"].startswith(f"{EVIL}: ")


def test_large_tables_are_cut_and_say_so(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random((10_000, 20))
    many = pd.DataFrame(values, columns=list("abcdefghijklmnopqrst"))
    page = study_page(made_study(tmp_path / "s", more={f"t{i}": many for i in range(4)}))
    assert len(page.encode()) < 10e6
    tables = {table["name"]: table for table in model_of(page)["tables"]}
    assert tables["t0"]["rows"] == 10_000
    assert len(tables["t0"]["columns"][0]["values"]) == MOST_ROWS
    assert len(tables["t3"]["columns"][0]["values"]) < MOST_ROWS  # what the others have left


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tables": 5}, "tables: Input should be a valid list"),
        ({"headline": "one"}, "headline: Input should be a valid list"),
        ({"evidence": [{"provenance": [None]}]}, r"evidence\.0\.provenance\.0"),
        ({"format_version": "x"}, "format version x"),
    ],
)
def test_a_wrong_part_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyPageError, match=said):
        study_page(made_study(tmp_path / "s", **changes))


def test_no_file_outside_of_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("node\nmine\n")
    folder = made_study(tmp_path / "s")
    study = json.loads((folder / "study.json").read_text())
    study["tables"][0]["files"] = ["../secret.csv"]
    (folder / "study.json").write_text(json.dumps(study))
    with pytest.raises(StudyPageError, match="outside of the folder"):
        study_page(folder)


def test_empty_tables_and_figures_that_are_no_numbers(tmp_path: Path) -> None:
    page = study_page(
        made_study(
            tmp_path / "s",
            more={"racks": pd.DataFrame({"policy": [], "racks": [], "trip_probability": []})},
            figures={"huge_w": 10**400, "not_w": float("nan"), "known_w": 5e3},
        )
    )
    assert [chart["label"].partition(":")[0] for chart in model_of(page)["charts"].values()] == [
        "Peaks as traffic grows",
        "Policies compared",
    ]
    assert "5.00 kW" in page
    assert "Not</dt>" not in page  # NaN is unknown, and what is unknown has no tile


def test_units_are_read_from_names_and_words() -> None:
    assert unit_of("site_peak_w") == "w"
    assert unit_of("peak_low", "95 % interval of the mean peak, W") == "w"
    assert unit_of("peak_to_average", "peak over mean, W") == ""  # no interval: words may mislead
    assert unit_of("generated_per_s") == ""
    assert {unit_of(name) for name in ("slo_loss_highest", "trip_low", "of_limit")} == {"share"}
    assert unit_of("reached", "share of the seeds in which the limit was met") == "share"
    assert format_figure("fixes", [{"cost": 4}]) == "cost: 4"


def table(name: str, **columns: list[Any]) -> TableValues:
    made = [ColumnValues(key, "", unit_of(key), values) for key, values in columns.items()]
    return TableValues(name, name, [], len(made[0].values), made)


def test_lines_of_several_policies_are_told_apart() -> None:
    rows = table(
        "t", model=["a"] * 4, policy=["p", "p", "q", "q"], n=[1, 2, 1, 2], y_w=[1, 2, 3, 4]
    )
    plot = PlotSpec(table="t", x="n", y=["y_w"], by="model")
    (chart,) = study_charts([plot], [rows], {})
    assert [(line.name, line.y) for line in chart.panels[0].traces] == [
        ("p", [1, 2]),
        ("q", [3, 4]),
    ]


def test_breaches_are_marked_with_their_dates() -> None:
    loads = table(
        "loads",
        factor=[1.0, 1.4, 1.0, 1.4],
        node=["a", "a", "b", "b"],
        of_limit=[0.8, 1.1, 0.2, 0.3],
    )
    met = table("breaches", node=["b", "a"], factor=[None, 1.3], factor_low=[None, 1.2],
                factor_high=[None, 1.5], date=[None, "2027-05-19"])  # fmt: skip
    plot = PlotSpec(table="loads", x="factor", y=["of_limit"], by="node")
    (chart,) = study_charts([plot], [loads, met], {})
    assert [rule.at for rule in chart.panels[0].rules] == [1.0]
    (rule,) = chart.rules
    assert (rule.at, rule.low, rule.high, rule.text) == (1.3, 1.2, 1.5, "a 2027-05-19")
    assert "a meets its limit at 1.3, 2027-05-19" in chart.label


def test_racks_against_failing_are_drawn_from_candidates() -> None:
    played = table(
        "candidates",
        model=["m", "m"],
        policy=["p", "q"],
        count=[60, 62],
        fail_low=[0.0, 0.1],
        fail_high=[0.3, 0.5],
    )
    (chart,) = study_charts([], [played], {"max_trip": 0.25})
    (panel,) = chart.panels
    assert [(bars.name, bars.low, bars.high) for bars in panel.traces] == [
        ("p", [0.0], [0.3]), ("q", [0.1], [0.5]),
    ]  # fmt: skip
    assert [(rule.at, rule.text) for rule in panel.rules] == [(0.25, "accepted 25.0 %")]


def test_results_that_lack_something_are_told(tmp_path: Path) -> None:
    """As those of another version: what is missing is named, and nothing is a fault of ours."""
    whole = tmp_path / "run.h5"
    scenario = load(PROJECT / "scenarios" / "polca-row.yaml", duration="20 s")
    with simulate(scenario, whole) as results:
        summary = json.loads(json.dumps(results.summary))
    summary["latency"].pop("tpot_s")
    summary.pop("tokens")
    for row in summary["nodes"]:
        row.pop("peak_w")
    with h5py.File(shutil.copy(whole, tmp_path / "old.h5"), "r+") as file:
        del file["summary"]
        file["summary"] = json.dumps(summary)
    with (
        Results.open(tmp_path / "old.h5") as old,
        pytest.raises(ResultsError, match=r"lacks tokens, latency\.tpot_s, nodes\.peak_w"),
    ):
        run_page(old)
    (tmp_path / "cut.h5").write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(ResultsError, match="damaged"):
        Results.open(tmp_path / "cut.h5")
