"""Replay of Azure's CSV format: exact, scaled, and refused with a reason."""

from __future__ import annotations

import csv
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks.data import data_folder
from dcsim.arrays import FloatArray
from dcsim.errors import TraceError
from dcsim.scenario import Scenario, loads
from dcsim.scenario.models import ReplayArrivals
from dcsim.workload import check
from dcsim.workload.formats import FORMATS
from dcsim.workload.replay import JITTER_S, replay
from dcsim.workload.stream import BLOCK_REQUESTS, RequestBlock, join
from dcsim.workload.traces import Options, RowCounts, TraceRow, faults, read
from tests.scenario.sample import edited

AZURE = FORMATS["azure-2023"]
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
needs_data = pytest.mark.skipif(
    data_folder() is None, reason="reference data not found (DCSIM_DATA)"
)


def azure(kind: str) -> Path:
    folder = data_folder()
    assert folder is not None
    return folder / "arrivals" / f"azure_llm_2023_{kind}.csv"


def play(
    file: Path, *, rate_scale: float = 1.0, horizon_s: float = 1e9, seed: int = 0
) -> RequestBlock:
    spec = ReplayArrivals(kind="replay", file=file, rate_scale=rate_scale)
    blocks = list(replay(spec, 3, horizon_s, np.random.SeedSequence(seed)))
    assert all(len(block) for block in blocks)
    for before, after in pairwise(blocks):
        assert before.arrival_s[-1] <= after.arrival_s[0]
    return join(blocks)


def write(folder: Path, *rows: str) -> Path:
    file = folder / "trace.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return file


def bursty(folder: Path, requests: int) -> Path:
    """A second with twenty requests, then nine with none, again and again."""
    rng = np.random.default_rng(1)
    second = 10 * (np.arange(requests) // 20)
    times_s = np.sort(second + rng.random(requests))
    rows = [
        f"2023-11-16 {int(t) // 3600:02}:{int(t) // 60 % 60:02}:{int(t) % 60:02}"
        f".{int(t % 1 * 1e7):07},{i + 1},{i % 7 + 1}"
        for i, t in enumerate(times_s)
    ]
    return write(folder, *rows)


def dispersion(times_s: FloatArray, window_s: float, span_s: float) -> float:
    """Variance over mean of the counts in windows: 1 for a Poisson process."""
    counts = np.bincount((times_s / window_s).astype(int), minlength=int(span_s / window_s))
    return float(counts.var() / counts.mean())


# --- the real traces -------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize(("kind", "requests"), [("conv", 19366), ("code", 8819)])
def test_azure_replays_whole_and_exact(kind: str, requests: int) -> None:
    played = play(azure(kind))
    assert len(played) == requests
    assert played.arrival_s[0] == 0.0
    assert set(played.stream.tolist()) == {3}
    with azure(kind).open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert played.prompt_tokens.tolist() == [int(row["ContextTokens"]) for row in rows]
    assert played.output_tokens.tolist() == [int(row["GeneratedTokens"]) for row in rows]

    def decimal_s(stamp: str) -> Decimal:
        hours, minutes, seconds = stamp.split(" ")[1].split(":")
        return 3600 * Decimal(hours) + 60 * Decimal(minutes) + Decimal(seconds)

    start = decimal_s(rows[0]["TIMESTAMP"])
    exact_s = [float(decimal_s(row["TIMESTAMP"]) - start) for row in rows]
    assert np.abs(played.arrival_s - exact_s).max() < 1e-9  # the seventh decimal counts


@needs_data
def test_scaled_azure_keeps_its_bursts() -> None:
    """Over ten-second windows the traces swing far more than a Poisson process (dispersion 1).
    Repeating each request k times multiplies dispersion by k; thinning to a share p turns D into
    1 + p (D - 1)."""
    plain = play(azure("code"))
    span_s = float(plain.arrival_s[-1])
    burst = dispersion(plain.arrival_s, 10.0, span_s)
    assert burst > 3
    double = play(azure("code"), rate_scale=2.0)
    assert len(double) == 2 * len(plain)
    assert dispersion(double.arrival_s, 10.0, span_s) == pytest.approx(2 * burst, rel=0.1)
    half = play(azure("code"), rate_scale=0.5)
    assert len(half) == pytest.approx(len(plain) / 2, abs=4 * np.sqrt(len(plain) / 4))
    assert dispersion(half.arrival_s, 10.0, span_s) == pytest.approx(
        1 + 0.5 * (burst - 1), rel=0.15
    )


@needs_data
@pytest.mark.parametrize("rate_scale", [0.5, 2.0, 2.5])
def test_scaled_conversations_in_number(rate_scale: float) -> None:
    """Whole parts are certain, the rest is a coin per request."""
    played = play(azure("conv"), rate_scale=rate_scale)
    spread = np.sqrt(19366 * 0.25) if rate_scale % 1 else 0.0
    assert abs(len(played) - rate_scale * 19366) <= 4 * spread
    assert (np.diff(played.arrival_s) >= 0).all()
    horizon_s = 1800.0
    assert play(azure("conv"), rate_scale=rate_scale, horizon_s=horizon_s).arrival_s[-1] < horizon_s


def test_a_scale_out_of_bounds_is_refused(tmp_path: Path) -> None:
    for rate_scale in (0.0, -1.0, 1001.0, float("inf"), float("nan")):
        with pytest.raises(ValidationError):
            ReplayArrivals(kind="replay", file=tmp_path / "trace.csv", rate_scale=rate_scale)


# --- made ones -------------------------------------------------------------------------------


def test_replay_stops_at_the_horizon_without_reading_on(tmp_path: Path) -> None:
    file = bursty(tmp_path, 3 * BLOCK_REQUESTS)
    whole = play(file)
    with file.open("a") as text:
        text.write("this is no request\n")
    horizon_s = float(whole.arrival_s[BLOCK_REQUESTS // 2])
    played = play(file, horizon_s=horizon_s)
    assert len(played) == BLOCK_REQUESTS // 2
    with pytest.raises(TraceError):
        play(file)


@pytest.mark.parametrize("rate_scale", [0.3, 1.0, 2.0, 2.6])
def test_every_request_is_repeated_near_its_instant(tmp_path: Path, rate_scale: float) -> None:
    file = bursty(tmp_path, 2 * BLOCK_REQUESTS + 100)
    plain = play(file)
    scaled = play(file, rate_scale=rate_scale)
    assert (np.diff(scaled.arrival_s) >= 0).all()
    # The prompt length numbers the requests of this trace.
    copies = np.bincount(scaled.prompt_tokens, minlength=len(plain) + 1)[1:]
    assert copies.min() >= int(rate_scale)
    assert copies.max() <= int(np.ceil(rate_scale))
    fraction = rate_scale % 1
    spread = 4 * np.sqrt(fraction * (1 - fraction) * len(plain))
    assert copies.sum() == pytest.approx(rate_scale * len(plain), abs=spread + 1e-9)
    assert scaled.arrival_s[0] >= 0.0  # what would come before the start comes as long after it
    original_s = plain.arrival_s[scaled.prompt_tokens - 1]
    assert np.abs(scaled.arrival_s - original_s).max() <= JITTER_S
    assert np.array_equal(scaled.output_tokens, plain.output_tokens[scaled.prompt_tokens - 1])
    if rate_scale >= 1:  # the first appearance stays where it was
        kept = np.unique(scaled.prompt_tokens[scaled.arrival_s == original_s])
        assert len(kept) == len(plain)


def test_scaling_does_not_depend_on_the_horizon(tmp_path: Path) -> None:
    file = bursty(tmp_path, 2 * BLOCK_REQUESTS)
    whole = play(file, rate_scale=1.7)
    part = play(file, rate_scale=1.7, horizon_s=100.25)
    assert np.array_equal(whole.arrival_s[: len(part)], part.arrival_s)
    assert part.arrival_s[-1] < 100.25 <= whole.arrival_s[len(part)]


# --- damage ----------------------------------------------------------------------------------

FIRST = "2023-11-16 18:15:46.6805900,374,44"


@pytest.mark.parametrize(
    ("row", "column", "value", "expected"),
    [
        ("2023-11-16 18:15:50.99,many,109", "ContextTokens", "many", "a whole number of tokens"),
        ("2023-11-16 18:15:50.99,396,-1", "GeneratedTokens", "-1", "from 1 to"),
        ("2023-11-16 18:15:50.99,0,1", "ContextTokens", "0", "from 1 to"),
        ("2023-11-16 18:15:50.99,3.5,1", "ContextTokens", "3.5", "a whole number"),
        ("2023-11-16 18:15:50.99,1_0,1", "ContextTokens", "1_0", "a whole number"),
        ("2023-11-16 18:15:50.99,,1", "ContextTokens", "", "a whole number"),
        ("2023-11-16 18:15:50.99,3," + "9" * 40, "GeneratedTokens", "9" * 40, "from 1 to"),
        ("2023-11-16 18:05:46.6805899,3,1", "TIMESTAMP", "2023-11-16 18:05:46.6805899", "before"),
        ("2023-02-30 18:15:50,3,1", "TIMESTAMP", "2023-02-30 18:15:50", "a time such"),
        ("1700158546,3,1", "TIMESTAMP", "1700158546", "a time with a zone"),
        ("2023-11-16 18:15:50.99,1,200,4", "", "", "3 columns, found 4"),
        ("2023-11-16 18:15:50.99,1", "", "", "3 columns, found 2"),
    ],
)
def test_a_bad_row_is_named(
    tmp_path: Path, row: str, column: str, value: str, expected: str
) -> None:
    file = write(tmp_path, FIRST, row, FIRST.replace(":46", ":59"))
    with pytest.raises(TraceError) as caught:
        list(read(file, AZURE))
    error = caught.value
    assert (error.file, error.line, error.column, error.value) == (file, 3, column, value)
    assert expected in error.expected
    assert str(error).startswith(f"{file}:3: ")
    assert len(list(faults(file, AZURE))) == 1  # the rows around it are right


def test_rows_out_of_order_are_sorted_within_the_tolerance_and_counted(tmp_path: Path) -> None:
    stamps = [f"2023-11-16 18:15:{second},1,1" for second in (48, 50, 46, 49, 50, 51)]
    tally = RowCounts()
    rows = list(read(write(tmp_path, *stamps), AZURE, tally=tally))
    assert [row.time_s for row in rows] == pytest.approx([0, 2, 3, 4, 4, 5])
    assert (tally.out_of_order, tally.back_s, tally.skipped) == (2, 4.0, 0)


def test_what_lies_further_back_is_judged_by_the_latest_above(tmp_path: Path) -> None:
    stamps = [f"2023-11-16 18:15:{second},1,1" for second in (46, 50, 48, 49, 50, 51)]
    strict = Options(sort_within_s=1.0)
    file = write(tmp_path, *stamps)
    assert [fault.line for fault in faults(file, AZURE, strict)] == [4]
    tally = RowCounts()
    rows = list(read(file, AZURE, strict, tally=tally, skip=True))
    assert [row.time_s for row in rows] == [0, 3, 4, 4, 5]
    assert (tally.out_of_order, tally.skipped) == (1, 1)


@pytest.mark.parametrize("name", ["azure-2023", "azure-2024"])
def test_either_azure_reads_times_with_and_without_a_zone(tmp_path: Path, name: str) -> None:
    bare = write(tmp_path, "2023-11-16 18:15:46.6805900,1,1", "2023-11-16 18:15:48.1805900,1,1")
    assert [row.time_s for row in read(bare, FORMATS[name])] == pytest.approx([0, 1.5], abs=1e-9)
    zoned = write(tmp_path, "2024-05-10T10:00:00.5+02:00,1,1", "2024-05-10T08:00:02Z,1,1")
    assert [row.time_s for row in read(zoned, FORMATS[name])] == pytest.approx([0, 1.5], abs=1e-9)


@pytest.mark.parametrize(
    ("content", "line", "expected"),
    [
        (b"", 1, "found an empty file"),
        (b"TIMESTAMP,ContextTokens\n", 1, "GeneratedTokens"),
        (HEADER.encode(), 0, "at least one request"),
        (HEADER.encode() + b"\n\n\n", 0, "at least one request"),
        (b"\x1f\x8b\x08\x00\xff\xfe\x00\x01", 0, "compression is damaged"),
        (HEADER.encode() + b'\n"' + b"x" * 200_000, 2, "comma-separated text"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(
    tmp_path: Path, content: bytes, line: int, expected: str
) -> None:
    file = tmp_path / "trace.csv"
    file.write_bytes(content)
    with pytest.raises(TraceError) as caught:
        list(read(file, AZURE))
    assert caught.value.line == line
    assert expected in caught.value.expected


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200))
def test_damage_gives_an_error_or_rows_never_something_else(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    good = f"{HEADER}\n{FIRST}\n{FIRST}\n".encode()
    file = tmp_path_factory.getbasetemp() / "damaged.csv"
    file.write_bytes(good[:place] + junk + good[place:])
    rows, wrong = [], list(faults(file, AZURE))
    try:
        rows = list(read(file, AZURE))
    except TraceError as error:
        assert str(error) == str(wrong[0])
    else:
        assert not wrong
        assert rows
    assert all(prompt >= 1 and output >= 1 for _, prompt, output, _ in rows)


def test_other_columns_byte_order_mark_and_windows_lines_are_no_damage(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_bytes(
        b"\xef\xbb\xbfid, GeneratedTokens ,ContextTokens,TIMESTAMP\r\n"
        b"a,44,374,2023-11-16T23:59:59.5\r\n"
        b"b,5,6,2023-11-17T00:00:00.25\r\n"
    )
    assert list(read(file, AZURE)) == [TraceRow(0.0, 374, 44), TraceRow(0.75, 6, 5)]


# --- check -----------------------------------------------------------------------------------


def scenario_with(*files: Path) -> Scenario:
    stream = (
        "  - name: replay-{n}\n    model: llama-3-70b\n"
        "    arrivals: {{kind: replay, file: '{file}'}}\n"
    )
    streams = "".join(stream.format(n=n, file=file) for n, file in enumerate(files))
    return loads(edited(("workload:\n", "workload:\n" + streams)))


def test_check_names_twenty_rows_of_a_file_and_counts_the_rest(tmp_path: Path) -> None:
    bad = write(tmp_path, FIRST, *["2023-11-16 18:15:50,x,1"] * 25)
    good = tmp_path / "good.csv"
    good.write_text(f"{HEADER}\n{FIRST}\n")
    problems = check(scenario_with(bad, good, bad))  # a file used twice is told of once
    assert [p.line for p in problems] == [*range(3, 23), None]
    assert all(p.file == str(bad) for p in problems)
    assert problems[0].path == "ContextTokens"
    assert "'x'" in problems[0].message
    assert problems[-1].message == "5 more rows are wrong"
    assert check(scenario_with(good)) == []


def test_check_tells_of_a_file_that_has_gone(tmp_path: Path) -> None:
    file = write(tmp_path, FIRST)
    scenario = scenario_with(file)
    file.unlink()
    (problem,) = check(scenario)
    assert problem.file == str(file)
    assert "cannot be read" in problem.message
