"""Windows, loops, samples, both ways of scaling, changes of the rate, and shared prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dcsim.arrays import FloatArray
from dcsim.cli import app
from dcsim.errors import TraceError
from dcsim.scenario import Scenario, loads
from dcsim.workload import replay as replaying
from dcsim.workload import requests, survey
from dcsim.workload.replay import JITTER_S
from dcsim.workload.stream import Prefix
from dcsim.workload.traces import RowCounts
from tests.scenario.sample import GOOD, edited
from tests.workload.play import dispersion, play

HEADER = "start,input_tokens,output_tokens"


def write(folder: Path, at_s: npt.ArrayLike) -> Path:
    """Requests at these times; the prompt's length numbers them from 1."""
    file = folder / "trace.csv"
    rows = [f"{time_s!r},{n},7" for n, time_s in enumerate(np.asarray(at_s).tolist(), 1)]
    file.write_text("\n".join([HEADER, *rows]) + "\n")
    return file


def trace(file: Path, **keys: Any) -> dict[str, Any]:
    return {"kind": "replay", "file": file, "format": "vllm", **keys}


def test_a_window_starts_the_clock_anew(tmp_path: Path) -> None:
    file = write(tmp_path, [1000, 1001, 1010, 1012.5, 1020, 1030])
    played = play(trace(file, **{"from": "10 s", "until": "30 s"}), 1e6)
    assert played.arrival_s.tolist() == [0.0, 2.5, 10.0]
    assert played.prompt_tokens.tolist() == [3, 4, 5]


def test_a_window_without_requests_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, [0, 1, 100])
    with pytest.raises(TraceError, match="requests between `from` and `until`"):
        play(trace(file, **{"from": "10 s", "until": "30 s"}), 1e6)


times = st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=20).map(sorted)


@settings(deadline=None)
@given(times, st.integers(0, 90), st.one_of(st.none(), st.integers(1, 50)), st.booleans())
def test_loops_and_windows_against_a_plain_list(
    tmp_path_factory: pytest.TempPathFactory,
    at_s: list[float],
    from_s: int,
    length_s: int | None,
    loop: bool,
) -> None:
    file = write(tmp_path_factory.getbasetemp(), at_s)
    keys: dict[str, Any] = {"from": f"{from_s} s", "loop": loop}
    if length_s is not None:
        keys["until"] = f"{from_s + length_s} s"
    since = [time_s - at_s[0] for time_s in at_s]
    kept = [
        (time_s - from_s, n)
        for n, time_s in enumerate(since, 1)
        if time_s >= from_s and (length_s is None or time_s < from_s + length_s)
    ]
    horizon_s = 300.0
    if not kept:
        with pytest.raises(TraceError):
            play(trace(file, **keys), horizon_s)
        return
    lap_s = float(length_s or 0)
    if length_s is None:
        spread_s = kept[-1][0] - kept[0][0]
        lap_s = kept[-1][0] + (spread_s / (len(kept) - 1) if spread_s > 0 else 1.0)
    if lap_s < 0.5 and loop:
        return  # hundreds of laps within the horizon; the lap's length is tested above it
    laps = int(horizon_s / lap_s) + 2 if loop else 1
    expected = [(lap * lap_s + t, n) for lap in range(laps) for t, n in kept]
    expected = [(t, n) for t, n in expected if t < horizon_s - 1e-6]
    played = play(trace(file, **keys), horizon_s)
    assert played.prompt_tokens[: len(expected)].tolist() == [n for _, n in expected]
    assert played.arrival_s[: len(expected)] == pytest.approx([t for t, _ in expected], abs=1e-6)


def test_a_sample_is_a_sample_whatever_the_scale(tmp_path: Path) -> None:
    file = write(tmp_path, np.arange(20_000) * 0.5)
    whole = play(trace(file, sample=0.3), 1e9)
    assert len(whole) == pytest.approx(6000, abs=4 * np.sqrt(20_000 * 0.21))
    assert np.array_equal(whole.arrival_s, (whole.prompt_tokens - 1) * 0.5)
    twice = play(trace(file, sample=0.3, rate_scale=2), 1e9)
    assert np.array_equal(np.unique(twice.prompt_tokens), whole.prompt_tokens)
    quick = play(trace(file, sample=0.3, rate_scale=2, scaling="compress"), 1e9)
    assert np.array_equal(quick.prompt_tokens, whole.prompt_tokens)


def test_compressing_divides_time(tmp_path: Path) -> None:
    at_s = np.cumsum(np.random.default_rng(1).exponential(2, 9000))
    file = write(tmp_path, at_s)
    played = play(trace(file, rate_scale=4, scaling="compress"), 1e9)
    assert played.arrival_s == pytest.approx((at_s - at_s[0]) / 4)
    assert played.prompt_tokens.tolist() == list(range(1, 9001))
    short = play(trace(file, rate_scale=4, scaling="compress"), 100.0)
    assert len(short) == int((played.arrival_s < 100).sum())
    spike = {"at": "100 s", "duration": "50 s", "factor": 3}
    spiked = play(trace(file, rate_scale=4, scaling="compress", spikes=[spike]), 1e9)
    told_s = np.interp(spiked.arrival_s, [0, 100, 150, 1e5], [0, 100, 250, 1e5 + 100])
    assert told_s == pytest.approx(played.arrival_s)


def test_a_spike_repeats_what_the_trace_has(tmp_path: Path) -> None:
    file = write(tmp_path, np.arange(4000) * 0.25)
    spikes = [{"at": "300 s", "duration": "200 s", "factor": 2.5},
              {"at": "800 s", "duration": "100 s", "factor": 0}]  # fmt: skip
    played = play(trace(file, spikes=spikes), 1e9)
    copies = np.bincount(played.prompt_tokens, minlength=4001)[1:]
    at_s = np.arange(4000) * 0.25
    spiked, silent = (at_s >= 300) & (at_s < 500), (at_s >= 800) & (at_s < 900)
    assert set(copies[~spiked & ~silent]) == {1}
    assert set(copies[silent]) == {0}
    assert set(copies[spiked]) == {2, 3}
    assert copies[spiked].mean() == pytest.approx(2.5, abs=4 * 0.5 / np.sqrt(800))
    original_s = at_s[played.prompt_tokens - 1]
    assert np.abs(played.arrival_s - original_s).max() <= JITTER_S
    # Where nothing changes, requests stay where they were.
    calm = played.prompt_tokens <= 1000
    assert np.array_equal(played.arrival_s[calm], original_s[calm])


def test_under_a_huge_factor_few_rows_are_repeated_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, np.arange(400) * 0.25)
    spikes = [{"at": "0 s", "duration": "50 s", "factor": 10}]
    made: list[int] = []
    monkeypatch.setattr("dcsim.workload.replay.MOST_REPEATS", 64)
    scaled = replaying._scaled

    def counted(*args: Any) -> Any:
        block = scaled(*args)
        made.append(len(block))
        return block

    monkeypatch.setattr("dcsim.workload.replay._scaled", counted)
    played = play(trace(file, rate_scale=2.0, spikes=spikes), 1e9)
    counts = np.bincount(played.prompt_tokens, minlength=401)[1:]
    assert counts.tolist() == [20] * 200 + [2] * 200
    assert max(made) <= 64 + 20
    at_s = (played.prompt_tokens - 1) * 0.25
    assert np.abs(played.arrival_s - at_s).max() <= JITTER_S


# --- what both ways of scaling keep -----------------------------------------------------------


def test_what_repeating_and_compressing_keep(data: Path) -> None:
    """Of the Azure code trace at four times its rate: repeating keeps each minute's share of the
    requests, compressing keeps the gaps against their mean. Neither keeps both."""
    file = data / "arrivals" / "azure_llm_2023_code.csv"
    plain = {"kind": "replay", "file": file}
    original = play(plain, 1e9).arrival_s
    repeated = play({**plain, "rate_scale": 4}, 1e9).arrival_s
    compressed = play({**plain, "rate_scale": 4, "scaling": "compress"}, 1e9).arrival_s
    assert len(repeated) == 4 * len(original)
    assert len(compressed) == len(original)

    def by_minute(arrival_s: FloatArray) -> FloatArray:
        counts = np.bincount((arrival_s / 60).astype(int), minlength=58)[:57]
        return counts / counts.sum()

    def cv(arrival_s: FloatArray) -> float:
        gaps_s = np.diff(arrival_s)
        return float(gaps_s.std() / gaps_s.mean())

    assert np.abs(by_minute(repeated) - by_minute(original)).max() < 0.001
    assert cv(compressed) == pytest.approx(cv(original), rel=1e-9)
    assert cv(repeated) > 1.5 * cv(original)  # its pauses stay as long, the gaps between shrink
    # Counts in the same number of requests: a quarter of the time for the compressed trace.
    assert dispersion(compressed, 2.5, compressed[-1]) == pytest.approx(
        dispersion(original, 10.0, original[-1]), rel=0.02
    )
    # In the same time, repeating makes the counts four times as irregular.
    assert dispersion(repeated, 60.0, original[-1]) == pytest.approx(
        4 * dispersion(original, 60.0, original[-1]), rel=0.1
    )


# --- what prompts share ------------------------------------------------------------------------

MOON = (
    '{"timestamp": 0, "input_length": 1100, "output_length": 50, "hash_ids": [0, 1, 2]}\n'
    '{"timestamp": 100, "input_length": 900, "output_length": 7, "hash_ids": [0, 3]}\n'
    '{"timestamp": 5000, "input_length": 1300, "output_length": 1, "hash_ids": [0, 1]}\n'
)


def prefixes(played: Any) -> list[Prefix]:
    assert played.prefix is not None
    return list(played.prefix)


def moon(folder: Path, **keys: Any) -> dict[str, Any]:
    file = folder / "moon.jsonl"
    file.write_text(MOON)
    return {"kind": "replay", "file": file, "format": "mooncake", **keys}


def test_mooncake_blocks_become_segments(tmp_path: Path) -> None:
    first, second, third = prefixes(play(moon(tmp_path), 1e6))
    assert [tokens for _, tokens in first.segments] == [512, 512, 76]
    assert [tokens for _, tokens in second.segments] == [512, 388]
    assert [tokens for _, tokens in third.segments] == [512, 512]
    assert first.segments[0] == second.segments[0]
    assert first.segments[:2] == third.segments
    assert first.becomes == 0


def test_other_streams_laps_and_repeats_share_nothing(tmp_path: Path) -> None:
    def ids(played: Any) -> set[int]:
        return {number for prefix in prefixes(played) for number, _ in prefix.segments}

    one, other = (play(moon(tmp_path), 1e6, index=index) for index in (0, 1))
    assert not ids(one) & ids(other)
    looped = play(moon(tmp_path, loop=True), 20.0)
    firsts = [prefix.segments[0][0] for prefix in prefixes(looped)]
    assert len(looped) >= 6
    assert len(set(firsts)) == -(-len(looped) // 3)
    repeated = play(moon(tmp_path, rate_scale=3), 1e6)
    assert len(repeated) == 9
    assert len({prefix.segments[0][0] for prefix in prefixes(repeated)}) == 3
    assert all(0 < number < 2**63 for number in ids(repeated) | ids(looped) | ids(other))


def test_real_mooncake_shares_as_much_as_its_ids_say(data: Path) -> None:
    file = data / "arrivals" / "mooncake_conversation.jsonl"
    played = play({"kind": "replay", "file": file, "format": "mooncake"}, 1e9)
    assert len(played) == 12_031
    lengths: dict[int, int] = {}
    before: dict[int, int] = {}
    for prefix, prompt in zip(prefixes(played), played.prompt_tokens.tolist(), strict=True):
        assert sum(tokens for _, tokens in prefix.segments) == prompt
        last = 0
        for number, tokens in prefix.segments:  # the contract of an id
            assert lengths.setdefault(number, tokens) == tokens
            assert before.setdefault(number, last) == last
            last = number
    assert len(lengths) == 182_790


# --- what is left out is told ------------------------------------------------------------------


def scenario_with(*arrivals: str) -> Scenario:
    streams = "".join(
        f"  - name: replay-{n}\n    model: llama-3-70b\n    arrivals: {text}\n"
        for n, text in enumerate(arrivals)
    )
    return loads(edited(("workload:\n", "workload:\n" + streams)))


def test_skipped_and_dropped_rows_reach_the_user(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(HEADER + "\n0,1,1\n1,x,1\n2,1\n3,1,1\n")
    burst = tmp_path / "burst.csv"
    rows = "0,A,1,1\n1,A,1,0\n2,A,1,1\n"
    burst.write_text("Timestamp,Model,Request tokens,Response tokens\n" + rows)
    played = scenario_with(
        f"{{kind: replay, format: vllm, file: '{wrong}', on_error: skip, loop: true}}",
        f"{{kind: replay, format: burstgpt, file: '{burst}'}}",
    )
    stream = requests(played, np.random.SeedSequence(1))
    assert (stream.skipped, stream.dropped) == ({}, {})
    assert sum(map(len, stream)) > 5
    assert stream.skipped == {"replay-0": 2}  # once, however often the trace is played
    assert stream.dropped == {"replay-1": 1}
    found = survey(played)
    assert found.problems == []
    assert found.notes == [
        f"{wrong}: 2 rows wrong, to be skipped",
        f"{burst}: 1 row to be left out (failed, or other models)",
    ]
    strict = scenario_with(f"{{kind: replay, format: vllm, file: '{wrong}'}}")
    assert [problem.line for problem in survey(strict).problems] == [3, 4]
    with pytest.raises(TraceError):
        list(requests(strict, np.random.SeedSequence(1)))


def test_validate_tells_what_it_will_skip(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(HEADER + "\n0,1,1\n1,x,1\n3,1,1\n")
    path = tmp_path / "scenario.yaml"
    replayed = f"{{kind: replay, format: vllm, file: {file.name}, on_error: skip}}"
    start = GOOD.index("    arrivals:")
    text = GOOD[:start] + f"    arrivals: {replayed}\n" + GOOD[GOOD.index("servers:") :]
    path.write_text(text)
    told = CliRunner().invoke(app, ["validate", str(path)])
    assert told.exit_code == 0
    assert f"note: {file}: 1 row wrong, to be skipped" in told.stderr
    path.write_text(text.replace("skip", "stop"))
    told = CliRunner().invoke(app, ["validate", str(path)])
    assert told.exit_code == 2
    assert f"{file}:3: input_tokens" in told.stderr


def test_a_tally_counts_as_far_as_the_trace_is_read(tmp_path: Path) -> None:
    file = write(tmp_path, np.arange(10))
    with file.open("a") as text:
        text.write("x,1,1\n20,1,1\n")
    tally = RowCounts()
    assert len(play(trace(file, on_error="skip"), 1e6, tally=tally)) == 11
    assert tally.skipped == 1
