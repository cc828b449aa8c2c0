"""The command line: exit statuses, messages, and what `--help` costs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import dcsim
from dcsim.cli import app
from dcsim.cli.lazy import COMMANDS
from tests.scenario.sample import GOOD, edited, of_facility

HEAVY = ("torch", "pandas", "simpy", "h5py", "networkx", "sklearn", "scipy", "pint")
runner = CliRunner()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


def modules_after(code: str) -> tuple[set[str], float]:
    """Top-level modules that a fresh interpreter has loaded after some code, and its seconds."""
    script = f"import sys\n{code}\nprint(sorted({{m.partition('.')[0] for m in sys.modules}}))"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(
        json.loads(done.stdout.splitlines()[-1].replace("'", '"'))
    ), time.perf_counter() - start


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "from dcsim.cli import main\nsys.argv = ['dcsim', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code in (0, None)"
    )
    modules, seconds = modules_after(code)
    assert not modules & {*HEAVY, "numpy", "pydantic", "yaml"}
    assert seconds < 2  # 0.15 s alone; tests share their machine
    shown = runner.invoke(app, ["--help"]).output
    for name, (_, line) in COMMANDS.items():
        assert name in shown
        assert line.rstrip(".")[:40] in shown


def test_validate_imports_nothing_heavy(good: Path) -> None:
    code = f"import dcsim.scenario\nassert not set(sys.modules) & set({HEAVY})\n"
    code += f"dcsim.scenario.load({str(good)!r})"
    modules, _ = modules_after(code)
    assert not modules & (set(HEAVY) - {"pint", "scipy"})  # pint looks for scipy's bare package


def test_the_package_finds_its_names_when_asked() -> None:
    modules, _ = modules_after("import dcsim")
    assert not modules & {*HEAVY, "numpy", "pydantic", "yaml"}
    assert dcsim.load.__module__ == "dcsim.loading.load"
    assert issubclass(dcsim.ScenarioError, ValueError)
    assert set(dcsim.__all__) <= set(dir(dcsim))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(dcsim, "nothing")  # noqa: B009


def test_version() -> None:
    done = runner.invoke(app, ["--version"])
    from dcsim.serving import replica

    how = "in plain Python, at" if replica.__file__.endswith(".py") else "compiled\n"
    assert done.exit_code == 0
    assert done.output.startswith(f"dcsim {dcsim.__version__}, event loop {how}")


def test_unknown_command() -> None:
    done = runner.invoke(app, ["vaildate"])
    assert done.exit_code == 2
    assert "validate" in done.output


# --- validate --------------------------------------------------------------------------------


def test_validate_good(good: Path) -> None:
    before = sorted(good.parent.iterdir())
    done = runner.invoke(app, ["validate", str(good)])
    assert done.exit_code == 0
    assert done.stdout == "ok: sample, 10 min, 1 stream, 8 servers, nameplate 52 kW\n"
    assert sorted(good.parent.iterdir()) == before


def test_validate_broken(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(edited(("10 min", "10 kg"), ("parent: site", "parent: rack")))
    done = runner.invoke(app, ["validate", str(path), "--set", "seed=x"])
    assert done.exit_code == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"{path}:2: duration: '10 kg' is not a quantity")
    assert lines[1].startswith(f"{path}:21: facility.1.parent: the parents form a cycle")
    assert lines[2].startswith("--set: seed: expected a whole number")
    assert lines[3:] == ["3 problems"]
    assert list(tmp_path.iterdir()) == [path]


def test_validate_reads_traces_through(tmp_path: Path) -> None:
    rows = ["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:15:46.6805900,374,44"]
    trace = tmp_path / "trace.csv"
    path = tmp_path / "replay.yaml"
    path.write_text(
        edited(
            (
                "      kind: poisson\n      rate: 2 req/s\n"
                "    tokens: {kind: fixed, prompt: 512, output: 128}",
                "      kind: replay\n      file: trace.csv",
            )
        )
    )
    trace.write_text("\n".join([*rows, "2023-11-16 18:15:50.9951690,many,109"]))
    done = runner.invoke(app, ["validate", str(path)])
    assert done.exit_code == 2
    assert f"{trace}:3: ContextTokens" in done.stderr
    assert "'many'" in done.stderr
    trace.write_text("\n".join([*rows, "2023-11-16 18:15:50.9951690,396,109"]))
    assert runner.invoke(app, ["validate", str(path)]).exit_code == 0


def test_missing_argument_is_status_2() -> None:
    assert runner.invoke(app, ["validate"]).exit_code == 2


# --- show ------------------------------------------------------------------------------------


def test_show(good: Path) -> None:
    done = runner.invoke(app, ["show", str(good), "--duration", "2 h"])
    assert done.exit_code == 0
    assert "duration: 2 h\n" in done.stdout
    assert "max_num_seqs: 256" in done.stdout
    rack = next(line for line in done.stdout.splitlines() if "rack x 2" in line)
    assert rack.split()[1:] == ["rack", "x", "2", "23", "kW", "26", "kW", "1.13", "4", "2", "none"]
    row = next(line for line in done.stdout.splitlines() if line.startswith("└ row"))
    assert row.split()[2] == "unknown"


WIDE = of_facility("""\
  - {name: site, kind: site}
  - {name: utility-n, kind: utility, parent: site, rating: 1.2 MW}
  - {name: utility-s, kind: utility, parent: site, rating: 1.2 MW}
  - {name: ups-a, kind: ups, parent: utility-n, rating: 500 kW, apparent_rating: 555 kVA,
     battery: {energy: 100 kWh, power: 1.2 MW}, breaker: {curve: ups-overload}}
  - {name: ups-b, kind: ups, parent: utility-s, rating: 500 kW, apparent_rating: 555 kVA,
     battery: {energy: 100 kWh, power: 1.2 MW}, breaker: {curve: ups-overload}}
  - {name: chat-row, kind: row, feeds: [ups-a, ups-b], count: 3, rating: 400 A at 415 V, phases: 3,
     breaker: {curve: thermal-magnetic}}
  - {name: server, kind: server, parent: chat-row, group: g, power_factor: 0.98}
""")


def test_show_cuts_nothing_off(tmp_path: Path) -> None:
    """Amperes, volt-amperes, two feeds, a breaker and a battery in 140 columns: what is too long
    wraps."""
    file = tmp_path / "wide.yaml"
    file.write_text(WIDE)
    shown = runner.invoke(app, ["show", str(file)]).stdout
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 140
    row = next(line for line in shown.splitlines() if "chat-row x 3" in line)
    assert "287.5 kVA" in row and "thermal-magnetic" in row and "ups-b (share)" in row
    for part in ("287.5 kVA", "(400", "415 V)", "555 kVA", "100 kWh"):
        assert part in shown
    assert "chat-row-1 and 2 more rows" in shown and "ups-a and 1 more UPS " in shown


def test_show_svg(good: Path, tmp_path: Path) -> None:
    out = tmp_path / "site.svg"
    done = runner.invoke(app, ["show", str(good), "--svg", str(out)])
    assert (done.exit_code, done.stdout) == (0, f"One-line diagram: {out}\n")
    assert "rack × 2" in out.read_text()
    nowhere = runner.invoke(app, ["show", str(good), "--svg", str(tmp_path / "no" / "site.svg")])
    assert nowhere.exit_code == 2
    assert "--svg" in nowhere.stderr


def test_show_tells_second_feeds_and_apparent_ratings() -> None:
    shipped = Path(__file__).parents[2] / "scenarios" / "feed-loss.yaml"
    lines = runner.invoke(app, ["show", str(shipped)]).stdout.splitlines()
    assert any("row-3" in line and "ups-a (share)" in line for line in lines)
    assert any("transformer" in line and "400 kVA" in line for line in lines)
    # By hand: 48 servers of 6.5 kW by label, on 400 kVA at a power factor of 0.98.
    assert any("transformer" in line and f"{48 * 6.5 / (400 * 0.98):.2f}" in line for line in lines)


def test_show_json(good: Path) -> None:
    done = runner.invoke(app, ["show", str(good), "--json"])
    content = json.loads(done.stdout)
    assert content["scenario"]["duration"] == "10 min"
    rows = {row["name"]: row for row in content["facility"]}
    assert (rows["site"]["servers"], rows["site"]["nameplate_w"]) == (8, 8 * 6500.0)
    assert (rows["server"]["copies"], rows["rack"]["copies"]) == (8, 2)
    assert rows["row"]["rating_w"] is None


def test_show_tells_the_limits_of_all_kinds(good: Path) -> None:
    demand = "facility.site.demand=[{window: 15 min, limit: 1 MW, windows: clock}]"
    amperes = [
        part
        for change in (
            "facility.row.rating=800 A at 415 V",
            "facility.row.phases=3",
            "facility.server.power_factor=0.98",
            demand,
        )
        for part in ("--set", change)
    ]
    done = runner.invoke(app, ["show", str(good), *amperes])
    assert done.exit_code == 0, done.output
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    at = lines.index("limits")
    assert any("575 kVA (800 A at 415 V)" in line for line in lines[:at])
    # The racks' 23 kW x 80 % in one line; the row's 0.98 x 575.04 kVA.
    (racks,) = (line for line in lines[at:] if line.startswith("continuous 18.4 kW"))
    assert "and 1 more rack " in racks
    assert racks.endswith("80 % of a standard-rated breaker")
    assert any(line.startswith("rating 563.54 kW row") for line in lines[at:])
    assert "15 min demand by the clock 1 MW site" in " ".join(lines[at:])
    found = json.loads(runner.invoke(app, ["show", str(good), "--json", *amperes]).stdout)
    assert {row["kind"] for row in found["limits"]} == {"rating", "continuous", "demand"}


def test_show_broken_is_status_2(tmp_path: Path) -> None:
    done = runner.invoke(app, ["show", str(tmp_path / "nothing.yaml")])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no such file" in done.stderr


def test_show_splits_a_2n_site_over_both_feeds(tmp_path: Path) -> None:
    """320 servers of 10.2 kW: each feed carries half of 3,264 kW, and all of it alone."""
    file = tmp_path / "hall.yaml"
    file.write_text(
        """
name: hall
duration: 1 min
workload:
  - name: chat
    model: llama-3-8b
    arrivals: {kind: poisson, rate: 1 req/s}
    tokens: {kind: fixed, prompt: 500, output: 50}
servers: [{name: h100, server: dgx-h100, model: llama-3-8b, tensor_parallel: 8}]
facility:
  - {name: site, kind: site}
  - {name: utility-a, kind: utility, parent: site, rating: 1.2 MW}
  - {name: utility-b, kind: utility, parent: site, rating: 1.2 MW}
  - {name: row, kind: row, feeds: [utility-a, utility-b], count: 2}
  - {name: server, kind: server, parent: row, count: 160, group: h100}
"""
    )
    made = CliRunner().invoke(app, ["show", str(file), "--json"])
    rows = {row["name"]: row for row in json.loads(made.stdout)["facility"]}
    for feed in ("utility-a", "utility-b"):
        assert rows[feed]["servers"] == 320
        assert rows[feed]["shared"]
        assert rows[feed]["nameplate_w"] == pytest.approx(1.632e6)
        assert rows[feed]["nameplate_alone_w"] == pytest.approx(3.264e6)
    assert (rows["row"]["copies"], rows["row"]["servers"]) == (2, 160)
    assert not rows["row"]["shared"]
    assert rows["site"]["nameplate_w"] == pytest.approx(3.264e6)
    text = CliRunner().invoke(app, ["show", str(file)]).stdout
    assert text.count("320 shared") == 2
