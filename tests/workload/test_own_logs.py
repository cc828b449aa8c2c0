"""Logs as people have them: other names, units, orders and packings of the same requests."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from dcsim.errors import TraceError
from dcsim.workload.formats import FORMATS
from dcsim.workload.traces import Options, RowCounts, TraceRow, faults, read
from tests.workload.play import play

GATEWAY = "request_id,timestamp,user,model,region,prompt_tokens,completion_tokens,latency_ms,status"
GATEWAY_ROWS = (
    "r1,2026-11-27T18:00:16.504+01:00,u1,llama,eu,900,120,3100,200",
    "r2,2026-11-27T17:00:18.004Z,u2,qwen,eu,50,10,400,200",
    "r3,2026-11-27T18:00:17.004+01:00,u1,llama,eu,700,,0,503",
    "r4,2026-11-27T18:00:20.504+01:00,u3,llama,us,1,1,30,200",
)


def write(folder: Path, *lines: str, name: str = "log.csv") -> Path:
    file = folder / name
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def rows(file: Path, form: str, **options: Any) -> list[TraceRow]:
    return list(read(file, FORMATS[form], Options(**options)))


def message(file: Path, form: str, **options: Any) -> str:
    (fault,) = faults(file, FORMATS[form], Options(**options))
    assert fault.whole
    return str(fault)


# --- columns of one's own --------------------------------------------------------------------


def test_a_gateways_log_is_read_by_its_usual_names(tmp_path: Path) -> None:
    tally = RowCounts()
    found = list(read(write(tmp_path, GATEWAY, *GATEWAY_ROWS), FORMATS["csv"], tally=tally))
    assert [row.prompt_tokens for row in found] == [900, 50, 1]
    assert [row.time_s for row in found] == pytest.approx([0, 1.5, 4.0])
    assert (tally.dropped, tally.skipped) == (1, 0)
    file = tmp_path / "log.csv"
    kept = rows(file, "csv", failed="keep")
    assert [(round(r.time_s, 6), *r[1:3]) for r in kept][1] == (0.5, 700, 1)
    assert [row.prompt_tokens for row in rows(file, "csv", only_model="llama")] == [900, 1]


def test_columns_are_named_where_no_name_is_known(tmp_path: Path) -> None:
    file = write(tmp_path, "wann;ein;aus", "1500;20;3", "2500;30;4.0")
    named = (("time", "wann"), ("prompt", "ein"), ("output", "aus"))
    assert rows(file, "csv", columns=named, time_unit="ms") == [
        TraceRow(0, 20, 3),
        TraceRow(1, 30, 4),
    ]
    assert "for time and prompt and output, found wann, ein, aus" in message(file, "csv")
    assert "prompt: rein" in message(file, "csv", columns=(*named[:1], ("prompt", "rein")))


@pytest.mark.parametrize(
    ("header", "times", "unit"),
    [
        ("arrival_ms", (61_114, 70_200), None),
        ("arrived_at", (61.114, 70.2), None),
        ("start", (1784576461.114, 1784576470.2), None),
        ("start", (1784576461114, 1784576470200), None),
        ("start", (1784576461114000, 1784576470200000), None),
        ("start", (1784576461114000000, 1784576470200000000), None),
        ("Start Time (us)", (61_114_000, 70_200_000), None),
        ("t", (61_114, 70_200), "ms"),
        ("created_at", ("2026-07-20 19:41:01.114", "2026-07-20 19:41:10.200"), None),
        ("time", ("23:59:55.114", "00:00:04.2"), None),
        ("time", (-5.0, 4.086), None),
    ],
)
def test_times_in_any_unit(
    tmp_path: Path, header: str, times: tuple[object, object], unit: str | None
) -> None:
    lines = [f"{time},{n},2" for n, time in enumerate(times, 1)]
    file = write(tmp_path, f"{header},prompt_tokens,output_tokens", *lines)
    found = rows(file, "csv", time_unit=unit)
    assert [row.time_s for row in found] == pytest.approx([0, 9.086], abs=1e-6)
    assert [row.prompt_tokens for row in found] == [1, 2]


def test_vllms_columns_take_the_same_times(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "start,input_tokens,output_tokens",
        "2026-11-27T18:00:16.504+01:00,5,6",
        "2026-11-27T17:00:17.754Z,7,8",
    )
    assert [row.time_s for row in rows(file, "vllm")] == pytest.approx([0, 1.25])


def test_kinds_of_time_are_not_mixed(tmp_path: Path) -> None:
    file = write(tmp_path, "start,input_tokens,output_tokens", "5,1,1", "2026-11-27T17:00:17Z,1,1")
    (fault,) = faults(file, FORMATS["vllm"])
    assert (fault.line, fault.column) == (3, "start")
    assert "a number, as in the rows above" in str(fault)


def test_json_lines_and_parquet(tmp_path: Path) -> None:
    from datetime import datetime

    told = [{"ts": 0.5, "isl": 10, "osl": 2}, {"ts": 1.5, "isl": 20, "osl": 3}]
    file = write(tmp_path, *map(json.dumps, told), name="log.jsonl")
    assert rows(file, "jsonl") == [TraceRow(0, 10, 2), TraceRow(1, 20, 3)]
    table = {"when": [datetime(2026, 7, 20, 12, 0, s, 500_000) for s in (1, 4)],
             "prompt_tokens": [10, 20], "completion_tokens": [2, None]}  # fmt: skip
    parquet = tmp_path / "log.parquet"
    pyarrow.parquet.write_table(pyarrow.table(table), parquet)
    named = (("time", "when"),)
    assert rows(parquet, "parquet", columns=named, failed="keep") == [
        TraceRow(0, 10, 2),
        TraceRow(3, 20, 1),
    ]
    assert "format: parquet" in message(parquet, "csv")
    assert "a Parquet file" in message(file, "parquet")


def test_parquet_without_pyarrow_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    assert "pip install 'dcsim[export]'" in message(write(tmp_path, "PAR1"), "parquet")


# --- packed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("form", ["azure-2024", "mooncake", "csv", "jsonl"])
def test_packed_files_are_read_as_they_are(tmp_path: Path, pack: Any, form: str) -> None:
    text = {
        "azure-2024": "TIMESTAMP,ContextTokens,GeneratedTokens,NumImages\n"
        "2025-05-10 00:00:00.5+00:00,4,5,0\n2025-05-10 00:00:01.65+00:00,6,7,1\n",
        "csv": "start,input_tokens,output_tokens\n0.5,4,5\n1.65,6,7\n",
        "mooncake": '{"timestamp": 500, "input_length": 4, "output_length": 5}\n'
        '{"timestamp": 1650, "input_length": 6, "output_length": 7}\n',
        "jsonl": '{"t": 0.5, "isl": 4, "osl": 5}\n{"t": 1.65, "isl": 6, "osl": 7}\n',
    }[form]
    file = tmp_path / "t.gz"
    file.write_bytes(pack(text.encode()))
    found = rows(file, form)
    assert [row[1:3] for row in found] == [(4, 5), (6, 7)]
    assert [row.time_s for row in found] == pytest.approx([0, 1.15])


@pytest.mark.parametrize(
    ("start", "cause"),
    [(b"\x28\xb5\x2f\xfd", "zstd -d"), (b"PK\x03\x04", "unzip"), (b"\x89HDF\r\n\x1a\n", "HDF5")],
)
def test_what_cannot_be_unpacked_is_named(tmp_path: Path, start: bytes, cause: str) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(start + b"rest")
    for form in ("azure-2024", "mooncake", "csv", "jsonl"):
        assert cause in message(file, form)


def test_a_packed_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    packed = gzip.compress(b"start,input_tokens,output_tokens\n" + b"0.5,4,5\n" * 10_000)
    (tmp_path / "t.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(TraceError, match="damaged or cut short"):
        rows(tmp_path / "t.gz", "vllm")
    # bz2 reports damage as an OSError without a number, unlike gzip and xz.
    (tmp_path / "t.bz2").write_bytes(b"BZh9" + b"no stream at all")
    with pytest.raises(TraceError, match="damaged or cut short"):
        rows(tmp_path / "t.bz2", "vllm")


# --- the right format is named ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "form", "hint"),
    [
        ("TIMESTAMP,ContextTokens,GeneratedTokens", "vllm", "format: azure-2024"),
        ("start,input_tokens,output_tokens", "azure-2023", "format: vllm"),
        (
            "arrived_at,num_prefill_tokens,num_decode_tokens",
            "vllm",
            "`columns: {time: arrived_at, prompt: num_prefill_tokens, output: num_decode_tokens}`",
        ),
        (GATEWAY, "azure-2023", "time: timestamp, prompt: prompt_tokens, output: completion_token"),
        ("input_length,output_length", "azure-2023", "kind: empirical, file: log.csv"),
        ("[{", "mooncake", "jq -c '.[]'"),
        ("[{", "jsonl", "jq -c '.[]'"),
        ("start,input_tokens,output_tokens", "jsonl", "found a table: set `format: csv`"),
        ("", "csv", "found an empty line"),
        ("a,b", "azure-2023", "`columns: {time: ..., prompt: ..., output: ...}`"),
        ('{"timestamp": 0, "input_length": 1, "output_length": 1}', "vllm", "format: mooncake"),
        ("start,input_tokens,output_tokens", "mooncake", "format: vllm"),
        ('{"ts": 0, "isl": 1, "osl": 1}', "mooncake", "`format: jsonl` reads it"),
    ],
)
def test_a_header_of_another_format(tmp_path: Path, header: str, form: str, hint: str) -> None:
    assert hint in message(write(tmp_path, header, "1,1,1"), form)


# --- Mooncake and its kin --------------------------------------------------------------------

BAILIAN = (
    '{"chat_id": 159, "parent_chat_id": -1, "timestamp": 61.114, "input_length": 40, '
    '"output_length": 132, "turn": 1, "hash_ids": [9, 10, 11]}',
    '{"chat_id": 160, "parent_chat_id": 159, "timestamp": 70.2, "input_length": 33, '
    '"output_length": 12, "turn": 2, "hash_ids": [9, 10, 20]}',
)


def test_mooncakes_hashes_are_optional(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        '{"timestamp": 0, "input_length": 655, "output_length": 52}',
        '{"timestamp": 700, "input_length": 1200, "output_length": 40, "hash_ids": null}',
        '{"timestamp": 2500, "input_length": 310, "output_length": 21, "hash_ids": [4]}',
    )
    assert rows(file, "mooncake") == [
        TraceRow(0.0, 655, 52),
        TraceRow(0.7, 1200, 40),
        TraceRow(2.5, 310, 21, (4,)),
    ]


def test_bailian_counts_seconds_and_blocks_of_16(tmp_path: Path) -> None:
    file = write(tmp_path, *BAILIAN)
    told = message(file, "mooncake")
    assert "format: bailian" in told
    assert "blocks have 16 tokens" in told
    for keys in (
        {"format": "bailian"},
        {"format": "mooncake", "block_tokens": 16, "time_unit": "s"},
    ):
        played = play({"kind": "replay", "file": file, **keys}, 1e6)
        assert played.arrival_s.tolist() == pytest.approx([0, 9.086])
        first, second = (dict(prefix.segments) for prefix in played.prefix)
        shared = set(first) & set(second)
        assert sum(first[one] for one in shared) == 32
        assert sum(first.values()) == 40
        assert sum(second.values()) == 33


def test_more_blocks_than_a_prompt_has_name_their_size(tmp_path: Path) -> None:
    file = write(
        tmp_path, '{"timestamp": 0, "input_length": 40, "output_length": 1, "hash_ids": [1, 2, 3]}'
    )
    found = list(faults(file, FORMATS["mooncake"]))
    assert "blocks of 512 (`block_tokens` sets another size)" in str(found[0])


OFFLINE = (
    '{"request_id": 0, "input_length": 61, "output_length": 370, "duration": 14000}',
    '{"request_id": 1, "input_length": 54, "output_length": 231, "duration": 11630}',
)


def test_lengths_without_times_are_lengths_and_no_arrivals(tmp_path: Path) -> None:
    file = write(tmp_path, *OFFLINE, name="t.jsonl")
    told = message(file, "mooncake")
    assert "it has no times" in told
    assert "kind: empirical, file: t.jsonl, format: mooncake" in told
    for form in ("mooncake", "jsonl"):
        assert rows(file, form, timed=False) == [TraceRow(0, 61, 370), TraceRow(0, 54, 231)]
    assert "take its lengths alone" in message(file, "jsonl")


def test_a_log_in_order_of_completion(tmp_path: Path) -> None:
    tally = RowCounts()
    file = write(
        tmp_path, "start,input_tokens,output_tokens", "3.0,1,1", "0.5,2,1", "9.0,3,1", "8.0,4,1"
    )
    found = list(read(file, FORMATS["vllm"], tally=tally, skip=True))
    assert [row.time_s for row in found] == [0, 2.5, 7.5, 8.5]
    assert [row.prompt_tokens for row in found] == [2, 1, 4, 3]
    assert (tally.out_of_order, tally.skipped) == (2, 0)


def test_decimal_commas_between_semicolons(tmp_path: Path) -> None:
    """As spreadsheets save tables where the comma is decimal; 1,000 tokens may be a thousand or
    one, and are refused."""
    file = write(tmp_path, "time;prompt;output", "0,25;100;10", "1,5;200,0;20", "4,125;300;30")
    assert [row.time_s for row in rows(file, "csv")] == pytest.approx([0, 1.25, 3.875])
    assert [row.prompt_tokens for row in rows(file, "csv")] == [100, 200, 300]
    vllm = write(tmp_path, "start;input_tokens;output_tokens", "7,5;1;2", "9,125;3;4")
    assert [row.time_s for row in rows(vllm, "vllm")] == pytest.approx([0, 1.625])
    file = write(tmp_path, "time;prompt;output", "0,25;1,000;10")
    assert "prompt: expected a whole number" in str(next(faults(file, FORMATS["csv"])))


@pytest.mark.parametrize("per_s", [1, 1e3, 1e6, 1e9])
def test_unix_times_in_mooncakes_traces(tmp_path: Path, per_s: float) -> None:
    """They count milliseconds; a count of 56 years in any unit is unix time."""
    lines = [
        json.dumps({"timestamp": (1784576400 + at) * per_s, "input_length": 9, "output_length": 1})
        for at in (0, 2, 5)
    ]
    file = write(tmp_path, *lines)
    assert [row.time_s for row in rows(file, "mooncake")] == pytest.approx([0, 2, 5])


def test_times_that_say_utc(tmp_path: Path) -> None:
    file = write(
        tmp_path, "time,prompt,output",
        "2026-07-20 19:40:00.5 UTC,1,1", "2026-07-20 19:40:02.75 UTC,2,2",
        "2026-07-20 21:40:03.5+02:00,3,3",
    )  # fmt: skip
    assert [row.time_s for row in rows(file, "csv")] == pytest.approx([0, 2.25, 3])


def test_a_json_list_over_many_lines_is_named(tmp_path: Path) -> None:
    objects = [{"timestamp": 0, "input_length": 9, "output_length": 1}]
    file = write(tmp_path, json.dumps(objects, indent=2))
    assert "found one JSON list: jq -c" in message(file, "mooncake")
    assert "found one JSON list: jq -c" in message(file, "jsonl")
