"""Logs as they come: one truth, told in every layout that is read, and read back the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import LogError
from dcsim.lab.learn.readers import detect_format, engine_log, power_log
from dcsim.stamps import stamp

START_S = 1784576424.937
"""2026-07-20 19:40:24.937 UTC."""
STEP_S = 0.25
COUNT = 12
WATTS = 80.0 + 10.0 * np.arange(COUNT)[:, None] + np.array([0.0, 0.5])
"""(samples, GPUs)."""


def clock(at_s: float, how: str = "%Y/%m/%d %H:%M:%S") -> str:
    moment = datetime.fromtimestamp(at_s, UTC)
    return f"{moment.strftime(how)}.{round(moment.microsecond, -3) // 1000 % 1000:03d}"


def each() -> list[tuple[float, int, float]]:
    """Time, GPU and watts of each row; the second GPU is read 4 ms after the first."""
    return [
        (START_S + STEP_S * row + 0.004 * gpu, gpu, WATTS[row, gpu])
        for row in range(COUNT)
        for gpu in (0, 1)
    ]


def smi(header: str, row: str) -> str:
    return "\n".join(
        [header] * bool(header)
        + [row.format(t=clock(at), i=gpu, w=watts) for at, gpu, watts in each()]
    )


DCGM = 'DCGM_FI_DEV_POWER_USAGE{{gpu="{i}",UUID="GPU-{i}",modelName="NVIDIA H100"}} {w}'
POWER = {
    "all columns": smi(
        "timestamp, index, uuid, power.draw [W], clocks.sm [MHz], utilization.gpu [%]",
        "{t}, {i}, GPU-{i}, {w:.2f} W, 1410 MHz, 98 %",
    ),
    "no units": smi("timestamp, index, power.draw [W]", "{t}, {i}, {w:.2f}"),
    "by uuid, watts first": smi("power.draw [W], uuid, timestamp", "{w:.2f} W, {i}, {t}"),
    "no header": smi("", "{t}, {i}, {w:.2f} W"),
    "no header, with limit": smi("", "{t}, {i}, {w:.2f} W, 400.00 W"),
    "no header, no units": smi("", "{t}, {i}, {w:.2f}"),
    "dcgmi dmon through ts": "#Entity   SMACT   POWER\nID                W\n"
    + "\n".join(f"{clock(at)} GPU {gpu}   0.98   {watts:.3f}" for at, gpu, watts in each()),
    "dcgmi dmon through ts, unix": "# Entity  POWER\n     Id      \n"
    + "\n".join(f"{at:.3f}     GPU {gpu}    {watts:.3f}" for at, gpu, watts in each()),
    "nvidia-smi dmon": "#Date   Time      gpu    pwr  gtemp\n#YYYYMMDD HH:MM:SS  Idx  W  C\n"
    + "\n".join(
        f" {clock(at, '%Y%m%d  %H:%M:%S')}   {gpu}   {watts:.2f}   35" for at, gpu, watts in each()
    ),
    "exporter, scrapes with a time before": "\n".join(
        f"# scraped {clock(START_S + STEP_S * row)}\n# HELP DCGM_FI_DEV_POWER_USAGE Power (in W).\n"
        + "\n".join(DCGM.format(i=gpu, w=WATTS[row, gpu]) for gpu in (0, 1))
        for row in range(COUNT)
    ),
    "exporter, milliseconds in lines": "\n".join(
        DCGM.format(i=gpu, w=WATTS[row, gpu]) + f" {1000 * (START_S + STEP_S * row):.0f}"
        for row in range(COUNT)
        for gpu in (0, 1)
    ),
    "exporter, long table": "timestamp,gpu,DCGM_FI_DEV_POWER_USAGE\n"
    + "\n".join(
        f"{START_S + STEP_S * row:.3f},{gpu},{WATTS[row, gpu]}"
        for row in range(COUNT)
        for gpu in (0, 1)
    ),
    "exporter, wide table": 'Time,"DCGM_FI_DEV_POWER_USAGE{gpu=""0"", UUID=""GPU-a""}",'
    '"DCGM_FI_DEV_POWER_USAGE{gpu=""1"", UUID=""GPU-b""}"\n'
    + "\n".join(
        f"{clock(START_S + STEP_S * row)},{WATTS[row, 0]},{WATTS[row, 1]}" for row in range(COUNT)
    ),
    "run folder": "t,gpu0,gpu1\n"
    + "\n".join(
        f"{clock(START_S + STEP_S * row, '%H:%M:%S')},{WATTS[row, 0]},{WATTS[row, 1]}"
        for row in range(COUNT)
    ),
}


@pytest.mark.parametrize("layout", POWER)
def test_one_truth_in_every_layout_of_power(layout: str, tmp_path: Path) -> None:
    file = tmp_path / "some.log"
    file.write_text(POWER[layout] + "\n")
    assert detect_format(file) == "power"
    log = power_log(file)
    assert log.gpus == ("0", "1")
    assert log.watts == pytest.approx(WATTS, abs=0.01)
    assert np.diff(log.at_s) == pytest.approx(STEP_S, abs=1e-6)
    if log.clock == "day":
        assert log.at_s[0] == pytest.approx(START_S % 86400, abs=1e-3)
    else:
        assert log.at_s[0] == pytest.approx(START_S, abs=1e-3)  # the log's zone is UTC here
    assert log.clock == ("day" if layout == "run folder" else log.clock)
    only = log.select(["1"])
    assert only.watts[:, 0] == pytest.approx(WATTS[:, 1], abs=0.01)
    with pytest.raises(LogError, match="no GPU 7; the log has 0, 1"):
        log.select(["7"])


def test_momentary_watts_are_preferred(tmp_path: Path) -> None:
    """A newer driver gives the mean and the moment: the moment hides nothing."""
    file = tmp_path / "smi.csv"
    head = "timestamp, power.draw [W], power.draw.average [W], power.draw.instant [W]"
    rows = [f"{clock(at)}, 1.0 W, 2.0 W, {watts:.2f} W" for at, gpu, watts in each() if gpu == 0]
    file.write_text("\n".join([head, *rows]))
    log = power_log(file)
    assert log.field == "instant"
    assert log.watts[:, 0] == pytest.approx(WATTS[:, 0])


def test_silence_is_no_watts(tmp_path: Path) -> None:
    """What a meter did not tell is unknown, never 0; a row cut short at the end is left out."""
    file = tmp_path / "smi.csv"
    text = POWER["all columns"].replace(", 90.00 W", ", [N/A]")
    file.write_text(text + "\n2026/07/20 19:41")
    log = power_log(file)
    assert np.isnan(log.watts[1, 0])
    assert np.isfinite(np.delete(log.watts.ravel(), 2)).all()
    assert len(log.at_s) == COUNT


def test_windows_consoles_and_midnight(tmp_path: Path) -> None:
    file = tmp_path / "smi.csv"
    file.write_text(POWER["all columns"], encoding="utf-16")
    assert power_log(file).watts == pytest.approx(WATTS)
    file.write_text("t,gpu0\n23:59:59.900,80\n00:00:00.150,81\n00:00:00.400,82\n")
    assert np.diff(power_log(file).at_s) == pytest.approx(0.25)


def test_a_table_without_times_needs_its_interval(tmp_path: Path) -> None:
    file = tmp_path / "dcgm.txt"
    file.write_text(
        "#Entity   POWER\nID          W\n"
        + "\n".join(f"GPU {gpu}   {watts}" for _, gpu, watts in each())
    )
    with pytest.raises(LogError, match="state its interval"):
        power_log(file)
    log = power_log(file, interval_s=0.1)
    assert log.clock == "relative"
    assert np.diff(log.at_s) == pytest.approx(0.1)
    assert log.watts == pytest.approx(WATTS)


# --- engines ------------------------------------------------------------------------------------

RUNNING = np.arange(COUNT) % 5
PROMPTS = 100 * np.arange(COUNT)
TOKENS = 40 * np.arange(COUNT)
KV = 0.01 * RUNNING + 0.001


def page(row: int, kv: str = "gpu_cache_usage_perc") -> str:
    label = '{engine="0",model_name="Qwen/Qwen3-8B"}'
    return (
        "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
        "# TYPE vllm:num_requests_running gauge\n"
        'vllm:cache_config_info{block_size="16",num_gpu_blocks="25080"} 1.0\n'
        f"vllm:num_requests_running{label} {RUNNING[row]}.0\n"
        f"vllm:num_requests_waiting{label} 0.0\n"
        f"vllm:{kv}{label} {KV[row]}\n"
        f"vllm:prompt_tokens_total{label} {float(PROMPTS[row])}\n"
        f"vllm:generation_tokens_total{label} {float(TOKENS[row])}\n"
        f'vllm:iteration_tokens_total_bucket{{le="8.0",engine="0"}} 3.0\n'
        f"vllm:iteration_tokens_total_count{label} {10.0 * row}\n"
        f"vllm:iteration_tokens_total_sum{label} {99.0 * row}\n"
        f'python_gc_objects_collected_total{{generation="0"}} 1.2e4\n'
    )


NAMED = [
    "num_requests_running",
    "num_requests_waiting",
    "kv_cache_usage_perc",
    "prompt_tokens_total",
    "generation_tokens_total",
    "iteration_tokens_total_count",
]


def plain(row: int) -> list[float]:
    return [RUNNING[row], 0, KV[row], PROMPTS[row], TOKENS[row], 10 * row]


ENGINE = {
    "scrapes": "".join(f"# {START_S + STEP_S * row}\n{page(row)}" for row in range(COUNT)),
    "scrapes, newer names, ISO": "".join(
        f"=== {clock(START_S + STEP_S * row, '%Y-%m-%dT%H:%M:%S')}Z ===\n"
        + page(row, "kv_cache_usage_perc")
        for row in range(COUNT)
    ),
    "table": "timestamp,"
    + ",".join("vllm:" + name for name in NAMED)
    + "\n"
    + "\n".join(",".join(map(str, [START_S + STEP_S * row, *plain(row)])) for row in range(COUNT)),
    "run folder": "epoch,running,waiting,kv,prompt_total,generation_total,iterations\n"
    + "\n".join(",".join(map(str, [START_S + STEP_S * row, *plain(row)])) for row in range(COUNT)),
    "JSON lines": "\n".join(
        "{"
        + f'"time": {START_S + STEP_S * row}, "metrics": {{'
        + ", ".join(f'"vllm:{n}": {v}' for n, v in zip(NAMED, plain(row), strict=True))
        + "}}"
        for row in range(COUNT)
    ),
}


@pytest.mark.parametrize("layout", ENGINE)
def test_one_truth_in_every_layout_of_an_engine(layout: str, tmp_path: Path) -> None:
    file = tmp_path / "metrics.log"
    file.write_text(ENGINE[layout])
    assert detect_format(file) == "engine"
    log = engine_log(file)
    assert log.clock == "unix"
    assert log.at_s == pytest.approx(START_S + STEP_S * np.arange(COUNT), abs=1e-3)
    for name, wanted in (
        ("running", RUNNING),
        ("kv", KV),
        ("prompt_total", PROMPTS),
        ("generation_total", TOKENS),
        ("iterations", 10 * np.arange(COUNT)),
    ):
        assert log.columns[name] == pytest.approx(wanted), name
    assert log.kv_blocks == (25080 if layout.startswith("scrapes") else None)


def test_an_engine_started_anew_goes_on_counting(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    counts = [0, 40, 80, 0, 40, 80]
    file.write_text(
        "epoch,running,waiting,kv,prompt_total,generation_total\n"
        + "\n".join(f"{START_S + i},1,0,0.1,{n},{n}" for i, n in enumerate(counts))
    )
    log = engine_log(file)
    # No counter tells what was done from the last look to the restart: as much as before.
    assert log.columns["generation_total"].tolist() == [0, 40, 80, 120, 160, 200]
    assert log.restarts == (START_S + 3,)
    assert "iterations" not in log.columns


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timestamp, index, power.draw [W]\nyesterday, 0, 80 W\n", ":2: expected a time such as"),
        (
            "timestamp, index, power.draw [W]\n2026/07/20 12:40:24.937, 0, many\n",
            ":2: expected wat",
        ),
        ("index, power.draw [W]\n0, 80 W\n", "no column timestamp"),
        (
            "timestamp, power.draw [W]\n2026/07/20 12:40:24.9, 80 W\n12:40:25.1, 80 W\n",
            "is a day time, those before it local",
        ),
        (
            "timestamp, power.draw [W]\n2026/07/20 12:40:24.9, 80 W\n2026/07/20 12:39:24.8, 80 W\n",
            "back in time",
        ),
        ("timestamp, power.draw [W]\n", "fewer than two samples"),
        ("2026/07/20 12:40:24.937, 0, 80.1, 1410\n", "no log of power that is known"),
        ("#Entity  SMACT\nID\nGPU 0  0.9\n", "no column of watts"),
        ("t,gpu0\n12:40:24,80\n12:40:25\n12:40:26,80\n", ":3: expected 2 values, found 1"),
        ("# TYPE DCGM_FI_DEV_POWER_USAGE gauge\nDCGM_FI_DEV_POWER_USAGE 80\n", "no time before"),
        ("hello\nworld\n", "no log of power that is known"),
        ("", "no log of power that is known"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "some.log"
    file.write_text(text)
    with pytest.raises(LogError, match=told) as caught:
        power_log(file)
    assert "some.log" in str(caught.value)


def test_rows_a_little_out_of_order_are_sorted(tmp_path: Path) -> None:
    """Two loops that write to one file, one a GPU: each GPU's watts stay its own."""
    stamps = ["24.10", "24.05", "25.10", "25.05", "26.10", "26.05"]
    rows = [f"2026/07/20 12:40:{at}, {n % 2}, {80 + n} W" for n, at in enumerate(stamps)]
    file = tmp_path / "smi.csv"
    file.write_text("\n".join(["timestamp, index, power.draw [W]", *rows]))
    log = power_log(file)
    assert log.gpus == ("0", "1")
    assert log.watts.tolist() == [[80, 81], [82, 83], [84, 85]]
    assert np.diff(log.at_s) == pytest.approx(1.0)
    assert log.remarks == ("3 rows out of order, by up to 0.05 s: sorted",)
    # One GPU, no name: the same; of several none could be told apart.
    alone = [row.replace(", 0,", ",").replace(", 1,", ",") for row in rows[:2]]
    file.write_text("\n".join(["timestamp, power.draw [W]", *alone]))
    assert power_log(file).watts.tolist() == [[81], [80]]


def test_metrics_that_are_missing_are_named(tmp_path: Path) -> None:
    file = tmp_path / "metrics.prom"
    lines = ENGINE["scrapes"].splitlines()
    file.write_text("\n".join(line for line in lines if "prompt_tokens" not in line))
    with pytest.raises(LogError, match="lacks vllm:prompt_tokens"):
        engine_log(file)
    file.write_text("\n".join(line for line in lines if not line.startswith("# 17")))
    with pytest.raises(LogError, match="no time before this sample"):
        engine_log(file)
    assert detect_format(tmp_path / "metrics.prom") == "engine"
    (tmp_path / "notes.txt").write_text("a walk in the park\n")
    assert detect_format(tmp_path / "notes.txt") is None


@given(st.datetimes(min_value=datetime(2001, 9, 10), max_value=datetime(2200, 1, 1)))
def test_a_moment_in_every_form_is_the_same_moment(moment: datetime) -> None:
    utc = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    wanted = utc.timestamp()
    zoned = (utc.isoformat(), f"{wanted:.3f}", f"{1e3 * wanted:.0f}", f"{1e9 * wanted:.0f}")
    for text in zoned:
        found = stamp(text)
        assert found is not None and found[1] == "unix"
        assert found[0] == pytest.approx(wanted, abs=2e-3)
    for text in (clock(wanted), clock(wanted, "%Y-%m-%d %H:%M:%S")):
        found = stamp(text)
        assert found is not None and found[1] == "local"
        assert found[0] == pytest.approx(wanted, abs=2e-3)


@given(st.text(max_size=40))
def test_no_text_is_a_trap(text: str) -> None:
    """A time, or none: never an error."""
    found = stamp(text)
    assert found is None or np.isfinite(found[0])


@given(st.lists(st.text(max_size=60), max_size=8))
def test_no_file_is_a_trap(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    """Read, or refused by name."""
    file = tmp_path_factory.mktemp("logs") / "some.log"
    for start in (
        "",
        "timestamp, power.draw [W]\n",
        "# Entity POWER\n",
        "t,gpu0\n",
        "num_requests_running 1\n",
    ):
        file.write_text(start + "\n".join(lines), encoding="utf-8", errors="replace")
        for read in (power_log, engine_log):
            try:
                read(file)
            except LogError as error:
                assert "some.log" in str(error)
