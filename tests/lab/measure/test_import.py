"""Logs of others as run folders: read, aligned, and how sure."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dcsim.cli import app
from dcsim.errors import MeasureError
from dcsim.hardware.catalogue import load_catalogue
from dcsim.lab.learn.readers import EngineLog
from dcsim.lab.learn.runs import read_run
from dcsim.lab.measure import foreign
from dcsim.lab.measure.benchmarks import read_benchmark
from dcsim.lab.measure.import_logs import engine_columns

START_S = datetime(2026, 7, 20, 19, 40, 0, tzinfo=UTC).timestamp()
OFFSET_S = -25200.0
LENGTH_S = 240.0
TOKEN_S = 0.03
LABELS = {"model_name": "Qwen/Qwen3-8B", "instance": "gpu-box:8000"}


class Truth:
    """Requests at random instants, and what they make an engine count and a GPU draw."""

    def __init__(self, seed: int = 5) -> None:
        rng = np.random.default_rng(seed)
        self.start_s = np.sort(rng.uniform(10, LENGTH_S - 30, 30))
        self.prompt = rng.integers(20, 500, 30)
        self.output = rng.integers(20, 400, 30)
        self.end_s = self.start_s + TOKEN_S * self.output

    def running(self, at_s: np.ndarray) -> np.ndarray:
        begun = np.searchsorted(self.start_s, at_s, side="right")
        return begun - np.searchsorted(np.sort(self.end_s), at_s, side="right")

    def watts(self, at_s: np.ndarray) -> np.ndarray:
        running = self.running(at_s)
        noise = np.random.default_rng(1).normal(0, 3, len(at_s))
        return np.where(running > 0, 180 + 25 * np.sqrt(running), 80.0) + noise

    def generated(self, at_s: np.ndarray) -> np.ndarray:
        done = np.clip((at_s[:, None] - self.start_s) / TOKEN_S, 0, self.output)
        return np.floor(done).sum(axis=1)

    def prompts(self, at_s: np.ndarray) -> np.ndarray:
        return (self.prompt * (self.start_s <= at_s[:, None])).sum(axis=1)


TRUTH = Truth()


def nvidia_smi(path: Path, late_s: float, period_s: float = 0.1) -> Path:
    """Local wall time, on a clock `late_s` ahead."""
    lines = ["timestamp, index, power.draw [W], clocks.current.sm [MHz]"]
    at_s = np.arange(0, LENGTH_S, period_s)
    for at, watts in zip(at_s, TRUTH.watts(at_s), strict=True):
        moment = datetime.fromtimestamp(START_S + OFFSET_S + at + late_s, UTC)
        lines.append(f"{moment:%Y/%m/%d %H:%M:%S.%f}"[:-3] + f", 0, {watts:.2f} W, 1410 MHz")
    path.write_text("\n".join(lines) + "\n")
    return path


def answer(*series: tuple[dict[str, str], np.ndarray, np.ndarray]) -> str:
    """Prometheus' answer to a range query."""
    result = [
        {"metric": m, "values": [[float(a), f"{v:.10g}"] for a, v in zip(at, x, strict=True)]}
        for m, at, x in series
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def prometheus_engine(folder: Path, period_s: float = 1.0) -> list[Path]:
    """One file a query, as people save them."""
    at_s = np.arange(0, LENGTH_S, period_s)
    running = TRUTH.running(at_s)
    values = {
        "vllm:num_requests_running": running,
        "vllm:num_requests_waiting": 0.0 * at_s,
        "vllm:kv_cache_usage_perc": (1.0 + 30 * running) / 30_000,
        "vllm:prompt_tokens_total": 777 + TRUTH.prompts(at_s),
        "vllm:generation_tokens_total": 999 + TRUTH.generated(at_s),
    }
    paths = []
    for number, (name, x) in enumerate(values.items()):
        paths.append(folder / f"query-{number}.json")
        paths[-1].write_text(answer(({"__name__": name, **LABELS}, START_S + at_s, x)))
    return paths


def vllm_bench(path: Path, **changes: Any) -> Path:
    """Times of a clock that began somewhere; `date` right to a second, and late by one."""
    end = datetime.fromtimestamp(START_S + OFFSET_S + TRUTH.end_s.max() + 1.3, UTC)
    said = {
        "date": end.strftime("%Y%m%d-%H%M%S"),
        "input_lens": TRUTH.prompt.tolist(),
        "output_lens": TRUTH.output.tolist(),
        "start_times": (4242.0 + TRUTH.start_s).tolist(),
        "ttfts": [TOKEN_S] * 30,
        "itls": [[TOKEN_S] * (n - 1) for n in TRUTH.output.tolist()],
        "errors": [""] * 30,
        **changes,
    }
    path.write_text(json.dumps(said))
    return path


def spl(path: Path, late_s: float) -> Path:
    """A wall meter, a second a line, its clock `late_s` ahead of the GPUs'."""
    at_s = np.arange(0, LENGTH_S, 1.0)
    lines = []
    for at, watts in zip(at_s, 900 + 8 * TRUTH.watts(at_s), strict=True):
        moment = datetime.fromtimestamp(START_S + OFFSET_S + at + late_s, UTC)
        text = f"{moment:%m-%d-%Y %H:%M:%S.%f}"[:-3]
        lines.append(f"Time,{text},Watts,{watts:.1f},Volts,230.1,Amps,10.2,PF,0.99,Mark,x")
    path.write_text("\n".join(lines) + "\n")
    return path


def dcsim_import(out: Path, *arguments: object) -> Result:
    named = ["--hardware", "A100", "--model", "Qwen/Qwen3-8B", "--out", str(out)]
    return CliRunner().invoke(app, ["measure", "import", *named, *map(str, arguments)])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as text:
        return list(csv.DictReader(text))


def test_four_logs_with_four_clocks_become_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    engine = [part for path in prometheus_engine(tmp_path) for part in ("--engine", path)]
    done = dcsim_import(
        out,
        *engine,
        *("--power", nvidia_smi(tmp_path / "smi.csv", 2.4)),
        *("--requests", vllm_bench(tmp_path / "bench.json")),
        *("--server-power", spl(tmp_path / "spl.txt", -3.0)),
        "--json",
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    clocks = told["alignment"]
    assert all(one["sure"] for one in clocks.values())
    # The watts are moved back by what their clock was ahead; the engine was scraped each second.
    assert clocks["power"]["moved_s"] == pytest.approx(-2.4, abs=0.3)
    assert clocks["power"]["correlation"] > 0.9 > clocks["power"]["second_best"]
    # Its date was 1 s late (1.3 s, cut to whole seconds): the requests move back.
    assert -1.9 < clocks["requests"]["moved_s"] < -0.2
    assert clocks["server_power"]["moved_s"] == pytest.approx(3.0, abs=0.3)
    assert any("moved by" in note and "sure" in note for note in told["notes"])
    # what is written is what was brought
    assert [int(r["input_tokens"]) for r in rows(out / "requests.csv")] == TRUTH.prompt.tolist()
    starts = np.array([float(r["start"]) for r in rows(out / "requests.csv")])
    assert np.allclose(starts - START_S, TRUTH.start_s, atol=0.8)
    engine_rows = rows(out / "engine.csv")
    assert float(engine_rows[0]["generation_total"]) == 0
    assert float(engine_rows[-1]["generation_total"]) == TRUTH.output.sum()
    assert "iterations" not in engine_rows[0]
    assert len(rows(out / "power.csv")) == 2400
    assert float(rows(out / "server_power.csv")[0]["ac_w"]) == pytest.approx(1540, abs=80)
    manifest = json.loads((out / "manifest.json").read_text())
    assert len(manifest["brought_from"]) == 8
    assert len(manifest["brought_from"][0]["sha256"]) == 64
    # and training reads it as one run, with the clocks together
    run = read_run(out, load_catalogue())
    moved = [text for text in run.remarks if "power log moved" in text]
    assert len(run.series) > 900 and not moved
    lead = TRUTH.watts(run.edges_s[0] - START_S + 0.25 * np.arange(len(run.series)))
    assert np.corrcoef(run.power_w, lead)[0, 1] > 0.9


def test_a_log_that_tells_nothing_is_not_believed(tmp_path: Path) -> None:
    at_s = np.arange(0, LENGTH_S, 0.5)
    watts = np.random.default_rng(3).normal(200, 30, len(at_s))
    power = tmp_path / "dcgm.json"
    name = {"__name__": "DCGM_FI_DEV_POWER_USAGE", "gpu": "0"}
    power.write_text(answer((name, START_S + at_s, watts)))
    engine = [part for path in prometheus_engine(tmp_path) for part in ("--engine", path)]
    done = dcsim_import(tmp_path / "run", *engine, "--power", power, "--json")
    told = json.loads(done.stdout)
    assert not told["alignment"]["power"]["sure"]
    assert told["alignment"]["power"]["moved_s"] == 0.0
    assert any("power could not be confirmed" in doubt for doubt in told["warnings"])


def test_requests_that_only_a_guess_could_place_are_not_good(tmp_path: Path) -> None:
    engine = tmp_path / "engine.csv"
    at_s = np.arange(0, LENGTH_S, 1.0)
    flat = "epoch,running,waiting,kv,prompt_total,generation_total\n"
    engine.write_text(flat + "".join(f"{START_S + a},3,0,0.001,5,{a * 10}\n" for a in at_s))
    done = dcsim_import(
        tmp_path / "run",
        *("--engine", engine, "--power", nvidia_smi(tmp_path / "smi.csv", 0.0)),
        *("--requests", vllm_bench(tmp_path / "bench.json")),
    )
    assert done.exit_code == 1
    assert "error: the clock of requests is a guess: nothing shows it surely" in done.stdout


def test_gpus_of_a_range_query_are_put_side_by_side(tmp_path: Path) -> None:
    at_s = START_S + np.arange(0, 100, 0.5)
    name = "DCGM_FI_DEV_POWER_USAGE"
    path = tmp_path / "p.json"
    path.write_text(
        answer(
            ({"__name__": name, "gpu": "10"}, at_s[1:], 10 + 0 * at_s[1:]),
            ({"__name__": name, "gpu": "2"}, at_s, 2 + 0 * at_s),
            ({"__name__": "DCGM_FI_DEV_SM_CLOCK", "gpu": "2"}, at_s, 1410 + 0 * at_s),
        )
    )
    found_s, gpus, watts, _ = foreign.power_of(foreign.range_query(path), path)
    assert gpus == ["2", "10"] and found_s.tolist() == at_s.tolist()
    assert watts[1].tolist() == [2.0, 10.0]
    assert watts[0, 0] == 2.0 and np.isnan(watts[0, 1])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not json", "not JSON"),
        ('{"data": {}}', "no data.result"),
        ('{"data": []}', "no data.result"),
        ('{"status": "error", "error": "bad_data"}', "refused the query: bad_data"),
        ('{"data": {"result": [{"metric": {}, "value": [1, "2"]}]}}', "ask for a range"),
        ('{"data": {"result": []}}', "none of DCGM_FI_DEV_POWER_USAGE_INSTANT"),
    ],
)
def test_a_range_query_that_is_none_says_why(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(MeasureError, match=why):
        foreign.power_of(foreign.range_query(path), path)


def test_a_benchmark_without_times_or_details_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    for changes, why in (
        ({"start_times": None}, "no start_times"),
        ({"input_lens": [1]}, "one place a request"),
        ({"date": "yesterday"}, "no `date` such as"),
        ({"errors": ["boom"] * 30}, "no request that was answered"),
    ):
        with pytest.raises(MeasureError, match=why):
            read_benchmark(vllm_bench(path, **changes))
    path.write_text('{"request_throughput": 2.0}')
    with pytest.raises(MeasureError, match="run it with --save-result --save-detailed"):
        read_benchmark(path)
    bench = read_benchmark(vllm_bench(path, errors=["boom", *[""] * 29]))
    assert (bench.failed, len(bench.start_s)) == (1, 29)
    # A first token that was never seen is null.
    bench = read_benchmark(vllm_bench(path, ttfts=[None, *[TOKEN_S] * 29]))
    assert (bench.failed, len(bench.start_s)) == (1, 29)
    with pytest.raises(MeasureError, match="no request that was answered"):
        read_benchmark(vllm_bench(path, ttfts=[None] * 30))


def test_wall_meters_errors_are_left_out_and_damage_is_named(tmp_path: Path) -> None:
    path = spl(tmp_path / "spl.txt", 0.0)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1].replace("Watts,", "Watts,-")]))
    assert len(foreign.read_spl(path)[0]) == len(lines)
    for damage in (
        "Time,now,Watts,many",
        "Time,17-17-2024 07:02:47.866,Watts,2381.8,Volts",
        "Time,07-17-2024 07:02:47.866,Watts,inf,Volts",
        "Time,07-17-2024 07:02:47.866,Volts,230,Watts,2381.8",
    ):
        path.write_text("\n".join([*lines, damage]))
        with pytest.raises(MeasureError, match=rf"spl.txt:{len(lines) + 1}: expected Time,07-17"):
            foreign.read_spl(path)


def test_refusals_name_the_file_and_write_nothing(tmp_path: Path) -> None:
    smi = nvidia_smi(tmp_path / "smi.csv", 0.0)
    wall = spl(tmp_path / "spl.txt", 0.0)
    engine = tmp_path / "engine.csv"
    engine.write_text("epoch,running,waiting,kv,prompt_total,generation_total\n1,2,x,3,4,5\n")
    full = tmp_path / "full"
    full.mkdir()
    (full / "a").write_text("")
    out = tmp_path / "run"
    some = tmp_path / "some.json"
    some.write_text(prometheus_engine(tmp_path)[0].read_text())
    good = [part for path in prometheus_engine(tmp_path) for part in ("--engine", path)]
    for arguments, why in (
        ((), "nothing to import: give --power or --server-power"),
        (("--power", tmp_path / "none.csv", *good), f"{tmp_path / 'none.csv'}: no such file"),
        (("--power", wall, *good), f"{wall}: this is a wall meter's log, not GPU watts: import it"),
        (("--power", engine, *good), f"{engine}: this is a log of engine"),
        (("--power", some, *good), f"{some}: none of DCGM_FI_DEV_POWER_USAGE_INSTANT"),
        (("--power", smi), "nothing tells what the GPUs did: give --engine or --requests"),
        (("--power", smi, "--engine", engine), f"{engine}:2: expected a number, not 'x'"),
        (("--power", smi, "--engine", smi), f"{smi}: this is a log of power"),
        (("--power", smi, "--engine", tmp_path / "no"), f"{tmp_path / 'no'}: no such file"),
        (("--power", smi, "--engine", some), f"{some}: lacks vllm:num_requests_waiting, "),
        (("--power", smi, "--requests", engine), f"{engine} has no column input_tokens"),
        (("--power", smi, *good, "--gpus", "7"), f"{smi}: no GPU 7; the log has 0"),
        (("--power", smi, *good, "--tp", 2), "watts of 1 GPUs (0), but tp is 2"),
        (("--power", smi, "--power", smi, *good), "--power: several files are for answers of"),
        (("--power", smi, *good, "--utc-offset", "PST"), "--utc-offset: expected hours such as -7"),
        (("--power", smi, *good, "--search", "20"), "--search: '20' is not a quantity such as"),
    ):
        done = dcsim_import(out, *arguments)
        assert done.exit_code == 2, (arguments, done.output)
        assert done.stderr.startswith(f"import: {why}"), (why, done.stderr)
        assert len(done.stderr.splitlines()) == 1
        assert not out.exists()
    assert dcsim_import(full, "--power", smi).exit_code == 2


def test_a_real_run_brought_with_a_clock_three_seconds_off(data: Path, tmp_path: Path) -> None:
    run = data / "measured" / "vllm_runs" / "qwen3-8b_a100_tp1_gamma4_2.5"
    lines = ["timestamp, index, power.draw [W]"]
    for row in rows(run / "power.csv"):
        hour, minute, rest = row["t"].split(":")
        second = float(rest) + 3.0
        late = int(hour) * 3600 + int(minute) * 60 + second
        text = f"{int(late // 3600):02d}:{int(late // 60 % 60):02d}:{late % 60:06.3f}"
        lines.append(f"2026/07/18 {text}, 0, {row['gpu0']} W")
    smi = tmp_path / "smi.csv"
    smi.write_text("\n".join(lines) + "\n")
    done = dcsim_import(
        tmp_path / "late",
        *("--power", smi, "--engine", run / "engine.csv"),
        *("--requests", run / "requests.csv", "--json"),
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["alignment"]["power"]
    assert told["sure"] and told["shift_s"] == pytest.approx(3.0, abs=0.4)
    found = rows(tmp_path / "late" / "requests.csv")
    assert len(found) == len(rows(run / "requests.csv"))
    replay = {(r["input_tokens"], r["output_tokens"]) for r in found}
    assert replay == {(r["input_tokens"], r["output_tokens"]) for r in rows(run / "requests.csv")}


def test_samples_that_are_no_number_are_told(tmp_path: Path) -> None:
    at_s = START_S + np.arange(20.0)
    watts = np.where(np.arange(20) % 5 == 4, np.nan, 80.0)
    path = tmp_path / "power.json"
    path.write_text(answer(({"__name__": "DCGM_FI_DEV_POWER_USAGE", "gpu": "0"}, at_s, watts)))
    found_s, _, _, notes = foreign.power_of(foreign.range_query(path), path)
    assert len(found_s) == 16
    assert notes == ["4 samples without watts left out"]


@pytest.mark.parametrize(("idle", "added"), [(0.0, 1 / 2000), (1 / 2000, 0.0)])
def test_an_idle_engine_holds_one_block_in_what_is_written(idle: float, added: float) -> None:
    """As `record` writes it and the reader of engine.csv expects; newer versions of vLLM leave
    the block that they keep for themselves out of their count."""
    at_s = np.arange(3.0)
    kv = np.array([idle, 0.5, idle])
    columns = {"kv": kv, "prompt_total": at_s + 70.0}
    log = EngineLog(at_s, columns, "unix", "a scrape", kv_blocks=2000)
    written = engine_columns(log)
    assert written["kv"] == pytest.approx(kv + added)
    assert written["prompt_total"].tolist() == [0.0, 1.0, 2.0]
