"""Every format of traces: a good file read exactly, and each kind of broken row named."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.engine import simulate
from dcsim.errors import TraceError
from dcsim.scenario import loads
from dcsim.seeds import branch
from dcsim.workload import requests
from dcsim.workload.formats import FORMATS, RESULT_ROWS
from dcsim.workload.stream import join
from dcsim.workload.traces import Options, RowCounts, TraceRow, faults, json_lines, read
from tests.scenario.sample import edited

BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
BURST_ROWS = (
    "5,ChatGPT,472,18,490,Conversation log",
    "45,GPT-4,1087,230,1317,API log",
    "118.5,ChatGPT,417,0,417,Conversation log",
)
MOON_ROWS = (
    '{"timestamp": 0, "input_length": 1100, "output_length": 50, "hash_ids": [0, 1, 2]}',
    '{"timestamp": 27, "input_length": 1024, "output_length": 7, "hash_ids": [0, 3]}',
    '{"timestamp": 3000, "input_length": 10, "output_length": 1, "hash_ids": []}',
)
VLLM = "input_tokens,output_tokens,ttft,start"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"


def write(folder: Path, *lines: str) -> Path:
    file = folder / "trace"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


# --- good files ------------------------------------------------------------------------------


def test_azure_2024_has_offsets_and_microseconds(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        AZURE,
        "2024-05-10 00:00:00.009930+00:00,2162,5",
        "2024-05-10 00:00:01+00:00,2399,6",
        "2024-05-10 02:00:01.5+02:00,1,1",
        "2024-05-10T00:00:02Z,76,14",
        "2024-05-10 00:00:03,9,9",
    )
    rows = list(read(file, FORMATS["azure-2024"]))
    expected_s = [0.0, 0.99007, 1.49007, 1.99007, 2.99007]
    assert [row.time_s for row in rows] == pytest.approx(expected_s, abs=1e-9)
    assert [row[1:3] for row in rows] == [(2162, 5), (2399, 6), (1, 1), (76, 14), (9, 9)]


def test_burstgpt_drops_failures_and_counts_them(tmp_path: Path) -> None:
    file = write(tmp_path, BURST, *BURST_ROWS)
    form = FORMATS["burstgpt"]
    tally = RowCounts()
    assert list(read(file, form, tally=tally)) == [
        TraceRow(0.0, 472, 18),
        TraceRow(40.0, 1087, 230),
    ]
    assert (tally.dropped, tally.skipped) == (1, 0)
    kept = list(read(file, form, Options(failed="keep")))
    assert kept[2] == TraceRow(113.5, 417, 1)


def test_burstgpt_by_model(tmp_path: Path) -> None:
    file = write(tmp_path, BURST, *BURST_ROWS)
    tally = RowCounts()
    only = Options(only_model="GPT-4")
    assert list(read(file, FORMATS["burstgpt"], only, tally=tally)) == [TraceRow(0.0, 1087, 230)]
    assert tally.dropped == 2
    with pytest.raises(TraceError, match="at least one request"):
        list(read(file, FORMATS["burstgpt"], Options(only_model="GPT-5")))


def test_mooncake(tmp_path: Path) -> None:
    file = write(tmp_path, *MOON_ROWS)
    assert list(read(file, FORMATS["mooncake"])) == [
        TraceRow(0.0, 1100, 50, (0, 1, 2)),
        TraceRow(0.027, 1024, 7, (0, 3)),
        TraceRow(3.0, 10, 1, ()),
    ]


def test_vllm(tmp_path: Path) -> None:
    file = write(tmp_path, VLLM, "221,161,0.03,1784576502.5", "316,10,0.06,1784576503.75")
    assert list(read(file, FORMATS["vllm"])) == [TraceRow(0.0, 221, 161), TraceRow(1.25, 316, 10)]


def test_lengths_have_no_times(tmp_path: Path) -> None:
    file = write(tmp_path, "output,prompt", "5,6", "7,8")
    assert list(read(file, FORMATS["lengths"])) == [TraceRow(0.0, 6, 5), TraceRow(0.0, 8, 7)]


def results(folder: Path, arrival_s: np.ndarray, prompt: np.ndarray, output: np.ndarray) -> Path:
    file = folder / "run.h5"
    with h5py.File(file, "w") as opened:
        group = opened.create_group("requests")
        group["arrival_s"] = arrival_s
        group["prompt_tokens"] = prompt.astype("<i4")
        group["output_tokens"] = output.astype("<i4")
        group["status"] = np.zeros(len(prompt), dtype="u1")
    return file


def test_results_come_in_order_of_arrival_though_kept_in_order_of_leaving(tmp_path: Path) -> None:
    """More than two chunks; some requests stay so long that they leave in a later one."""
    rng = np.random.default_rng(1)
    count = 2 * RESULT_ROWS + 1000
    arrival_s = np.sort(rng.random(count) * 1000)
    prompt, output = np.arange(count) + 1, rng.integers(1, 100, count)
    stay_s = rng.exponential(5, count) + 700 * (rng.random(count) < 0.01)
    leaving = np.argsort(arrival_s + stay_s)
    file = results(tmp_path, arrival_s[leaving], prompt[leaving], output[leaving])
    rows = list(read(file, FORMATS["dcsim"]))
    assert [row.prompt_tokens for row in rows] == prompt.tolist()
    assert [row.output_tokens for row in rows] == output.tolist()
    assert [row.time_s for row in rows] == pytest.approx((arrival_s - arrival_s[0]).tolist())


def test_a_run_is_played_again_from_its_results(tmp_path: Path) -> None:
    """All requests of a run, rejected ones too, at their instants."""
    scenario = loads(edited(("duration: 10 min", "duration: 3 min"),
                            ("    tensor_parallel: 8\n",
                             "    tensor_parallel: 8\n    power: {model: ledger}\n")))  # fmt: skip
    simulate(scenario, tmp_path / "run.h5").close()
    seed = branch(scenario.seed, "workload")
    asked = join(list(requests(scenario, seed)))
    rows = list(read(tmp_path / "run.h5", FORMATS["dcsim"]))
    assert len(rows) == len(asked) > 200
    assert [row.time_s for row in rows] == pytest.approx(asked.arrival_s - asked.arrival_s[0])
    assert [row.prompt_tokens for row in rows] == asked.prompt_tokens.tolist()


# --- broken ones -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "column", "bad", "value", "expected"),
    [
        ("azure-2024", "TIMESTAMP", "2024-05-10 00:00:09+0,1,1", "2024-05-10 00:00:09+0", "+01:00"),
        ("azure-2024", "TIMESTAMP", "2024-05-09 00:00:09Z,1,1", "2024-05-09 00:00:09Z", "before"),
        ("azure-2024", "ContextTokens", "2024-05-10 00:00:09Z,0,1", "0", "from 1 to"),
        ("burstgpt", "Timestamp", "soon,ChatGPT,1,1,2,x", "soon", "number of seconds"),
        ("burstgpt", "Timestamp", "nan,ChatGPT,1,1,2,x", "nan", "number of seconds"),
        ("burstgpt", "Timestamp", "-600,ChatGPT,1,1,2,x", "-600", "before"),
        ("burstgpt", "Request tokens", "60,ChatGPT,0,1,2,x", "0", "from 1 to"),
        ("burstgpt", "Response tokens", "60,ChatGPT,1,-1,2,x", "-1", "from 0 to"),
        ("burstgpt", "", "60,ChatGPT,1,1,2", "", "6 columns, found 5"),
        ("mooncake", "", "{", "", "a JSON object"),
        ("mooncake", "", "[1, 2]", "", "a JSON object"),
        ("mooncake", "", '{"timestamp": 5, "input_length": 1}', "", "output_length miss"),
        ("mooncake", "timestamp", {"timestamp": "x"}, "x", "number of milliseconds"),
        ("mooncake", "timestamp", {"timestamp": True}, "True", "number of milliseconds"),
        ("mooncake", "timestamp", {"timestamp": -600001}, "-600001", "before"),
        ("mooncake", "input_length", {"input_length": 1.5}, "1.5", "whole number"),
        ("mooncake", "output_length", {"output_length": True}, "True", "whole number"),
        ("mooncake", "hash_ids", {"hash_ids": "x"}, "x", "a list of at most 2 ids"),
        ("mooncake", "hash_ids", {"hash_ids": [1, 2, 3]}, "[1, 2, 3]", "at most 2 ids"),
        ("mooncake", "hash_ids", {"hash_ids": [2**64]}, str(2**64), "18,446,744,073,709,551,615"),
        ("mooncake", "hash_ids", {"hash_ids": [-1]}, "-1", "whole numbers from 0"),
        ("vllm", "start", "1,1,0.1,", "", "number of seconds"),
        ("vllm", "input_tokens", "x,1,0.1,9e9", "x", "whole number"),
        ("lengths", "output", "0,5", "0", "from 1 to"),
    ],
)
def test_a_bad_row_is_named_skipped_and_counted(
    tmp_path: Path, form: str, column: str, bad: str | dict[str, object], value: str, expected: str
) -> None:
    good = {
        "azure-2024": (AZURE, "2024-05-10 00:00:00Z,1,2", "2024-05-10 00:00:20Z,3,4"),
        "burstgpt": (BURST, *BURST_ROWS[:2]),
        "mooncake": MOON_ROWS[:2],
        "vllm": (VLLM, "1,2,0.1,5.0", "3,4,0.1,6.0"),
        "lengths": ("output,prompt", "1,2"),
    }[form]
    if isinstance(bad, dict):
        row = {"timestamp": 3, "input_length": 1000, "output_length": 1, "hash_ids": [1, 2]}
        bad = json.dumps({**row, **bad})
    file = write(tmp_path, *good, bad)
    found = list(faults(file, FORMATS[form]))
    assert [(fault.line, fault.column, fault.value) for fault in found] == [
        (len(good) + 1, column, value)
    ]
    assert expected in found[0].expected
    assert not found[0].whole
    with pytest.raises(TraceError) as caught:
        list(read(file, FORMATS[form]))
    assert str(caught.value) == str(found[0])
    tally = RowCounts()
    rows = list(read(file, FORMATS[form], tally=tally, skip=True))
    header = 0 if form == "mooncake" else 1
    assert (len(rows), tally.skipped) == (len(good) - header, 1)


def test_block_ids_may_be_hashes_of_64_bits(tmp_path: Path) -> None:
    """What was the same stays the same, what was another another; small ids stay as they are."""
    ids = [[2**64 - 1, 7], [2**64 - 1, 2**40], [2**32, 7], [2**40, 2**31]]
    rows = [
        json.dumps({"timestamp": 0, "input_length": 1000, "output_length": 1, "hash_ids": one})
        for one in ids
    ]
    found = [list(row.blocks) for row in read(write(tmp_path, *rows), FORMATS["mooncake"])]
    named = {
        a: b for old, new in zip(ids, found, strict=True) for a, b in zip(old, new, strict=True)
    }
    assert [[named[one] for one in row] for row in ids] == found
    assert len(set(named.values())) == len(named)
    assert named[7] == 7
    assert max(named.values()) < 2**32


@pytest.mark.parametrize("form", ["azure-2023", "azure-2024", "burstgpt", "vllm", "lengths"])
def test_columns_that_are_missing_cannot_be_skipped(tmp_path: Path, form: str) -> None:
    file = write(tmp_path, "a,b", "1,2")
    with pytest.raises(TraceError, match="a header with the columns") as caught:
        list(read(file, FORMATS[form], skip=True))
    assert caught.value.whole
    assert caught.value.line == 1


@pytest.mark.parametrize("form", [name for name, form in FORMATS.items() if form.columns
                                  and name != "dcsim"])  # fmt: skip
def test_a_file_of_nothing_but_wrong_rows_cannot_be_skipped(tmp_path: Path, form: str) -> None:
    objects = FORMATS[form].lines is json_lines
    header = [] if objects else [",".join(FORMATS[form].columns)]
    file = write(tmp_path, *header, *(["{x", "{y"] if objects else ["x", "y"]))
    with pytest.raises(TraceError, match="at least one request; all 2 rows are wrong"):
        list(read(file, FORMATS[form], skip=True))
    with pytest.raises(TraceError, match="at least one request"):
        list(read(write(tmp_path, *header, ""), FORMATS[form]))


def test_results_that_are_none_are_refused(tmp_path: Path) -> None:
    form = FORMATS["dcsim"]
    for content in ("no HDF5", ""):
        with pytest.raises(TraceError, match="a results file of dcsim") as caught:
            list(read(write(tmp_path, content), form))
        assert caught.value.whole
    none = np.zeros(0)
    with pytest.raises(TraceError, match="at least one request"):
        list(read(results(tmp_path, none, none, none), form))
    with pytest.raises(FileNotFoundError):
        list(read(tmp_path / "nothing.h5", form))
    wrong = results(tmp_path, np.array([1.0, 2.0]), np.array([5, 0]), np.array([1, 1]))
    (fault,) = faults(wrong, form)
    assert (fault.line, fault.column, fault.value) == (2, "prompt_tokens", "0")


@settings(deadline=None)
@given(
    st.sampled_from([n for n in FORMATS if n not in ("dcsim", "parquet")]),
    st.binary(max_size=100),
    st.integers(0, 150),
)
def test_damage_gives_an_error_or_rows_never_something_else(
    tmp_path_factory: pytest.TempPathFactory, form: str, junk: bytes, place: int
) -> None:
    lines = {
        "mooncake": MOON_ROWS,
        "burstgpt": (BURST, *BURST_ROWS),
        "vllm": (VLLM, "1,2,0.1,5.0", "3,4,0.1,6.0"),
        "lengths": ("output,prompt", "1,2"),
    }.get(form, (AZURE, "2023-11-16 18:15:46.6805900,374,44", "2023-11-16 18:15:47,1,1"))
    good = ("\n".join(lines) + "\n").encode()
    file = tmp_path_factory.getbasetemp() / "damaged"
    file.write_bytes(good[:place] + junk + good[place:])
    wrong = list(faults(file, FORMATS[form]))
    try:
        rows = list(read(file, FORMATS[form]))
    except TraceError as error:
        assert str(error) == str(wrong[0])
    else:
        assert not wrong
        assert all(row.prompt_tokens >= 1 and row.output_tokens >= 1 for row in rows)
        assert all(row.time_s >= 0 for row in rows)


# --- the real ones ---------------------------------------------------------------------------


def test_mooncake_conversations_whole(data: Path) -> None:
    file = data / "arrivals" / "mooncake_conversation.jsonl"
    rows = list(read(file, FORMATS["mooncake"]))
    assert len(rows) == 12_031
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row.time_s * 1000 for row in rows] == pytest.approx([t["timestamp"] for t in told])
    assert [row.prompt_tokens for row in rows] == [t["input_length"] for t in told]
    assert [list(row.blocks) for row in rows] == [t["hash_ids"] for t in told]


@pytest.mark.parametrize(
    ("run", "requests"),
    [
        ("qwen3-14b_a100_tp1_poisson2.5", 600),
        ("qwen3-8b_a100_tp1_gamma4_2.5", 200),
        ("qwen3-8b_a100_tp1_poisson2.5", 200),
        ("qwen3-8b_h100_tp1_poisson4", 200),
    ],
)
def test_vllm_runs_whole(data: Path, run: str, requests: int) -> None:
    file = data / "measured" / "vllm_runs" / run / "requests.csv"
    rows = list(read(file, FORMATS["vllm"]))
    with file.open(newline="") as text:
        told = list(csv.DictReader(text))
    assert len(rows) == len(told) == requests
    start_s = float(told[0]["start"])
    assert [row.time_s for row in rows] == [float(t["start"]) - start_s for t in told]
    assert [row[1:3] for row in rows] == [
        (int(t["input_tokens"]), int(t["output_tokens"])) for t in told
    ]
