"""The tables of docs/paper-case.md: python -m benchmarks.paper_case   (some twenty minutes)

Runs the commands that stand in the page, as they stand there, and writes what they answer beside
what the paper published. Studies go on where they were stopped, since they have an `--out`.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from typer.testing import CliRunner

from benchmarks.power_fidelity import put
from dcsim.cli import app

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "paper-case.md"
MODELS = ("mean", "lut", "ledger", "gru")
WINDOWS_S = (0.25, 1.0, 60.0, 900.0)
PAPER_PEAK_MW = ("0.855", "0.822", "0.602", "0.752")
"""Peak of the site over 15 min by mean, look-up table, the authors' correction (a linear ledger),
traces: Table of the paper; PROJECT_OVERVIEW.md of its repository for the correction."""
PAPER_MEAN_MW = ("0.855", "0.757", "0.539", "0.633")
PAPER_LOAD_FACTOR = ("1.00", "0.921", "0.895", "0.842")
PAPER_BY_WINDOW_KW = ("815.9", "811.6", "774.6", "751.9")
"""Traces at each averaging time, azure_facility_metrics.csv."""
PAPER_RACKS = ("23", "none", "42", "52", "none", "57")
RACK_MODELS = ("nameplate", "board-limit", *MODELS)


def commands(page: str) -> list[list[str]]:
    """The words of the `dcsim study` commands that the page prints, in its order."""
    found = []
    for block in re.findall(r"^```\n(dcsim study .*?)\n```", page, re.MULTILINE | re.DOTALL):
        found.append(shlex.split(block.replace("\\\n", " "))[1:])
    return found


def tables(words: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Run one of them and read the tables that it left in its `--out`."""
    done = CliRunner().invoke(app, [*words, "--quiet"])
    if done.exit_code:
        raise SystemExit(done.output)
    folder = Path(words[words.index("--out") + 1]) / "tables"
    return {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}


def row(name: str, cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join([name, *cells]) + " |"


def head(*titles: str) -> list[str]:
    """The two lines above a table."""
    return [row(titles[0], titles[1:]), row("---", ["---"] * (len(titles) - 1))]


def sizes(node: pd.DataFrame) -> list[str]:
    """Peak, mean and load factor by model, ours beside the paper's."""
    quarter = node[node["window_s"] == 900.0].set_index("model")
    by_model = [quarter.loc[model] for model in MODELS]
    return [
        *head("15 min, cooling in it", "mean", "look-up table", "ledger", "GRU"),
        row("paper: peak, MW", PAPER_PEAK_MW),
        row("ours: peak, MW", [f"{one.peak_w / 1e6:.3f}" for one in by_model]),
        row("paper: mean, MW", PAPER_MEAN_MW),
        row("ours: mean, MW", [f"{one.mean_w / 1e6:.3f}" for one in by_model]),
        row("paper: load factor", PAPER_LOAD_FACTOR),
        row("ours: load factor", [f"{one.load_factor:.3f}" for one in by_model]),
    ]


def by_window(node: pd.DataFrame) -> list[str]:
    """The GRU's peak at each averaging time."""
    gru = node[node["model"] == "gru"].set_index("window_s")
    return [
        *head("peak by traces, kW", "0.25 s", "1 s", "1 min", "15 min"),
        row("paper", PAPER_BY_WINDOW_KW),
        row("ours", [f"{gru.loc[window_s].peak_w / 1e3:.1f}" for window_s in WINDOWS_S]),
    ]


def racks(answer: pd.DataFrame) -> list[str]:
    """Racks under 600 kW by model."""
    by_model = answer.set_index("model")

    def counts(column: str) -> list[str]:
        cells = []
        for model in RACK_MODELS:
            value = by_model.loc[model].get(column)
            cells.append("unknown" if value is None or pd.isna(value) else f"{value:.0f}")
        return cells

    between = zip(counts("count_level_low"), counts("count_level_high"), strict=True)
    level = [low if low == high else f"{low} to {high}" for low, high in between]
    return [
        *head("racks under 600 kW", *RACK_MODELS),
        row("paper", PAPER_RACKS),
        row("ours, racks' own watts", counts("count")),
        row("by the level's error", ["as it is", *level[1:]]),
        row("ours, with PUE", counts("count_with_overhead")),
    ]


def main() -> None:
    """Run, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("day", "calibrated"), help="one of the two scenarios")
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    day, day_racks, calibrated, calibrated_racks = commands(page)
    made: dict[str, list[str]] = {}
    if options.only != "calibrated":
        node = tables(day)["node"]
        made |= {"sizing": sizes(node), "windows": by_window(node)}
        made["racks"] = racks(tables(day_racks)["answer"])
    if options.only != "day":
        made["calibrated sizing"] = sizes(tables(calibrated)["node"])
        made["calibrated racks"] = racks(tables(calibrated_racks)["answer"])
    for mark, lines in made.items():
        page = put(page, mark, lines)
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
