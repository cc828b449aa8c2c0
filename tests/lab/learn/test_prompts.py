"""Prompts placed by first tokens: against a made-up engine of which all is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.arrays import FloatArray
from dcsim.errors import RunFolderError
from dcsim.lab.learn.cleaning import steps_between
from dcsim.lab.learn.logs import read_requests
from dcsim.lab.learn.prompts import Prompts, in_turn, place_prompts
from dcsim.lab.learn.readers import FirstTokens
from dcsim.lab.learn.runs import read_run
from dcsim.lab.learn.simulated import on_even_steps, play
from dcsim.lab.ledger_series import TimedRequest
from dcsim.scenario.models import Engine
from tests.lab.learn.folder import EPOCH_S, write_prompts, write_run
from tests.power.bench import CATALOGUE, QWEN

TOKENS_S = 10_000.0
SCRAPE_S = 0.2543
END_S = 60.0


def seconds_of(tokens: FloatArray) -> FloatArray:
    return tokens / TOKENS_S


def engine(warm_up: float = 0.0) -> tuple[FloatArray, FloatArray, FirstTokens]:
    """Scrapes of a counter that moves when a prompt is done; and the clients."""
    rng = np.random.default_rng(5)
    done_s = EPOCH_S + 5.0 + np.cumsum(rng.uniform(0.12, 0.9, 90))
    tokens = rng.integers(20, 1100, len(done_s)).astype(np.float64)
    sent_s = done_s - tokens / TOKENS_S - 0.002
    at_s = EPOCH_S + np.arange(0.0, END_S, SCRAPE_S)
    total = np.concatenate([[0.0], np.cumsum(tokens)])
    counted = total[np.searchsorted(done_s, at_s, side="right")]
    counted += warm_up * (at_s > EPOCH_S + 2.0)
    return at_s, counted, FirstTokens(sent_s, done_s, tokens)


def truth(edges_s: FloatArray, first: FirstTokens) -> FloatArray:
    """Tokens computed in each step, by the overlap of each prompt's time with it."""
    took_s = first.tokens / TOKENS_S
    upper = np.minimum(edges_s[1:, None], first.first_s)
    lower = np.maximum(edges_s[:-1, None], first.first_s - took_s)
    found: FloatArray = (np.maximum(upper - lower, 0.0) * TOKENS_S).sum(axis=1)
    return found


def in_steps(edges_s: FloatArray, prompts: Prompts) -> FloatArray:
    return np.diff(np.interp(edges_s, prompts.at_s, prompts.total))


@pytest.mark.parametrize("off_s", [0.0, 0.2, -0.3])
def test_prompts_lie_where_they_were_computed(off_s: float) -> None:
    """Each step has the tokens that were computed in it, whatever the client's clock (found to a
    hundredth of a second or two); the counter alone puts most of a step's elsewhere."""
    at_s, counted, first = engine(warm_up=700.0)
    seen = FirstTokens(first.sent_s + off_s, first.first_s + off_s, first.tokens)
    prompts, told = place_prompts(at_s, counted, seen, seconds_of)
    assert prompts is not None and "placed by 90 first tokens" in told
    edges_s = EPOCH_S + np.arange(4.0, END_S - 1.0, 0.25)
    wanted = truth(edges_s, first)
    found = in_steps(edges_s, prompts)
    if off_s == 0.0:
        assert found == pytest.approx(wanted, abs=1.0)
    assert np.abs(found - wanted).sum() < 0.1 * wanted.sum()
    by_counter = np.diff(np.interp(edges_s, at_s, counted))
    assert np.abs(by_counter - wanted).sum() > 0.5 * wanted.sum()
    # The warm-up, which no client timed, stays where the engine counted it.
    assert prompts.total[-1] == pytest.approx(counted[-1])
    assert np.interp(EPOCH_S + 4.0, prompts.at_s, prompts.total) == 700.0


def test_a_log_that_begins_amid_work_counts_from_there() -> None:
    at_s, counted, first = engine()
    late = at_s > EPOCH_S + 20.0
    prompts, _ = place_prompts(at_s[late], counted[late], first, seconds_of)
    assert prompts is not None
    edges_s = np.arange(at_s[late][0], EPOCH_S + END_S - 1.0, 0.25)
    assert in_steps(edges_s, prompts) == pytest.approx(truth(edges_s, first), abs=1.0)


def test_prompts_of_a_batch_are_computed_one_after_another() -> None:
    """Ten of 800 tokens, whose first tokens come at once, take ten times as long as one."""
    first_s = np.repeat(EPOCH_S + np.array([10.0, 20.0, 30.0]), 10)
    first = FirstTokens(first_s - 1.0, first_s, np.full(30, 800.0))
    at_s = EPOCH_S + np.arange(0.0, 40.0, SCRAPE_S)
    counted = 800.0 * np.searchsorted(first_s, at_s, side="right")
    prompts, told = place_prompts(at_s, counted, first, seconds_of)
    assert prompts is not None, told
    found = in_steps(EPOCH_S + np.arange(19.0, 20.3, 0.25), prompts)
    assert found == pytest.approx([500.0, 2500.0, 2500.0, 2500.0, 0.0], abs=1.0)


@given(
    st.lists(
        st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 2.0), st.integers(1, 4000)),
        min_size=1,
        max_size=30,
    )
)
def test_prompts_lie_between_sending_and_first_token(
    asked: list[tuple[float, float, int]],
) -> None:
    """Each in its own time, which is no longer than it takes; two at once only where one has been
    sent too late to be computed before the other."""
    rows = sorted((sent + waited, sent, tokens) for sent, waited, tokens in asked)
    first_s, sent_s, tokens = np.array(rows).T
    starts_s, ends_s = in_turn(sent_s, first_s, seconds_of(tokens))
    assert (ends_s <= first_s).all()
    assert (starts_s >= np.minimum(sent_s, first_s - 1e-3) - 1e-9).all()
    assert (ends_s - starts_s <= np.maximum(seconds_of(tokens), 1e-3) + 1e-9).all()
    for one in range(len(rows) - 1):
        later_s = float(starts_s[one + 1 :].min())
        if ends_s[one] > later_s + 1e-9:
            assert starts_s[one] <= sent_s[one] + 1e-3


def test_other_requests_or_clocks_are_not_believed() -> None:
    at_s, counted, first = engine()
    moved = FirstTokens(first.sent_s + 3.0, first.first_s + 3.0, first.tokens)
    prompts, told = place_prompts(at_s, counted, moved, seconds_of)
    assert prompts is None and "another clock" in told
    # Another client asked, too: the requests explain four fifths of the tokens.
    prompts, told = place_prompts(at_s, 1.25 * counted, first, seconds_of)
    assert prompts is None and f"with a first token have {first.tokens.sum():,.0f}" in told
    # Or a little of them: what was asked by nobody known, at the end.
    more = counted + 2000.0 * (at_s > EPOCH_S + END_S - 1.0)
    prompts, told = place_prompts(at_s, more, first, seconds_of)
    assert prompts is None and f"with a first token have {first.tokens.sum():,.0f}" in told


def test_one_request_that_nobody_timed_costs_itself_only() -> None:
    """Each left out in turn, as an aborted one is: the others are placed all the same, unless it
    is too much to be a rounding."""
    at_s, counted, first = engine()
    for row in range(len(first.tokens)):
        kept = np.arange(len(first.tokens)) != row
        rest = FirstTokens(first.sent_s[kept], first.first_s[kept], first.tokens[kept])
        prompts, told = place_prompts(at_s, counted, rest, seconds_of)
        little = first.tokens[row] <= max(0.02 * counted[-1], float(np.median(rest.tokens)))
        assert (prompts is not None) == little, told


def test_looks_far_apart_do_not_move_first_tokens() -> None:
    """Every 5 s they cannot tell tenths of a second."""
    at_s, _, first = engine()
    less = FirstTokens(first.sent_s[:40], first.first_s[:40], first.tokens[:40])
    looks_s = at_s[::20]
    total = np.concatenate([[0.0], np.cumsum(less.tokens)])
    shown = total[np.searchsorted(less.first_s, looks_s, side="right")]
    prompts, told = place_prompts(looks_s, shown, less, seconds_of)
    assert prompts is not None, told
    assert "+0.00 s after" in told


def test_a_counters_past_is_no_prompt(tmp_path: Path) -> None:
    """A server that has been up for days counts on from there; the work is the same."""
    columns = []
    for name, past in (("new", 0.0), ("old", 1e8)):
        write_run(tmp_path / name)
        file = tmp_path / name / "engine.csv"
        header, *rows = file.read_text().split()
        at = header.split(",").index("prompt_total")
        cells = [row.split(",") for row in rows]
        for cell in cells:
            cell[at] = f"{float(cell[at]) + past:.1f}"
        file.write_text("\n".join([header, *(",".join(cell) for cell in cells)]) + "\n")
        columns.append(read_run(tmp_path / name, CATALOGUE).series.columns)
    for name in columns[0]:
        assert columns[1][name] == pytest.approx(columns[0][name], rel=0.01, abs=1e-6), name


def test_steps_do_not_stretch_time() -> None:
    """A meter that is slower than the steps, or often late: even steps."""
    late = np.where(np.arange(1000) % 30 == 0, 0.4, 0.25)
    for every_s in (np.full(1000, 0.256), late):
        found = steps_between(np.cumsum(every_s), 1.0, 200.0, 0.25)
        assert np.diff(found) == pytest.approx(0.25)


@given(
    st.lists(st.sampled_from([0.25, 0.251, 0.26, 0.413, 1.071, 0.02]), min_size=400, max_size=500)
)
def test_steps_end_at_samples(every_s: list[float]) -> None:
    """Whatever the meter missed: steps rise, none is longer than one and a half, and every sample
    that is no repetition ends one."""
    every_s = [0.25 if i % 100 else one for i, one in enumerate(every_s)]
    at_s = EPOCH_S + np.cumsum(every_s)
    start_s, stop_s = at_s[0] - 1.1, at_s[-1] - 3.0
    edges_s = steps_between(at_s, start_s, stop_s, 0.25)
    long_s = np.diff(edges_s)
    assert long_s.min() > 0.1 and long_s.max() < 1.5 * 0.25
    assert start_s - 1e-6 <= edges_s[0] < start_s + 0.25
    assert stop_s - 1.1 <= edges_s[-1] <= stop_s
    kept = at_s[(np.diff(at_s, prepend=0.0) > 0.2) & (at_s <= edges_s[-1])]
    before = kept - np.concatenate([[0.0], kept[:-1]]) > 0.2
    missed = [one for one in kept[before] if np.abs(edges_s - one).min() > 0.021]
    assert not missed


@pytest.mark.parametrize("every_s", [0.1, 1.0])
def test_other_samplings_get_even_steps(every_s: float) -> None:
    at_s = np.arange(0.0, 100.0, every_s)
    assert np.diff(steps_between(at_s, 3.0, 90.0, 0.25)) == pytest.approx(0.25)


def test_requests_keep_their_place_among_steps() -> None:
    """A request in the middle of the third step is so in a simulation of even steps."""
    edges_s = EPOCH_S + np.array([0.0, 0.25, 0.5, 0.9, 1.15])
    sent = [(EPOCH_S - 1.0, 1, 1), (EPOCH_S + 0.7, 2, 3), (EPOCH_S + 2.15, 4, 5)]
    found = on_even_steps(edges_s, [TimedRequest(*row) for row in sent])
    assert [one[0] for one in found] == pytest.approx([0.0, 0.625, 2.0], abs=1e-6)
    assert [one[1:] for one in found] == [(1, 1), (2, 3), (4, 5)]


def _with_requests(folder: Path, rows: list[str]) -> Path:
    write_run(folder)
    (folder / "requests.csv").write_text(
        "\n".join(["start,input_tokens,output_tokens,ttft", *rows]) + "\n"
    )
    return folder


def test_first_tokens_are_read_strictly(tmp_path: Path) -> None:
    start = "1784444365.0,100,20"
    good = _with_requests(tmp_path / "good", [f"{start},", f"{start},nan", f"{start},0.05"])
    assert any("prompts lie as" in text for text in read_run(good, CATALOGUE).remarks)
    bad = _with_requests(tmp_path / "bad", [f"{start},0.05", f"{start},-0.1"])
    with pytest.raises(RunFolderError, match=r"requests\.csv:3: ttft is -0\.1 s, below 0"):
        read_run(bad, CATALOGUE)
    wrong = _with_requests(tmp_path / "wrong", [f"{start},0.05", f"{start},soon"])
    with pytest.raises(RunFolderError, match=r"requests\.csv:3: expected a number, not 'soon'"):
        read_run(wrong, CATALOGUE)


def test_failed_requests_are_left_out_and_told(tmp_path: Path) -> None:
    """Those without an answer, in a file that a spreadsheet wrote (with a byte order mark)."""
    rows = ["1784444365.0,100,20,0.05", "1784444366.0,100,0,", "1784444367.0,100,,nan"]
    folder = _with_requests(tmp_path / "some", [*rows, rows[0]])
    file = folder / "requests.csv"
    file.write_text("\ufeff" + file.read_text(), encoding="utf-8")
    assert read_requests(folder) == [(1784444365.0, 100, 20)] * 2
    assert "2 requests without an answer left out" in read_run(folder, CATALOGUE).remarks
    none = _with_requests(tmp_path / "none", rows[1:])
    with pytest.raises(RunFolderError, match=r"requests\.csv: every request failed"):
        read_requests(none)
    empty = _with_requests(tmp_path / "empty", [])
    with pytest.raises(RunFolderError, match=r"requests\.csv holds no requests"):
        read_run(empty, CATALOGUE)
    # The engine's log tells the work all the same.
    assert "2 requests without an answer left out" in read_run(none, CATALOGUE).remarks
    (none / "engine.csv").unlink()
    with pytest.raises(
        RunFolderError, match=r"requests\.csv: every request failed, and there is no"
    ):
        read_run(none, CATALOGUE)
    # A spreadsheet's or a console's UTF-16 is read, too; a client that was killed cut its last row.
    file.write_text("\n".join(["start,input_tokens,output_tokens,ttft", *rows, "17844"]), "utf-16")
    assert read_requests(folder) == [(1784444365.0, 100, 20)]


@pytest.mark.parametrize("late_s", [0.0, 0.2, -0.15, 1.2, -3.0])
def test_clocks_are_put_right_to_the_prompt(late_s: float, tmp_path: Path) -> None:
    """A meter of moments sees a prompt of 50 ms or not: a fifth of a second off, its spikes would
    lie in steps without one."""
    write_prompts(tmp_path / "run", late_s)
    run = read_run(tmp_path / "run", CATALOGUE)
    told = " ".join(run.remarks)
    assert "prompts placed by 150 first tokens" in told
    assert ("moved by" in told) == (late_s != 0.0)
    column = run.series.columns
    busy = column["running"] >= 1
    follows = np.corrcoef(column["prefill_tokens"][busy], run.power_w[busy])[0, 1]
    assert follows > 0.5
    # Steps end at the samples, an eighth after quarters of a second of the work's clock.
    assert (run.edges_s - EPOCH_S) % 0.25 == pytest.approx(0.125, abs=0.051)


@pytest.mark.parametrize("late_s", [0.1, -0.2, 5.0])
@pytest.mark.parametrize("run", ["qwen3-14b_a100_tp1_poisson2.5", "qwen3-8b_h100_tp1_poisson4"])
def test_clocks_of_measured_runs_are_put_right(
    run: str, late_s: float, data: Path, tmp_path: Path
) -> None:
    """Whatever its clock, a log comes to lie where it did, within a twentieth of a second."""
    source = data / "measured" / "vllm_runs" / run
    shutil.copytree(source, tmp_path / run)
    manifest = json.loads((source / "manifest.json").read_text())
    manifest["clock"]["local_utc_offset_s"] -= late_s
    (tmp_path / run / "manifest.json").write_text(json.dumps(manifest))
    wanted, found = read_run(source, CATALOGUE), read_run(tmp_path / run, CATALOGUE)
    step = int(np.argmin(np.abs(found.edges_s - wanted.edges_s[100])))
    assert found.edges_s[step] == pytest.approx(wanted.edges_s[100], abs=0.051)
    assert found.power_w[step - 40 : step + 40] == pytest.approx(wanted.power_w[60:140], abs=20.0)


def test_a_log_that_begins_amid_work_is_simulated_from_the_first_request() -> None:
    """The later part of a simulation is that of the whole: what was asked before it still runs."""
    rng = np.random.default_rng(4)
    edges_s = EPOCH_S + 0.25 * np.arange(400)
    at_s = np.sort(rng.uniform(1.0, 95.0, 60)).tolist()
    sent = [TimedRequest(EPOCH_S + at, 400, 200) for at in at_s]
    whole = play(QWEN, CATALOGUE, edges_s, sent, Engine())
    later = play(QWEN, CATALOGUE, edges_s[150:], sent, Engine())
    assert len(later) == 249 and later.columns["running"][0] > 0
    # Seconds since 1970 have few digits left: a request may lie in the next step's iteration.
    for name in ("running", "prefill_tokens", "decode_tokens", "kv_fraction"):
        found, wanted = later.columns[name], whole.columns[name][150:]
        assert found == pytest.approx(wanted, rel=0.01, abs=0.01 * wanted.max()), name
