"""When prompts were computed: by the moments at which clients saw first tokens.

An engine's counter of prompt tokens moves once a prompt is done, is looked at a few times a second,
and says nothing of the moment in between. A prompt draws half as much again as decoding, for 20 to
100 ms; spread over the time between two looks, half of it lies in the wrong step of 0.25 s. (On the
measured A100 runs the watts of busy steps follow their prompt tokens with a correlation of 0.45 to
0.52 by the counter, and of 0.60 to 0.75 by first tokens: `python -m benchmarks.prompt_times`.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.lab.learn.readers import FirstTokens

LATE_S = np.arange(-0.60, 0.601, 0.01)
"""Tried: a token reaches its client, or a scrape is answered, within some tenths of a second. A
best at either end is none: then the clocks of client and engine differ by an unknown time."""
UNEXPLAINED_SHARE = 0.02
"""Of the counter's tokens that no request explains, and which are still a rounding; also one
ordinary prompt, for the log's end may cut one."""
LEFT_SHARE = 0.5
"""Of the spread of the counter's moves from look to look that first tokens may leave unexplained.
They leave 0.00 to 0.07 on the measured runs, and 1.3 or more with clocks 0.3 s apart."""
TIED_SHARE = 0.02
"""Of the same: lags that leave no more than so much above the least are alike; the smallest is
taken, for looks that are far apart cannot tell."""
LEAST_S = 1e-3
"""No prompt takes less."""
AFTER_S = 1.0
"""Looks so long after the last first token still tell of it."""


@dataclass(frozen=True)
class Prompts:
    """Prompt tokens computed by a time, straight between the times given."""

    at_s: FloatArray
    total: FloatArray


def place_prompts(
    at_s: FloatArray,
    counted: FloatArray,
    first: FirstTokens,
    seconds_of: Callable[[FloatArray], FloatArray],
) -> tuple[Prompts | None, str]:
    """The engine's counter `counted`, looked at at `at_s`, made exact by first tokens.

    `seconds_of` says how long prompts of so many tokens take; each is computed in that time before
    its first token, those of a batch one after another. None where the requests are not those that
    the engine counted, or the clocks differ; the text says what was found.
    """
    late_s = _late(at_s, counted, first)
    if late_s is None:
        return None, (
            "prompts lie as the engine counted them: first tokens are of other requests or on "
            "another clock"
        )
    # On the engine's clock, which is that of its GPUs' meter.
    first = FirstTokens(first.sent_s + late_s, first.first_s + late_s, first.tokens)
    begin_s, end_s = max(float(first.sent_s.min()), float(at_s[0])), float(at_s[-1])
    seen = np.searchsorted(at_s, begin_s, side="right")
    base = float(counted[max(0, int(seen) - 1)])
    inside = (first.first_s > begin_s) & (first.first_s <= end_s)
    tokens = first.tokens[inside]
    total, sent = float(counted[-1]) - base, float(tokens.sum())
    if not len(tokens) or abs(total - sent) > max(
        UNEXPLAINED_SHARE * total, float(np.median(tokens))
    ):
        return None, (
            f"prompts lie as the engine counted them: it counted {total:,.0f} tokens, the requests "
            f"with a first token have {sent:,.0f}"
        )
    # From the beginning, for seconds since 1970 leave too few digits.
    starts_s, ends_s = in_turn(
        first.sent_s[inside] - begin_s, first.first_s[inside] - begin_s, seconds_of(tokens)
    )
    took_s = ends_s - starts_s
    # Each prompt a ramp: its slope comes and goes.
    edges_s = np.concatenate([starts_s, ends_s])
    slopes = np.concatenate([tokens / took_s, -tokens / took_s])
    order = np.argsort(edges_s, kind="stable")
    edges_s, slope = edges_s[order], np.cumsum(slopes[order])
    ramp = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(edges_s))])
    before = at_s < begin_s + min(0.0, float(edges_s[0]))
    prompts = Prompts(
        np.concatenate([at_s[before], begin_s + edges_s]),
        np.concatenate([np.minimum(counted[before], base), base + ramp]),
    )
    return prompts, (
        f"prompts placed by {len(tokens)} first tokens; the engine counts them "
        f"{late_s:+.2f} s after clients see them"
    )


def in_turn(
    sent_s: FloatArray, first_s: FloatArray, took_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """When prompts, in the order of their first tokens, were begun and done.

    A GPU computes one at a time, though the tokens of a batch come at once: from the last one back,
    each is done by its first token and before the next is begun. Where that one's time would lie
    before it was sent, it overlaps.
    """
    took_s = np.maximum(took_s, LEAST_S)
    starts_s, ends_s = np.empty_like(first_s), np.empty_like(first_s)
    free_s = np.inf
    for i in range(len(first_s) - 1, -1, -1):
        ends_s[i] = min(first_s[i], max(free_s, sent_s[i] + took_s[i]))
        starts_s[i] = min(max(sent_s[i], ends_s[i] - took_s[i]), ends_s[i] - LEAST_S)
        free_s = min(free_s, starts_s[i])
    return starts_s, ends_s


def _late(at_s: FloatArray, counted: FloatArray, first: FirstTokens) -> float | None:
    """How much later than first tokens the counter moves; None where no such time fits."""
    begin_s = max(float(first.sent_s.min()), float(at_s[0]))
    seen = (at_s > begin_s) & (at_s < first.first_s[-1] + AFTER_S)
    if seen.sum() < 2:
        return None
    done = np.concatenate([[0.0], np.cumsum(first.tokens)])
    moves = np.diff(counted[seen])
    left = np.array(
        [
            np.std(moves - np.diff(done[np.searchsorted(first.first_s, at_s[seen] - late_s)]))
            for late_s in LATE_S
        ]
    )
    whole = float(np.std(moves))
    alike = np.flatnonzero(left <= left.min() + TIED_SHARE * whole)
    best = int(alike[np.argmin(np.abs(LATE_S[alike]))])
    if best in (0, len(LATE_S) - 1) or left[best] > LEFT_SHARE * whole:
        return None
    return round(float(LATE_S[best]), 2) + 0.0
