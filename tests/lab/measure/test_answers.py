"""Streams taken apart, and the engine's columns as the client saw them."""

from __future__ import annotations

import itertools
import json
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.lab.measure.answers import ParsedAnswer, RawAnswer, events, parse_answer
from dcsim.lab.measure.counts import engine_table, seen_by_client
from dcsim.lab.measure.plan import Ask


def sse(*said: Any, end: bytes = b"\n\n") -> bytes:
    lines = [s if isinstance(s, bytes) else json.dumps(s).encode() for s in said]
    return b"".join(b"data: " + line + end for line in lines)


def raw(*pieces: bytes, http: int = 200, trouble: str = "") -> RawAnswer:
    """Pieces that came a second apart, the first at 1 s."""
    at_s = array("d", [1.0 + i for i in range(len(pieces))])
    return RawAnswer(Ask(0, 7, 3), 0.0, 0.0, at_s, list(pieces), 1.0 + len(pieces), http, trouble)


def token(reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"text": " a", "finish_reason": reason}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}


def test_an_answer_in_full() -> None:
    answer = parse_answer(raw(sse(token()), sse(token()), sse(token("length"), USAGE, b"[DONE]")))
    assert answer.ok and answer.counted
    assert (answer.prompt_tokens, answer.output_tokens) == (9, 3)
    assert answer.text_s.tolist() == [1.0, 2.0, 3.0] and answer.first_s == 1.0


def test_a_chat_whose_first_piece_says_nothing() -> None:
    role = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
    said = {"choices": [{"delta": {"content": "x"}, "finish_reason": None}]}
    thought = {"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": "stop"}]}
    answer = parse_answer(raw(sse(role), sse(said), sse(thought)))
    assert answer.text_s.tolist() == [2.0, 3.0]
    assert (answer.prompt_tokens, answer.output_tokens, answer.counted) == (7, 2, False)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (raw(sse(token(), token())), "the stream ended before the answer did"),
        (raw(sse(token()), trouble="the connection broke: x"), "the connection broke: x"),
        (raw(sse(token(), {"error": {"message": "out of memory"}})), "the engine: out of memory"),
        (raw(sse(token(), b"{not json")), "not the protocol"),
        (raw(sse(token(), [1])), "not the protocol"),
        (raw(sse(b"[DONE]")), "an answer without a token"),
        (raw(b'{"error": {"message": "too busy"}}', http=429), "HTTP 429: too busy"),
        (raw(b'{"detail": "no"}', http=500), "HTTP 500: no"),
        (raw(b"<html>gone</html>", http=502), "HTTP 502: <html>gone</html>"),
        (raw(http=0), "no answer"),
        (raw(b"<html>all is well</html>"), "the stream ended before the answer did"),
    ],
)
def test_what_is_no_full_answer_says_why(given: RawAnswer, why: str) -> None:
    answer = parse_answer(given)
    assert not answer.ok and answer.error.startswith(why)


@given(
    st.lists(st.integers(1, 200), max_size=40),
    st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    st.integers(1, 8),
)
def test_events_do_not_hang_on_how_the_bytes_were_cut(
    cuts: list[int], end: bytes, count: int
) -> None:
    stream = b": a comment\n" + sse(*(token() for _ in range(count)), USAGE, b"[DONE]", end=end)
    edges = sorted({min(c * 7, len(stream)) for c in cuts} | {0, len(stream)})
    # stamped by where they end
    pieces = [(float(b), stream[a:b]) for a, b in itertools.pairwise(edges)]
    found = events(pieces)
    assert [said for _, said in found] == [said for _, said in events([(0.0, stream)])]
    # each is there with the piece that has the last byte of its line, and not before
    ends = [i + 1 for i in range(len(stream)) if stream[i : i + 1] == b"\n"]
    due = [e for e in ends if stream[:e].rsplit(b"\n", 2)[-2].startswith(b"data:")]
    assert [at for at, _ in found] == [min(b for b in edges if b >= e) for e in due]


# --- the client's view of the engine -------------------------------------------------------------


def made(sent: float, first: float, gap: float, prompt: int, output: int, ok: bool) -> ParsedAnswer:
    text = first + gap * np.arange(output)
    ask = Ask(0, prompt, output)
    end = float(text[-1]) + 0.01 if output else first
    return ParsedAnswer(
        ask, sent, sent, end, 200, "" if ok else "broke", prompt, output, True, text
    )


times = st.floats(0, 20).map(lambda x: round(x, 3))
answers = st.lists(
    st.builds(
        lambda sent, wait, gap, prompt, output, ok: made(
            sent, sent + wait, gap, prompt, output if ok else output // 2, ok
        ),
        times,
        st.floats(0.001, 3),
        st.floats(0.001, 1),
        st.integers(1, 900),
        st.integers(1, 30),
        st.booleans(),
    ),
    max_size=12,
)


@given(answers, st.lists(times, min_size=1, max_size=6))
def test_the_clients_view_is_what_one_counts_by_hand(
    found: list[ParsedAnswer], at: list[float]
) -> None:
    at_s = np.array(sorted(at))
    table = seen_by_client(at_s, found, 100_000)
    for i, now in enumerate(at_s.tolist()):
        begun = [a for a in found if len(a.text_s) and a.first_s <= now]
        running = [a for a in begun if a.end_s > now]
        waiting = [a for a in found if a.sent_s <= now < a.first_s and a.end_s > now]
        generated = sum(int((a.text_s <= now).sum()) for a in found)
        held = sum(a.prompt_tokens + int((a.text_s <= now).sum()) for a in running)
        assert table["running"][i] == len(running)
        assert table["waiting"][i] == len(waiting)
        assert table["prompt_total"][i] == sum(a.prompt_tokens for a in begun)
        assert table["generation_total"][i] == pytest.approx(generated)
        assert table["kv"][i] == pytest.approx(min((held + 16) / 100_000, 1.0))


def test_the_engines_own_counts_come_first() -> None:
    at_s = np.array([0.0, 1.0])
    seen = seen_by_client(at_s, [], 1000)
    counted = {"prompt_total": np.array([500.0, 510.0]), "kv": np.array([0.0, 0.1])}
    table = engine_table(at_s, counted, seen, 0.016)
    assert table["prompt_total"].tolist() == [0.0, 10.0]
    assert table["kv"].tolist() == pytest.approx([0.016, 0.116])
    assert table["running"].tolist() == [0.0, 0.0]
    assert "iterations" not in table  # nobody counts them, and unknown is not 0
