"""Trips by bursts that no run has met: how many would it take, and how likely are so many?

Whatever the law of a load, two things bound it: no server draws more than its label for long, and
a breaker holds even that for a while. Of n independent pieces of time none was above a load u;
then with confidence 1 - a at most a share q = 1 - a^(1/n) of all pieces are. If each of those drew
what the labels allow, and every other one u, a breaker would trip after J of them on end, or where
they are so many among K that the mean heat is above its pick-up. How likely so many are is
binomial, summed over all K.
"""

from __future__ import annotations

import math

import numpy as np
import scipy

from dcsim.arrays import FloatArray
from dcsim.facility.trip_ratio import Element

MOST_PIECES = 1 << 13
"""Longest time that is looked at, in pieces."""
TINY = 1e-15
DEVIATIONS = 1.96
"""Two-sided 95 % of a normal law."""


def share_above(pieces: int, confidence: float) -> float:
    """The largest share of all pieces that may lie above the highest of so many independent
    ones."""
    return float(-np.expm1(math.log1p(-confidence) / pieces)) if pieces else 1.0


def pieces_to_trip(element: Element, usual: float, ceiling: float, piece_s: float) -> float:
    """Fewest pieces at the ceiling, on end, after which an element trips that has carried the
    usual load for good (shares of the rating); infinite where it never does. Heat at the edges,
    that the usual pieces beside them may have near theirs, is counted with them."""
    if ceiling <= element.pickup:
        return math.inf
    hold_s = element.hold_s(usual, ceiling)
    beside = 2.0 * (usual / ceiling) ** 2
    return max(1.0, math.ceil(hold_s / piece_s - beside - 1e-9))


def trips_per_piece(
    element: Element, usual: float, ceiling: float, piece_s: float, share: float
) -> float:
    """Bound on trips a piece where a share of all pieces is at the ceiling and the rest at most
    at the usual load; 1 where there is none."""
    if ceiling <= element.pickup:
        return 0.0
    if usual >= element.pickup:
        return 1.0
    least = pieces_to_trip(element, usual, ceiling, piece_s)
    if math.isinf(least):
        return 0.0
    if least > MOST_PIECES:
        return 1.0
    if element.curve is None:
        count = np.array([math.ceil(element.window_s / piece_s) + 1])
        needed = np.full(1, least)
    else:
        pickup = element.pickup**2
        dense = (pickup - usual**2) / (ceiling**2 - usual**2)
        if dense <= share:
            return 1.0
        count = np.arange(int(least), MOST_PIECES)
        needed = np.maximum(least, np.ceil(dense * count - 1.0))
    chances = scipy.stats.binom.sf(needed - 1, count, share)
    if len(chances) > 1 and chances[-1] > TINY:
        return 1.0
    return float(min(1.0, chances.sum()))


def correlation(values: FloatArray) -> tuple[float, int]:
    """Of neighbours in a run, about the mean of all, and of how many pairs; values (runs,
    pieces). Runs that differ in level count as correlated."""
    centred = values - values.mean()
    pairs = centred[:, 1:].size
    variance = float((centred * centred).mean())
    if not pairs or variance <= 0.0:
        return 0.0, pairs
    return float((centred[:, 1:] * centred[:, :-1]).mean()) / variance, pairs


def joined(values: FloatArray, count: int, *, highest: bool) -> FloatArray:
    """Each so many neighbours as one, by their highest or their root mean square, (runs, pieces);
    what is left over at the start of a run is dropped from means, and kept in highest ones."""
    runs, pieces = values.shape
    whole = pieces // count
    if highest:
        starts = np.linspace(0, pieces, max(1, whole) + 1).round().astype(int)[:-1]
        return np.asarray(np.maximum.reduceat(values, starts, axis=1))
    kept = values[:, pieces - whole * count :].reshape(runs, whole, count)
    return np.asarray(np.sqrt((kept * kept).mean(axis=2)))


def independent(values: FloatArray, *, highest: bool) -> tuple[FloatArray, int]:
    """The shortest pieces whose neighbours do not hang together: their correlation is no more than
    chance gives once in twenty. Doubled until they do not; at last whole runs, which are
    independent by their seeds. Returns them and how many were joined to one."""
    count = 1
    while count < values.shape[1]:
        blocks = joined(values, count, highest=highest)
        related, pairs = correlation(blocks)
        if pairs and abs(related) <= DEVIATIONS / math.sqrt(pairs):
            return blocks, count
        count *= 2
    return joined(values, values.shape[1], highest=highest), values.shape[1]
