"""Series of metrics: told apart by every label, joined where they are of one thing.

A counter's resets are mended series by series, before anything is added up: in a sum, one engine
of two that begins anew looks like a fall of the whole, or, with some arithmetic, like a rise by all
that the other ever did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import FloatArray, IndexArray

UUIDS = ("UUID", "uuid", "gpu_uuid")
HOSTS = ("Hostname", "hostname", "host", "node", "nodename", "instance")
INDICES = ("gpu", "GPU", "index", "minor_number", "gpu_id", "device")
"""Labels that name a GPU: for good, its server, and its place in that; the best first."""


@dataclass(frozen=True)
class Track:
    """One series over time."""

    labels: Mapping[str, str]
    """All but the metric's name."""
    at_s: FloatArray
    values: FloatArray

    def named(self, labels: Iterable[str]) -> str:
        """The value of the first of these labels that it has; nothing where it has none."""
        return next((self.labels[name] for name in labels if self.labels.get(name)), "")

    @property
    def whole_name(self) -> str:
        return ",".join(f"{name}={value}" for name, value in sorted(self.labels.items()))


# --- counters --------------------------------------------------------------------------------


def going_on(counter: FloatArray) -> tuple[FloatArray, IndexArray]:
    """A counter that goes on where its process was started anew and counted from 0, and the
    samples where it was.

    What was done between the last look and the end of the old process is in no counter: it is
    taken to be as much as in a usual step just before (the median of three), if that is more than
    the new counter shows.
    """
    steps = np.diff(counter)
    restarts = np.flatnonzero(steps < 0) + 1
    mended = steps.copy()
    for at in restarts.tolist():
        before = mended[max(0, at - 4) : at - 1]
        usual = float(np.median(before)) if len(before) else 0.0
        mended[at - 1] = max(float(counter[at]), usual)
    total: FloatArray = counter[0] + np.concatenate([[0.0], np.cumsum(mended)])
    return total, restarts


def counted(
    tracks: Sequence[Track], at_s: FloatArray
) -> tuple[FloatArray, list[tuple[float, str]]]:
    """The sum of counters at `at_s`, each mended and held where it is silent; and when which of
    them began anew. A series that begins after another has ended is the new process of an engine
    that got a new name (a pod): it counts from 0 and began anew then."""
    total = np.zeros(len(at_s))
    restarts: list[tuple[float, str]] = []
    for track in tracks:
        mended, again = going_on(track.values)
        restarts += [(float(track.at_s[at]), track.whole_name) for at in again.tolist()]
        follows = any(other.at_s[-1] < track.at_s[0] for other in tracks)
        if follows:
            restarts.append((float(track.at_s[0]), track.whole_name))
        total += np.interp(at_s, track.at_s, mended, left=0.0 if follows else None)
    return total, restarts


def gauged(tracks: Sequence[Track], at_s: FloatArray, mean: bool = False) -> FloatArray:
    """The sum, or the mean, of gauges at `at_s`. One that has not begun, or has ended, adds
    nothing; where none is left it is 0."""
    values = [np.interp(at_s, track.at_s, track.values, left=0.0, right=0.0) for track in tracks]
    total: FloatArray = np.sum(values, axis=0)
    if not mean:
        return total
    live = np.sum([(t.at_s[0] <= at_s) & (at_s <= t.at_s[-1]) for t in tracks], axis=0)
    average: FloatArray = total / np.maximum(live, 1)
    return average


# --- GPUs ------------------------------------------------------------------------------------


def gpu_table(tracks: Sequence[Track]) -> tuple[FloatArray, list[str], FloatArray]:
    """Times, names of GPUs and values, shape (n, GPUs); NaN where a GPU has none.

    One GPU is what has one UUID, or one server and index: other labels (the pod that uses it, a
    slice of it) may change over its time. Series of one such name that differ at one time are two
    GPUs nevertheless.
    """
    by_key: dict[tuple[str, ...], list[Track]] = {}
    known = all(track.named(UUIDS) for track in tracks)
    for track in tracks:
        place = (track.named(HOSTS), track.named(INDICES))
        by_key.setdefault((track.named(UUIDS),) if known else place, []).append(track)
    gpus: list[tuple[Track, bool]] = []
    for same in by_key.values():
        joined = _joined(same)
        gpus += [(track, True) for track in same] if joined is None else [(joined, False)]
    named = {_name(gpus, at): track for at, (track, _) in enumerate(gpus)}
    names = sorted(named, key=lambda name: (len(name), name) if name.isdigit() else (99, name))
    at_s = np.unique(np.concatenate([track.at_s for track in named.values()]))
    table = np.full((len(at_s), len(names)), np.nan)
    for column, name in enumerate(names):
        table[np.searchsorted(at_s, named[name].at_s), column] = named[name].values
    return at_s, names, table


def _joined(tracks: Sequence[Track]) -> Track | None:
    """Series one after another, or saying the same, as one; None where they differ at one time."""
    at_s = np.concatenate([track.at_s for track in tracks])
    values = np.concatenate([track.values for track in tracks])
    order = np.argsort(at_s, kind="stable")
    at_s, values = at_s[order], values[order]
    again = np.flatnonzero(np.diff(at_s) == 0)
    same = np.isclose(values[again], values[again + 1], equal_nan=True)
    silent = np.isnan(values[again]) | np.isnan(values[again + 1])
    if not (same | silent).all():
        return None
    # Of two values at one time, the one that is there.
    order = np.lexsort((np.isnan(values), at_s))
    at_s, first = np.unique(at_s[order], return_index=True)
    return Track(tracks[0].labels, at_s, values[order][first])


def _name(gpus: Sequence[tuple[Track, bool]], at: int) -> str:
    """The shortest name that no other GPU has."""
    track, by_labels = gpus[at]
    others = [other for n, (other, _) in enumerate(gpus) if n != at]
    index, host = track.named(INDICES), track.named(HOSTS)
    short = index or "0"
    if by_labels:
        return f"{short} ({track.whole_name})"
    if all(other.named(INDICES) != index for other in others):
        return short
    if all((other.named(HOSTS), other.named(INDICES)) != (host, index) for other in others):
        return f"{host}/{short}"
    return track.named(UUIDS) or f"{short} ({track.whole_name})"
