"""`dcsim run` as a person uses it: exit statuses, what is printed where, what is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcsim.results import Results

SCENARIO = """
name: tiny
duration: 20 s
workload:
  - {name: chat, model: llama-3-70b, arrivals: {kind: poisson, rate: 2 req/s},
     tokens: {kind: fit, name: azure-2023-conv}}
servers:
  - {name: a100, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8}
facility:
  - {name: site, kind: site}
  - {name: row, kind: row, parent: site, rating: 5 kW}
  - {name: server, kind: server, parent: row, count: 2, group: a100}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SCENARIO)
    return path


def dcsim(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from dcsim.cli import main; sys.argv[0] = 'dcsim'; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_json_is_one_object_with_the_documented_keys(scenario: Path) -> None:
    done = dcsim("run", scenario, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert set(found["requests"]) == {
        "arrived", "completed", "running", "waiting", "rejected", "timed_out", "failed",
    }  # fmt: skip
    assert set(found["latency"]) == {"ttft_s", "tpot_s", "e2e_s"}
    assert set(found["latency"]["ttft_s"]) == {"p50", "p95", "p99"}
    # Two servers of 2.1 kW and more on a standard-rated breaker of 5 kW: above its 4 kW.
    assert set(found["events"]) == {"warning", "overload", "trip", "continuous"}
    assert found["start"] is None
    assert [(row["node"], row["kind"], row["limit_w"]) for row in found["limits"]] == [
        ("row", "rating", 5000.0),
        ("row", "continuous", 4000.0),
    ]
    assert set(found["limits"][0]) == {
        "node", "node_kind", "kind", "limit_w", "window_s", "windows", "rule", "highest_w",
        "highest_at_s", "highest_at", "share", "over_s", "crossings", "measured_s", "partial_w",
        "needs_run_s",
    }  # fmt: skip
    site, row, *servers = found["nodes"]
    assert (site["name"], site["limit_w"]) == ("site", None)
    assert (row["name"], row["limit_w"]) == ("row", 5000.0)
    assert len(servers) == 2
    assert set(site) == {
        "name", "kind", "limit_w", "peak_w", "p99_w", "mean_w", "energy_wh", "load_factor",
        "trips", "time_over_limit_s", "min_margin_w", "binding",
        "peak_low_w", "peak_high_w", "p99_low_w", "p99_high_w",
    }  # fmt: skip
    assert found["power_model"]["name"] == "gru"
    assert found["power_model"]["pack"] == "gru-a100"
    assert found["power_model"]["provenance"][0]["evidence"] == "fitted"
    assert (found["simulated_s"], found["seed"]) == (20.0, 0)
    assert found["wall_s"] > 0


def test_table_and_results_file(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.h5"
    done = dcsim(
        "run", scenario, "--out", out, "--seed", 5, "--duration", "10 s",
        "--set", "facility.row.rating=6 kW",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "6.00 kW" in done.stdout
    assert "arrived" in done.stdout
    assert str(out) in done.stdout.replace("\n", "")
    assert "site" in done.stderr  # progress lines
    with Results.open(out) as results:
        assert results.seed == 5
        assert results.summary["simulated_s"] == 10.0
        assert "rating: 6.0 kW" in results.scenario_yaml or "6" in results.scenario_yaml
        assert "wall_s" not in results.summary


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("servers.a100.power.pack=none", "no shipped pack 'none'"),
        ("servers.a100.power.pack=other.h5", "other.h5 does not exist"),
        ("power_step=500 ms", "set power_step to that"),
        ("servers.a100.tensor_parallel=2", ""),
        ("servers.a100.modle=llama-3-8b", "model"),
    ],
)
def test_wrong_input_exits_with_2_and_writes_nothing(
    scenario: Path, tmp_path: Path, change: str, told: str
) -> None:
    out = tmp_path / "kept.h5"
    done = dcsim("run", scenario, "--out", out, "--set", change)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [scenario]


def test_wrong_option_values_exit_with_2(scenario: Path, tmp_path: Path) -> None:
    for option in (["--out", tmp_path / "no" / "folder.h5"], ["--duration", "1 kg"]):
        done = dcsim("run", scenario, *option)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_malformed_trace_row_is_named(scenario: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.6805900,374,44\n"
        "2023-11-16 18:15:50.9951690,many,109\n"
    )
    replay = SCENARIO.replace(
        "arrivals: {kind: poisson, rate: 2 req/s},\n"
        "     tokens: {kind: fit, name: azure-2023-conv}}",
        "arrivals: {kind: replay, file: trace.csv}}",
    )
    scenario.write_text(replay)
    for command in ("run", "validate"):
        done = dcsim(command, scenario)
        assert done.returncode == 2
        assert "trace.csv:3" in done.stderr
        assert "many" in done.stderr


def test_results_are_not_replaced_unasked(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    out.write_text("mine")
    play = ("run", scenario, "--out", out, "--duration", "1 s", "--quiet")
    done = dcsim(*play)
    assert (done.returncode, out.read_text()) == (2, "mine")
    assert "a.h5 is there already; --force replaces it" in done.stderr
    assert dcsim(*play, "--force").returncode == 0
    with Results.open(out) as results:
        assert results.duration_s == 1.0


def test_unwritable_results_fail_with_1_before_long(scenario: Path, tmp_path: Path) -> None:
    folder = tmp_path / "taken.h5"
    folder.mkdir()
    done = dcsim("run", scenario, "--out", folder, "--quiet")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob(".*part"))


def test_power_commands(tmp_path: Path) -> None:
    listed = dcsim("power", "list")
    assert "gru-a100" in listed.stdout
    assert "llama-3-70b/a100-sxm-80gb/tp8" in listed.stdout
    shown = dcsim("power", "show", "gru-h100")
    assert "qwen3-8b/h100-sxm-80gb/tp1 (fitted)" in shown.stdout
    wrong = dcsim("power", "train", tmp_path, "--out", tmp_path / "pack.h5")
    assert wrong.returncode == 2
    assert "manifest.json" in wrong.stderr
    assert not (tmp_path / "pack.h5").exists()
    unknown = dcsim("power", "show", "nothing")
    assert unknown.returncode == 2
    assert "gru-a100" in unknown.stderr


def test_power_train_and_evaluate_end_to_end(tmp_path: Path, data: Path) -> None:
    runs = data / "measured" / "vllm_runs"
    folders = [runs / "qwen3-8b_a100_tp1_poisson2.5", runs / "qwen3-8b_a100_tp1_gamma4_2.5"]
    pack = tmp_path / "mine.h5"
    done = dcsim("power", "train", *folders, "--out", pack, "--updates", "40")
    assert done.returncode == 0, done.stderr
    assert "run left out" in done.stdout
    judged = dcsim("power", "evaluate", folders[0], "--pack", pack)
    assert judged.returncode == 0, judged.stderr
    assert "gru 250ms" in judged.stdout and "gru 1s" in judged.stdout
