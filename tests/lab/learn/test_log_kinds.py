"""Faults of logs that people bring: words for no value, resets, GPUs taken for one, units."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from dcsim.errors import LogError
from dcsim.hardware import load_catalogue
from dcsim.lab.learn.counters import computed_total
from dcsim.lab.learn.plausible import gpu_named, plausible
from dcsim.lab.learn.readers import PowerLog, detect_format, engine_log, power_log, request_log
from dcsim.lab.learn.readers.series import Track, counted, gauged, going_on, gpu_table
from dcsim.lab.learn.readers.text import number, watts

START_S = 1784576400.0
COUNT = 40

GPUS = load_catalogue().gpus
A100 = gpu_named("A100", GPUS)


def clock(at_s: float) -> str:
    return f"{datetime.fromtimestamp(START_S + at_s, UTC):%Y/%m/%d %H:%M:%S.%f}"[:-3]


def smi(folder: Path, header: str, *rows: str) -> Path:
    file = folder / "smi.csv"
    file.write_text("\n".join([header, *rows][not header :]) + "\n")
    return file


# --- words for no value ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        *("[GPU is lost]", "[GPU requires reset]", "[Insufficient Permissions]", "ERR!", "[N/A]"),
        *("[Unknown Error]", "N/A", "[Not Supported]", "", "nan", "[anything that comes next]"),
    ],
)
def test_a_word_for_no_value_costs_its_sample_only(tmp_path: Path, word: str) -> None:
    rows = [f"{clock(0.5 * i)}, 0, {word if i == 5 else '80.5 W'}" for i in range(COUNT)]
    log = power_log(smi(tmp_path, "timestamp, index, power.draw [W]", *rows))
    assert len(log.at_s) == COUNT
    assert np.flatnonzero(np.isnan(log.watts[:, 0])).tolist() == [5]


def test_a_word_that_is_none_is_refused() -> None:
    assert number("lots") is None
    assert watts("12 percent") is None


def test_what_nvidia_smi_says_between_rows_is_told(tmp_path: Path) -> None:
    rows = [f"{clock(0.5 * i)}, 0, 80 W" for i in range(COUNT)]
    rows.insert(7, "Unable to determine the device handle for GPU0000:3B:00.0: Unknown Error")
    log = power_log(smi(tmp_path, "timestamp, index, power.draw [W]", *rows))
    assert len(log.at_s) == COUNT
    assert log.remarks == (f"line 9 says: {rows[7]}",)


@pytest.mark.parametrize(
    ("cell", "value"), [("87810 mW", 87.81), ("0.0878 kW", 87.8), ("87.81", 87.81), ("9e1 W", 90.0)]
)
def test_watts_by_their_unit(cell: str, value: float) -> None:
    assert watts(cell) == pytest.approx(value)


# --- plausibility ----------------------------------------------------------------------------


def power(*values: float) -> PowerLog:
    at_s = START_S + 0.5 * np.arange(len(values))
    return PowerLog(at_s, ("0",), np.array(values, float)[:, None], "unix", "made")


@pytest.mark.parametrize(
    "code", [140737488355328.0, 140737488355330.0, 2147483632.0, 9223372036854775792.0]
)
def test_codes_for_no_value_are_none(code: float) -> None:
    log, remarks = plausible(power(80, code, 300, code), A100)
    assert log.watts[:, 0].tolist() == pytest.approx([80, np.nan, 300, np.nan], nan_ok=True)
    assert remarks == [f"2 samples of {code:.0f} W left out: the tool's code for no value"]


def test_more_than_the_board_draws_is_damage() -> None:
    log, remarks = plausible(
        power(80, 300, 5000, -1, 420), gpu_named("NVIDIA A100-SXM4-80GB", GPUS)
    )
    assert log.watts[:, 0].tolist() == pytest.approx([80, 300, np.nan, np.nan, 420], nan_ok=True)
    assert len(remarks) == 2
    assert "above 600 W" in remarks[1]


@pytest.mark.parametrize(
    ("factor", "why"),
    [(1e3, "milliwatts?"), (1e6, "microwatts?"), (8, "several GPUs"), (1e-3, "kilowatts?")],
)
def test_another_unit_is_named(factor: float, why: str) -> None:
    with pytest.raises(LogError, match=why.replace("?", r"\?")):
        plausible(power(*(factor * w for w in (90, 250, 320, 310))), A100)


def test_an_unknown_board_is_checked_for_codes_alone() -> None:
    log, _ = plausible(power(5000, 2147483632.0), gpu_named("B9000", GPUS))
    assert log.watts[:, 0].tolist() == pytest.approx([5000, np.nan], nan_ok=True)


# --- GPUs told apart -------------------------------------------------------------------------


@pytest.mark.parametrize("apart_s", [0.0, 0.001, 0.02])
@pytest.mark.parametrize("gpus", [1, 2, 8])
def test_rows_of_one_loop_belong_to_several_gpus(tmp_path: Path, apart_s: float, gpus: int) -> None:
    rows = [
        f"{clock(0.5 * i + apart_s * gpu)}, {60 + 10 * gpu + i}.00 W"
        for i in range(COUNT)
        for gpu in range(gpus)
    ]
    log = power_log(smi(tmp_path, "timestamp, power.draw [W]", *rows))
    assert log.gpus == tuple(map(str, range(gpus)))
    assert log.watts[3].tolist() == [63 + 10 * gpu for gpu in range(gpus)]


def test_one_gpu_whose_tool_stalls_is_one(tmp_path: Path) -> None:
    """One gap in twenty is ten times as long, and the next one short: the tool catches up."""
    rng = np.random.default_rng(1)
    stalls = rng.random(400) < 0.05
    gaps_s = np.where(stalls, 1.0, np.where(np.roll(stalls, 1), 0.005, 0.1))
    rows = [f"{clock(at)}, {80 + n % 7} W" for n, at in enumerate(np.cumsum(gaps_s))]
    log = power_log(smi(tmp_path, "timestamp, power.draw [W]", *rows))
    assert log.gpus == ("0",)
    assert len(log.at_s) == 400


def test_loops_of_different_length_cannot_be_told_apart(tmp_path: Path) -> None:
    rows = []
    for i in range(COUNT):
        rows.append(f"{clock(0.5 * i)}, 80 W")
        rows += [f"{clock(0.5 * i + 0.001)}, 60 W"] if i % 3 else []
    with pytest.raises(LogError, match="GPUs cannot be told apart; query timestamp,index"):
        power_log(smi(tmp_path, "timestamp, power.draw [W]", *rows))


def test_one_index_on_two_servers_is_two_gpus(tmp_path: Path) -> None:
    rows = [
        f"{clock(0.5 * i + 0.001 * gpu)}, 0, GPU-{gpu}{gpu}, {60 + 10 * gpu} W"
        for i in range(COUNT)
        for gpu in (0, 1)
    ]
    log = power_log(smi(tmp_path, "timestamp, index, uuid, power.draw [W]", *rows))
    assert log.gpus == ("GPU-00", "GPU-11")
    assert log.watts.mean(axis=0).tolist() == [60, 70]
    bare = [row.replace("GPU-00, ", "").replace("GPU-11, ", "") for row in rows]
    with pytest.raises(LogError, match="several GPUs that cannot be told apart"):
        power_log(smi(tmp_path, "timestamp, index, power.draw [W]", *bare))


def test_a_column_without_any_value_is_not_the_watts(tmp_path: Path) -> None:
    rows = [f"{clock(0.5 * i)}, 0, [N/A], [N/A], {80 + i} W" for i in range(COUNT)]
    header = "timestamp, index, power.draw.instant [W], power.draw.average [W], power.draw [W]"
    log = power_log(smi(tmp_path, header, *rows))
    assert log.watts[:, 0].tolist() == [80.0 + i for i in range(COUNT)]
    assert log.field == "default"


def test_without_a_header_the_limit_is_the_column_that_stands_still(tmp_path: Path) -> None:
    rows = [f"{clock(0.5 * i)}, 0, 400.00 W, {80 + i}.00 W" for i in range(COUNT)]
    assert power_log(smi(tmp_path, "", *rows)).watts[-1, 0] == 80 + COUNT - 1
    both = [f"{clock(0.5 * i)}, 0, {200 + i} W, {80 + i} W" for i in range(COUNT)]
    with pytest.raises(LogError, match="draw and limit cannot be told"):
        power_log(smi(tmp_path, "", *both))


def track(values: list[float], start: int = 0, **labels: str) -> Track:
    return Track(labels, START_S + start + np.arange(float(len(values))), np.array(values))


def test_gpus_are_told_apart_by_server_and_joined_by_uuid() -> None:
    at_s, names, table = gpu_table(
        [
            track([1, 1, 1], gpu="0", Hostname="n1"),
            track([2, 2, 2], gpu="0", Hostname="n2"),
            track([3, 3, 3], gpu="1", Hostname="n1"),
        ]
    )
    assert names == ["1", "n1/0", "n2/0"]
    assert table[0].tolist() == [3, 1, 2]
    # A pod's label changes, the GPU does not.
    at_s, names, table = gpu_table(
        [
            track([5, 6], gpu="0", UUID="GPU-a", pod="x"),
            track([7, 8], 2, gpu="0", UUID="GPU-a", pod="y"),
        ]
    )
    assert (names, table[:, 0].tolist(), len(at_s)) == (["0"], [5, 6, 7, 8], 4)
    # One name and different watts at one time: two GPUs.
    _, names, table = gpu_table([track([5, 6], gpu="0", pod="x"), track([7, 8], gpu="0", pod="y")])
    assert names == ["0 (gpu=0,pod=x)", "0 (gpu=0,pod=y)"]
    assert table[0].tolist() == [5, 7]


# --- counters --------------------------------------------------------------------------------


def test_a_reset_is_mended_and_told() -> None:
    mended, restarts = going_on(np.array([500.0, 510, 520, 530, 0, 4, 8]))
    assert mended.tolist() == [500, 510, 520, 530, 540, 544, 548]
    assert restarts.tolist() == [4]
    mended, restarts = going_on(np.array([500.0, 500, 500, 500, 0, 7]))  # idle before
    assert mended.tolist() == [500, 500, 500, 500, 500, 507]


def scrapes(
    folder: Path,
    *,
    reset: int | None = None,
    missing: range = range(0),
    swap: bool = False,
    extra: str = "",
) -> Path:
    """Two engines that have each computed 500,000 tokens before, 10 a second each from then on;
    the second begins anew, or is silent. `swap`: its labels change their order."""
    lines = []
    for i in range(COUNT):
        lines.append(f"# {START_S + i:.3f}")
        for engine in "01":
            if engine == "1" and i in missing:
                continue
            total = 500_000 + 10 * i
            if engine == "1" and reset is not None and i >= reset:
                total = 10 * (i - reset)
            labels = [f'engine="{engine}"', 'model_name="m"']
            where = "{" + ",".join(labels[::-1] if swap and i % 2 else labels) + "}"
            for name, value in (
                ("num_requests_running", 1),
                ("num_requests_waiting", 0),
                ("kv_cache_usage_perc", 0.1),
                ("prompt_tokens_total", total),
                ("generation_tokens_total", total),
                *(((extra, 0.9 * total),) if extra else ()),
                *((("prefix_cache_queries_total", total),) if extra else ()),
            ):
                lines.append(f"vllm:{name}{where} {value}")
    file = folder / "metrics.prom"
    file.write_text("\n".join(lines) + "\n")
    return file


def grown(file: Path, column: str = "prompt_total") -> float:
    log = engine_log(file)
    return float(log.columns[column][-1] - log.columns[column][0])


@pytest.mark.parametrize("swap", [False, True])
def test_one_of_two_engines_begins_anew(tmp_path: Path, swap: bool) -> None:
    whole = 2 * 10 * (COUNT - 1)
    assert grown(scrapes(tmp_path, swap=swap)) == whole
    file = scrapes(tmp_path, reset=20, swap=swap)
    assert grown(file) == whole
    assert engine_log(file).restarts == (START_S + 20,)


def test_one_of_two_engines_is_silent_for_a_while(tmp_path: Path) -> None:
    log = engine_log(scrapes(tmp_path, missing=range(20, 25)))
    steps = np.diff(log.columns["prompt_total"])
    assert log.columns["prompt_total"][-1] - log.columns["prompt_total"][0] == 20 * (COUNT - 1)
    assert steps.max() <= 20.0  # spread over the silence, not a leap
    assert "silent for 6.0 s" in log.remarks[0]
    assert not log.restarts


def test_scrapes_that_came_late_are_put_in_their_place(tmp_path: Path) -> None:
    """Each fifth scrape stands three places too late in the file; a minute is too much."""
    file = scrapes(tmp_path)
    expected = engine_log(file)
    blocks = ["# " + block for block in file.read_text().split("# ")[1:]]
    for at in range(5, COUNT - 4, 5):
        blocks[at : at + 4] = [*blocks[at + 1 : at + 4], blocks[at]]
    file.write_text("".join(blocks))
    log = engine_log(file)
    assert log.at_s.tolist() == expected.at_s.tolist()
    for name, values in expected.columns.items():
        assert log.columns[name].tolist() == values.tolist()
    assert "out of order, by up to 3 s: sorted" in log.remarks[0]
    assert not log.restarts
    file.write_text("".join([*blocks[30:], *blocks[:30]]))
    with pytest.raises(LogError, match="goes back in time"):
        engine_log(file)


def test_an_engine_in_a_new_pod_began_anew() -> None:
    """By hand: 500 tokens in the first pod, of which 40 here, then 7, 17 and 27 in the second, and
    its share of the KV cache is that of the pod which runs."""
    at_s = np.arange(8.0)
    pods = [
        Track({"pod": "a"}, at_s[:5], np.array([500.0, 510, 520, 530, 540])),
        Track({"pod": "b"}, at_s[5:], np.array([7.0, 17, 27])),
    ]
    total, restarts = counted(pods, at_s)
    assert (total - total[0]).tolist() == [0, 10, 20, 30, 40, 47, 57, 67]
    assert restarts == [(5.0, "pod=b")]
    shares = [Track(pod.labels, pod.at_s, 0.2 + 0 * pod.at_s) for pod in pods]
    assert gauged(shares, at_s, mean=True) == pytest.approx(0.2 + 0 * at_s)
    # Two that run at once are two engines, whichever began first.
    pair = [pods[0], Track({"pod": "b"}, at_s[3:], 700.0 + at_s[3:])]
    assert counted(pair, at_s)[1] == []


@pytest.mark.parametrize("name", ["prefix_cache_hits_total", "gpu_prefix_cache_hits_total"])
def test_cached_prompts_were_asked_and_not_computed(tmp_path: Path, name: str) -> None:
    log = engine_log(scrapes(tmp_path, extra=name))
    whole = 20 * (COUNT - 1)
    assert log.columns["prompt_total"][-1] - log.columns["prompt_total"][0] == whole
    computed = computed_total(log.columns)
    assert computed[-1] - computed[0] == pytest.approx(0.1 * whole)
    (told,) = log.remarks
    assert told == "702 of 780 prompt tokens (90 %) came from the prefix cache: 78 were computed"


def test_without_a_counter_of_hits_all_is_computed(tmp_path: Path) -> None:
    columns = engine_log(scrapes(tmp_path)).columns
    assert computed_total(columns) is columns["prompt_total"]


# --- packed, and other names -----------------------------------------------------------------


def test_logs_are_read_packed(tmp_path: Path) -> None:
    rows = [f"{clock(0.5 * i)}, 0, {80 + i} W" for i in range(COUNT)]
    plain = smi(tmp_path, "timestamp, index, power.draw [W]", *rows)
    packed = tmp_path / "smi.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert detect_format(packed) == "power"
    assert power_log(packed).watts.tolist() == power_log(plain).watts.tolist()
    packed.write_bytes(gzip.compress(scrapes(tmp_path).read_bytes()))
    assert detect_format(packed) == "engine"
    assert grown(packed) == 20 * (COUNT - 1)
    packed.write_bytes(gzip.compress(plain.read_bytes())[:60])
    with pytest.raises(LogError, match="damaged or cut short"):
        power_log(packed)


def test_requests_under_the_names_that_a_replay_knows(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text(
        "timestamp,prompt_tokens,completion_tokens,ttft_ms,status\n"
        "2026-07-20T19:40:01Z,10,5,250,200\n2026-07-20T21:40:03+02:00,20,6,300,200\n"
    )
    assert detect_format(file) == "requests"
    log = request_log(file)
    assert log.requests == [(START_S + 1, 10, 5), (START_S + 3, 20, 6)]
    assert log.first_tokens.first_s.tolist() == pytest.approx([START_S + 1.25, START_S + 3.3])


@pytest.mark.parametrize(("mark", "decimal"), [(";", ","), (";", "."), ("\t", ".")])
def test_a_table_as_spreadsheets_save_it(tmp_path: Path, mark: str, decimal: str) -> None:
    """Semicolons or tabs between the columns, a decimal comma where that is the country's way."""
    watts_w = 80.0 + np.arange(COUNT) / 4
    rows = [
        f"{clock(0.5 * i)}{mark}0{mark}{watt:.2f} W".replace(".", decimal)
        for i, watt in enumerate(watts_w)
    ]
    file = smi(tmp_path, f"timestamp{mark}index{mark}power.draw [W]", *rows)
    assert detect_format(file) == "power"
    found = power_log(file)
    assert found.watts[:, 0] == pytest.approx(watts_w)
    assert np.diff(found.at_s) == pytest.approx(np.full(COUNT - 1, 0.5))


def test_a_word_for_no_value_with_its_unit() -> None:
    assert np.isnan(watts("[Unknown Error] W") or 0.0)
    assert np.isnan(watts("ERR! W") or 0.0)
    assert watts("often W") is None


def test_requests_as_a_spreadsheet_saves_them(tmp_path: Path) -> None:
    file = tmp_path / "requests.csv"
    file.write_text("start;input_tokens;output_tokens\n1784576400,5;10;2\n1784576402,75;20;3\n")
    assert detect_format(file) == "requests"
    assert request_log(file).requests == [(1784576400.5, 10, 2), (1784576402.75, 20, 3)]
