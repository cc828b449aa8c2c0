"""Conversations: prompts that grow, what they share, how often and when turns come."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dcsim.scenario.models import Sessions
from dcsim.workload import RequestBlock, open_stream
from dcsim.workload.sessions import mean_turns
from tests.workload.play import play, stream

POISSON = {"kind": "poisson", "rate": "4 req/s"}
TOKENS = {
    "kind": "lognormal", "prompt_median": 50, "prompt_sigma": 0.8,
    "output_median": 80, "output_sigma": 0.8,
}  # fmt: skip
TALK = {
    "turns": {"kind": "geometric", "mean": 4},
    "think_time": {"kind": "exponential", "mean": "30 s"},
}
ALWAYS_THREE = {
    "turns": {"kind": "fixed", "count": 3},
    "think_time": {"kind": "fixed", "time": "10 s"},
}

turns = st.one_of(
    st.builds(lambda n: {"kind": "fixed", "count": n}, st.integers(1, 6)),
    st.builds(lambda m, k: {"kind": "geometric", "mean": m, "most": k},
              st.floats(1, 8), st.integers(1, 10)),
    st.builds(lambda w: {"kind": "weights", "weights": [*w, 1.0]},
              st.lists(st.floats(0, 5), max_size=4)),
)  # fmt: skip
thinking = st.sampled_from(
    [
        {"kind": "fixed", "time": "0 s"},
        {"kind": "fixed", "time": "7 s"},
        {"kind": "exponential", "mean": "20 s"},
        {"kind": "lognormal", "median": "10 s", "sigma": 1.5},
    ]
)


def by_conversation(played: RequestBlock) -> list[list[int]]:
    """Rows of each conversation, turn by turn: each turn's segments end with what the turn before
    it became."""
    assert played.prefix is not None
    of: dict[int, list[int]] = {}
    talks = []
    for row, prefix in enumerate(played.prefix):
        if prefix is None or prefix.becomes == 0:
            continue
        before = prefix.segments[-1][0] if prefix.segments else 0
        rows = of.pop(before, None)
        if rows is None:
            rows = []
            talks.append(rows)
        rows.append(row)
        assert prefix.becomes not in of
        of[prefix.becomes] = rows
    return talks


@settings(deadline=None, max_examples=60)
@given(turns, thinking, st.sampled_from([0, 300]), st.sampled_from([0.4, 1.0]),
       st.sampled_from([400, 3000]))  # fmt: skip
def test_prompts_hold_all_that_was_said(
    turn: dict[str, Any], think: dict[str, Any], system: int, share: float, most: int
) -> None:
    spec = {"turns": turn, "think_time": think, "share": share, "max_context": most}
    played = play(POISSON, 400.0, tokens=TOKENS, sessions=spec, system_prompt=system, index=2)
    if not len(played):
        return
    assert played.prefix is not None
    system_id = (3 << 50) | 1
    opening = ((system_id, system),) if system else ()
    for rows in by_conversation(played):
        assert played.prefix[rows[0]].segments == opening
        said = system
        for place, row in enumerate(rows):
            prefix = played.prefix[row]
            prompt, output = int(played.prompt_tokens[row]), int(played.output_tokens[row])
            assert sum(tokens for _, tokens in prefix.segments) == said
            assert prompt > said
            assert prompt + output <= most or place == 0
            said = prompt + output
        for one, next_ in pairwise(rows):
            assert played.arrival_s[one] <= played.arrival_s[next_]
            earlier, later = played.prefix[one], played.prefix[next_]
            assert later.segments[:-1] == earlier.segments
            number, tokens = later.segments[-1]
            assert number == earlier.becomes
            shared = sum(tokens for _, tokens in earlier.segments)
            assert shared + tokens == played.prompt_tokens[one] + played.output_tokens[one]
    for row, prefix in enumerate(played.prefix):
        if prefix is None or prefix.becomes == 0:
            assert (() if prefix is None else prefix.segments) == opening
            assert played.prompt_tokens[row] > system
    made = [prefix.becomes for prefix in played.prefix if prefix is not None and prefix.becomes]
    assert len(set(made)) == len(made)
    assert all(3 << 50 < number < 4 << 50 for number in made)


def test_the_rate_is_that_of_all_requests() -> None:
    length_s = 50_000.0
    played = play(POISSON, length_s, sessions=TALK, tokens={**TOKENS, "output_max": 100})
    late = played.arrival_s[played.arrival_s > 2000]  # after the first conversations have come up
    # Conversations of 4 turns arrive together, so counts vary more: E[T^2] / E[T] = 7.
    spread = np.sqrt(7 / (4 * (length_s - 2000)))
    assert len(late) / (length_s - 2000) == pytest.approx(4.0, abs=4 * 2 * spread)


def test_a_run_starts_below_the_rate_and_rises() -> None:
    played = play(POISSON, 20.0, sessions=ALWAYS_THREE)
    first = (played.arrival_s < 10).sum()
    assert first == pytest.approx(40 / 3, abs=4 * np.sqrt(40 / 3))


@pytest.mark.parametrize(
    ("turn", "share", "expected"),
    [
        ({"kind": "fixed", "count": 3}, 1.0, 3.0),
        ({"kind": "fixed", "count": 3}, 0.5, 2.0),
        ({"kind": "weights", "weights": [1, 0, 3]}, 1.0, 2.5),
        ({"kind": "geometric", "mean": 4, "most": 1000}, 1.0, 4.0),
        ({"kind": "geometric", "mean": 2, "most": 2}, 1.0, 1.5),
    ],
)
def test_mean_turns(turn: dict[str, Any], share: float, expected: float) -> None:
    spec = {**TALK, "turns": turn, "share": share}
    assert mean_turns(Sessions.model_validate(spec)) == pytest.approx(expected)


def test_turns_and_thinking_have_the_distributions_asked_for() -> None:
    short = {"kind": "fixed", "prompt": 5, "output": 5}
    played = play(POISSON, 20_000.0, sessions=TALK, tokens=short)
    begun = [rows for rows in by_conversation(played) if played.arrival_s[rows[0]] < 15_000]
    # Conversations of one turn ask once, like those who do not talk at all.
    lengths = np.bincount([len(rows) for rows in begun], minlength=30)[2:12]
    expected = 0.75 ** np.arange(1, 11)
    expected *= lengths.sum() / expected.sum()
    assert stats.chi2(9).sf(float(((lengths - expected) ** 2 / expected).sum())) > 0.001
    at_s = played.arrival_s
    gaps_s = [at_s[later] - at_s[one] for rows in begun for one, later in pairwise(rows)]
    assert stats.kstest(gaps_s, stats.expon(scale=30).cdf).pvalue > 0.001


def test_a_share_of_arrivals_talks() -> None:
    played = play(POISSON, 20_000.0, sessions={**ALWAYS_THREE, "share": 0.25})
    talks = len(by_conversation(played))
    alone = len(played) - sum(map(len, by_conversation(played)))
    assert stats.binomtest(talks, talks + alone, 0.25).pvalue > 1e-3


def test_conversations_end_before_they_grow_too_long() -> None:
    spec = {**ALWAYS_THREE, "turns": {"kind": "fixed", "count": 50}, "max_context": 1000}
    played = play(POISSON, 5000.0, sessions=spec)  # 120 tokens a turn
    lengths = defaultdict(int)
    for rows in by_conversation(played):
        lengths[len(rows)] += played.arrival_s[rows[0]] < 4000
    assert set(lengths) == {8} | {n for n, old in lengths.items() if not old}
    assert (played.prompt_tokens + played.output_tokens).max() == 960


def test_luck_of_starts_does_not_hang_on_lengths_or_thinking() -> None:
    def starts_s(**changes: Any) -> list[float]:
        played = play(POISSON, 500.0, sessions={**ALWAYS_THREE, **changes})
        return [float(played.arrival_s[rows[0]]) for rows in by_conversation(played)]

    plain = starts_s()
    slower = starts_s(think_time={"kind": "fixed", "time": "25 s"})
    assert plain == slower


def test_a_system_prompt_alone_is_shared_by_all() -> None:
    played = play(POISSON, 100.0, system_prompt=800, index=4)
    plain = play(POISSON, 100.0, index=4)
    assert np.array_equal(played.arrival_s, plain.arrival_s)
    assert np.array_equal(played.prompt_tokens, plain.prompt_tokens + 800)
    assert played.prefix is not None
    assert plain.prefix is None
    assert {(p.segments, p.becomes) for p in played.prefix} == {((((5 << 50) | 1, 800),), 0)}


def test_only_conversations_under_way_are_held() -> None:
    busy = stream({"kind": "poisson", "rate": "1000 req/s"}, sessions=TALK)
    blocks = open_stream(busy, 0, 1e7, np.random.SeedSequence(1))
    sum(len(block) for block in islice(blocks, 50))  # until as many end as begin
    tracemalloc.start()
    drawn = sum(len(block) for block in islice(blocks, 65))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drawn > 100_000
    # 250 conversations a second that last a minute and a half, at about 700 bytes a turn to come;
    # what is drawn would be more than 70 MB.
    assert peak_bytes < 40e6
