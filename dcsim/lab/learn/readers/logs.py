"""What readers give: watts of GPUs over time, and an engine's counters over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from dcsim.arrays import FloatArray, IndexArray
from dcsim.errors import LogError
from dcsim.lab.ledger_series import TimedRequest
from dcsim.stamps import Clock

Field = Literal["default", "instant", "average"]
"""Which of the driver's power readings: `power.draw` (its averaging differs between GPUs), or the
readings that say so by name."""
DAY_S = 86400.0
Timed = TypeVar("Timed", bound=tuple[Any, ...])


@dataclass(frozen=True)
class PowerLog:
    """Watts as a meter showed them."""

    at_s: FloatArray
    """(n,), rising, on `clock`."""
    gpus: tuple[str, ...]
    """The names that the log gives them: an index, a UUID or a bus id."""
    watts: FloatArray
    """(n, GPUs); NaN where the meter gave none."""
    clock: Clock
    layout: str
    field: Field = "default"
    remarks: tuple[str, ...] = ()
    """What had to be decided while reading."""

    def select(self, chosen: Sequence[str]) -> PowerLog:
        """The log of some of its GPUs. Raises LogError for a name that it lacks."""
        absent = [name for name in chosen if name not in self.gpus]
        if absent:
            raise LogError(f"no GPU {', '.join(absent)}; the log has {', '.join(self.gpus)}")
        at = [self.gpus.index(name) for name in chosen]
        return replace(self, gpus=tuple(chosen), watts=self.watts[:, at])


@dataclass(frozen=True)
class FirstTokens:
    """Requests that got a first token, in the order of those; unix seconds, shape (n,)."""

    sent_s: FloatArray
    first_s: FloatArray
    tokens: FloatArray
    """Of the prompts."""


@dataclass(frozen=True)
class ClientRequests:
    """What clients asked of an engine and were answered."""

    requests: list[TimedRequest]
    """Unix seconds, prompt and output tokens, in order of time."""
    first_tokens: FirstTokens
    """Of those requests that the client timed."""
    failed: int
    """Requests without an answer, left out."""


@dataclass(frozen=True)
class EngineLog:
    """Counters of a serving engine, as its metrics endpoint showed them."""

    at_s: FloatArray
    """(n,), rising, on `clock`."""
    columns: dict[str, FloatArray]
    """`running`, `waiting`, `kv` (share of the cache), `prompt_total`, `generation_total`, and
    where logged `iterations` and `cached_total`, the tokens of `prompt_total` that came from the
    prefix cache; counters go on rising where the engine was started anew."""
    clock: Clock
    layout: str
    kv_blocks: int | None = None
    """Size of the KV cache, where the log tells it."""
    restarts: tuple[float, ...] = ()
    """When an engine was started anew, on `clock`."""
    remarks: tuple[str, ...] = ()
    """What had to be decided while reading."""


SORT_WITHIN_S = 10.0
"""Rows that come so much late are put in their place: two loops that write to one file, or a tool
that waits for a GPU. More is a clock that was set."""


def in_time_order(rows: Sequence[Timed], remarks: list[str]) -> list[Timed]:
    """Rows whose first value is their time in s, sorted by it where none comes more than
    SORT_WITHIN_S after a later one; otherwise as they are, for `rising` to judge. Says in `remarks`
    what was moved."""
    at_s = np.array([row[0] for row in rows])
    late_s = np.maximum.accumulate(at_s) - at_s if len(rows) else at_s
    moved = int((late_s > 0.0).sum())
    if not moved or not late_s.max() <= SORT_WITHIN_S:
        return list(rows)
    remarks.append(
        f"{moved:,} row{'s' * (moved != 1)} out of order, by up to {late_s.max():.3g} s: sorted"
    )
    return [rows[at] for at in np.argsort(at_s, kind="stable").tolist()]


def samples(
    rows: Iterable[tuple[float, str, float]], path: Path, clock: Clock
) -> tuple[FloatArray, tuple[str, ...], FloatArray]:
    """Times, GPUs and watts, shape (n, GPUs), of rows (time, GPU, watts) in the log's order.

    A sample begins where a GPU comes again; its time is that of its first row. Raises LogError
    where there are none, where time goes back, or where one name is that of several GPUs.
    """
    rows = list(rows)
    _one_gpu_a_name(rows, path)
    order: dict[str, int] = {}
    at_s: list[float] = []
    loops: list[dict[int, float]] = []
    for at, name, watts in rows:
        column = order.setdefault(name, len(order))
        if not loops or column in loops[-1]:
            loops.append({})
            at_s.append(at)
        loops[-1][column] = watts
    if len(loops) < 2:
        raise LogError(f"{path}: fewer than two samples of power")
    table = np.full((len(loops), len(order)), np.nan)
    for row, values in enumerate(loops):
        table[row, list(values)] = list(values.values())
    times = rising(np.array(at_s), path, clock)
    names = sorted(order, key=lambda name: (len(name), name) if name.isdigit() else (99, name))
    return times, tuple(names), table[:, [order[name] for name in names]]


BURST_SHARE = 0.25
"""Rows that come within so much of the usual interval belong to one loop of the tool, and so to
several GPUs."""
PAIRED_SHARE = 0.2
"""Share of so short gaps from which rows come in pairs, and not one after a stall."""
BURST_ROWS = 0.8
"""Share of the loops that must be so."""


def loops_of(at_s: FloatArray) -> IndexArray:
    """The first row of each loop of a tool, that is of rows that lie far closer together than
    loops do."""
    gaps_s = np.diff(at_s)
    if not len(gaps_s) or gaps_s.max() <= 0:
        return np.arange(min(1, len(at_s)))
    middle_s = float(np.median(gaps_s))
    if np.mean(gaps_s < BURST_SHARE * middle_s) > PAIRED_SHARE:
        return np.concatenate([[0], np.flatnonzero(gaps_s > BURST_SHARE * middle_s) + 1])
    # Of three GPUs and more most gaps are short; the long ones come evenly, those of stalls do not.
    long = np.flatnonzero(gaps_s * BURST_SHARE > middle_s)
    apart = np.diff(long)
    if len(apart) and np.mean(apart == np.median(apart)) >= BURST_ROWS and np.median(apart) > 1:
        return np.concatenate([[0], long + 1])
    return np.arange(len(at_s))


def _one_gpu_a_name(rows: list[tuple[float, str, float]], path: Path) -> None:
    """Refuse a name whose rows come in pairs of different watts."""
    by_name: dict[str, list[tuple[float, float]]] = {}
    for at, name, watts in rows:
        by_name.setdefault(name, []).append((at, watts))
    for name, points in by_name.items():
        at_s, watts_w = np.array(points).T
        if (
            len(points) < 8
            or np.isnan(at_s).any()
            or np.ptp(at_s) == 0
            or (np.diff(at_s) < 0).any()
        ):
            continue
        firsts = loops_of(at_s)
        sizes = np.diff([*firsts, len(at_s)])
        many = int(np.median(sizes))
        if many < 2 or np.mean(sizes == many) < BURST_ROWS:
            continue
        loops = watts_w[(firsts[sizes == many][:, None] + np.arange(many)).ravel()]
        if np.ptp(loops.reshape(-1, many), axis=1).any():
            raise LogError(
                f"{path}: {many} rows of GPU {name} in each loop, with different watts: these are "
                "several GPUs that cannot be told apart; query index and uuid"
            )


def rising(at_s: FloatArray, path: Path, clock: Clock = "unix") -> FloatArray:
    """The times, which must not fall; times of day may pass midnight. Raises LogError."""
    if clock == "day":
        at_s = at_s + DAY_S * np.cumsum(np.diff(at_s, prepend=at_s[0]) < -0.5 * DAY_S)
    back = np.flatnonzero(np.diff(at_s) < 0)
    if len(back):
        raise LogError(f"{path}: goes back in time after {back[0] + 1} samples")
    return at_s
