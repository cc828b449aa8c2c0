"""What people read: the table, the numbers, the live view."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dcsim.report.live import FLAG_LINES, LiveView
from dcsim.report.terminal import render
from dcsim.report.text import clock, percent, seconds, watt_hours, watts
from tests.report.frames import frame, plant
from tests.results.made import event, record


def console(width: int = 120, terminal: bool = False) -> Console:
    return Console(file=StringIO(), width=width, force_terminal=terminal)


def text(shown: Console) -> str:
    assert isinstance(shown.file, StringIO)
    return shown.file.getvalue()


def test_numbers() -> None:
    assert [watts(w) for w in (None, float("nan"), 0.0, 950, 9_500, 603_200, 1.2e6)] == [
        "-", "-", "0 W", "950 W", "9.50 kW", "603.2 kW", "1.200 MW",
    ]  # fmt: skip
    assert watt_hours(546_700) == "546.7 kWh"
    assert (percent(1.005), percent(None)) == ("100.5 %", "-")
    assert (seconds(0.0931), seconds(2.866), seconds(None)) == ("93 ms", "2.87 s", "-")
    assert (clock(3599.9), clock(90_061)) == ("00:59:59", "1d 01:01:01")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_table_keeps_its_numbers_at_any_width(tmp_path: Path, width: int) -> None:
    summary = {**record(tmp_path / "run.h5", 100), "wall_s": 0.5}
    shown = console(width)
    render(summary, shown, [event()])
    said = text(shown)
    assert "\x1b" not in said
    assert "5.00 kW" in said
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= width
    site = next(line for line in said.splitlines() if line.strip().startswith("site"))
    assert site.split()[1] == "-"  # no rating is no zero
    parts = "2 completed, 1 running, 0 waiting, 0 rejected, 0 timed out, 1 failed"
    assert f"4 arrived = {parts}" in " ".join(said.split())
    assert "first warning: row-1 at 00:00:02, 4.10 kW of 5.00 kW" in said
    assert "50 x real time" in said


def test_unknown_latencies_are_dashes(tmp_path: Path) -> None:
    summary = record(tmp_path / "run.h5")
    nothing = {"p50": None, "p95": None, "p99": None}
    summary["latency"] = dict.fromkeys(("ttft_s", "tpot_s", "e2e_s"), nothing)
    shown = console()
    render(summary, shown)
    assert "time to first token - / - / -" in text(shown)
    assert "nan" not in text(shown)


SITE = plant(10, site="600 kW", row="500 kW")
LOADS = {"site": 400e3, "row": 450e3}


def play(view: LiveView, steps: int = 1000) -> None:
    view.begin(SITE, 0.0, lambda: None)
    with view:
        for step in range(1, steps + 1):
            view.update(frame(SITE, step * 0.1, LOADS, running=5))


def test_plain_lines_where_there_is_no_terminal() -> None:
    shown = console()
    play(LiveView(100.0, shown))
    lines = text(shown).splitlines()
    assert len(lines) == 10
    assert "100% site 400.0 kW of 600.0 kW (66.7 %)" in lines[-1]
    assert "row 90.0 %" in lines[-1]
    assert "\x1b" not in text(shown)


def test_how_busy_it_is_stands_in_each_line() -> None:
    """Ten a second at first, then twenty: the last minute counts."""
    shown = console()
    view = LiveView(200.0, shown)
    view.begin(SITE, 0.0, lambda: 40.0)
    with view:
        for step in range(1, 2001):
            arrived = step if step <= 1000 else 1000 + 2 * (step - 1000)
            now = frame(SITE, step * 0.1, LOADS, running=1234, waiting=7, arrived=arrived)
            view.update(now)
    lines = text(shown).splitlines()
    told = "1,234 running (123.4 a replica), 7 waiting; {} requests/s, {} % of its capacity"
    assert lines[4].endswith(told.format(10, 25))
    assert lines[-1].endswith(told.format(20, 50))


def test_unrated_site_shows_no_limit() -> None:
    shown = console()
    unrated = plant(1)
    with LiveView(1.0, shown) as view:
        view.begin(unrated, 0.0, lambda: None)
        view.update(frame(unrated, 1.0, LOADS, running=5))
    assert "nan" not in text(shown)
    assert "headroom -" in text(shown)


def test_the_node_nearest_to_its_rating_is_named() -> None:
    """By the load as ratings feel it, of the step shown, among nodes that have a rating."""
    shown = console()
    site = plant(2, rack="2 kW")
    view = LiveView(2.0, shown)
    view.begin(site, 0.0, lambda: None)
    with view:
        view.update(frame(site, 1.0, {"site": 9e3, "row/rack-1": 1.5e3}))
        view.update(frame(site, 2.0, {"site": 9e3, "row/rack-1": 1.2e3, "row/rack-2": 1.3e3}))
    first, second = text(shown).splitlines()
    assert "nearest to its limit: row/rack-1 75.0 %" in first
    assert "nearest to its limit: row/rack-2 65.0 %" in second


def test_a_flood_of_flags_is_counted_not_printed() -> None:
    shown = console()
    view = LiveView(100.0, shown)
    with view:
        for _ in range(500):
            view.flag(event("overload"))
        view.flag(event("trip"))
    lines = text(shown).splitlines()
    assert len(lines) == FLAG_LINES + 2
    assert "TRIP" in lines[-2]  # not lost behind the rest
    left_out = 500 - FLAG_LINES
    assert lines[-1] == f"{left_out} more flags not shown: {left_out} overload"
    assert view.first_flags["overload"].node == "row-1"


def test_quiet_is_silent_but_keeps_the_first_flags() -> None:
    shown = console()
    view = LiveView(100.0, shown, quiet=True)
    view.flag(event())
    play(view)
    assert text(shown) == ""
    assert list(view.first_flags) == ["warning"]


def test_panel_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcsim.report.live.REFRESH_S", 0.0)
    shown = console(terminal=True)
    view = LiveView(100.0, shown)
    view.flag(event("trip"))
    play(view)
    said = text(shown)
    for part in ("clock", "headroom", "last flag", "TRIP row-1", "400.0 kW of 600.0 kW"):
        assert part in said


def site_240() -> dict[str, Any]:
    """What a site of ten rows gives: site, rows, racks, servers; every hundredth server hot."""
    nodes = []
    for kind, count, limit_w in (("site", 1, 1e6), ("row", 10, None), ("rack", 60, 26e3)):
        nodes += [(f"{kind}-{i}", kind, limit_w, 4e5 / count) for i in range(count)]
    nodes += [(f"server-{i}", "server", 6500.0, 7000.0 if i == 77 else 1500.0) for i in range(240)]
    keys = ("name", "kind", "limit_w", "peak_w")
    rest = {"p99_w": 1e3, "mean_w": 1e3, "energy_wh": None, "load_factor": None}
    unknown = {"p50": None, "p95": None, "p99": None}
    return {
        "nodes": [{**dict(zip(keys, node, strict=True)), **rest} for node in nodes],
        "requests": dict.fromkeys(
            ("arrived", "completed", "running", "waiting", "rejected", "timed_out", "failed"), 0
        ),
        "tenants": [],
        "routing": {},
        "traffic": {},
        "tokens": {"prompt": 0, "cached": 0, "generated": 0},
        "latency": dict.fromkeys(("ttft_s", "tpot_s", "e2e_s"), unknown),
        "events": {"warning": 0, "overload": 1, "trip": 0},
        "power_model": {
            "name": "gru",
            "pack": "[red]mine[/red].h5",
            "provenance": [{"configuration": "m", "evidence": "fitted", "source": "[1] a paper"}],
        },
        "simulated_s": 86400.0,
        "seed": 1,
    }


def test_a_large_site_is_summed_up() -> None:
    shown = console()
    render(site_240(), shown)
    lines = text(shown).splitlines()
    rows = [line for line in lines if line.strip().startswith("row-")]
    assert len(rows) == 10
    assert all(line.split()[1] == "-" and line.split()[4] == "-" for line in rows)
    assert sum("rack" in line for line in lines) == 2
    hot = next(line for line in lines if "highest peak, server" in line)
    assert "server-77" in hot
    assert "107.7 %" in hot
    assert any("median of 240 servers" in line for line in lines)
    said = " ".join(text(shown).split())
    assert "0 warnings, 1 overload, 0 trips" in said
    # Brackets in a name or a source are text, not colours.
    assert "pack [red]mine[/red].h5" in said
    assert "[1] a paper" in said
    assert "1d 00:00:00 in -" in said  # the wall-clock time is not in the file's summary


def test_colours_only_on_a_terminal() -> None:
    plain, coloured = console(), console(terminal=True)
    for shown in (plain, coloured):
        render(site_240(), shown)
    assert "\x1b[31m" in text(coloured)  # what is over its limit is red
    assert "\x1b" not in text(plain)


def test_a_single_server_is_no_median() -> None:
    summary = site_240()
    summary["nodes"] = [node for node in summary["nodes"] if node["name"] in ("site-0", "server-3")]
    shown = console()
    render(summary, shown)
    assert "median" not in text(shown)
    assert "highest" not in text(shown)
    assert "server-3" in text(shown)


def test_the_median_is_of_each_column() -> None:
    """Three servers of which the one with the middle mean has the highest peak: its line is not
    the median's."""
    summary = site_240()
    site, *rest = summary["nodes"]
    like = next(node for node in rest if node["kind"] == "server")
    loads = ((1000.0, 2000.0), (2000.0, 9000.0), (3000.0, 4000.0))
    servers = [
        like | {"name": f"s-{i}", "limit_w": 10_000.0, "peak_w": peak_w, "mean_w": mean_w,
                "p99_w": peak_w - 100.0, "load_factor": mean_w / peak_w, "energy_wh": mean_w}
        for i, (mean_w, peak_w) in enumerate(loads)
    ]  # fmt: skip
    summary["nodes"] = [site, *servers]
    shown = console()
    render(summary, shown)
    line = next(line for line in text(shown).splitlines() if "median of 3 servers" in line)
    # Medians of the columns: 4 kW of 10 kW, 3.9 kW, 2 kW; load factors 0.5, 0.22 and 0.75.
    assert " ".join(line.split()[4:]) == "10.0 kW 4.00 kW 40.0 % 3.90 kW 2.00 kW 0.50 2.00 kWh"


def test_what_policies_did_is_told() -> None:
    control = {
        "policies": [{"policy": "row-budget", "commands": 1234, "limited_s": 150.0}],
        "capped_server_h": 9.953,
    }
    quiet, told = console(), console()
    render(site_240(), quiet)
    render(site_240() | {"control": control, "simulated_s": 600.0}, told)
    assert "Policy row-budget: 1,234 commands, limits in force for 00:02:30 (25.0 %" in text(told)
    assert "Server-hours with clocks held down: 9.95." in text(told)
    assert "Policy" not in text(quiet)
