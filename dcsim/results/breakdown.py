"""Requests, tokens and latencies by stream, by tenant and by server group.

Latencies are kept as histograms whose bins are 1 % wide, so that memory does not grow with the
requests: percentiles are within half a percent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray, IntArray, RecordArray
from dcsim.plant import Plant
from dcsim.records import Status

LEAST_S, MOST_S, WIDTH = 1e-4, 1e6, 0.01
BINS = round(math.log(MOST_S / LEAST_S) / WIDTH)
PERCENTS = (50, 95, 99)


class Breakdown:
    """Counts of one kind of thing, such as streams: request records come in blocks."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        size = len(self.names)
        self._counts = np.zeros((2, size), dtype=np.int64)
        self._tokens = np.zeros((3, size))
        self._seconds = np.zeros((2, size, BINS), dtype=np.int64)

    def add(self, records: RecordArray, owner: IntArray) -> None:
        """Take requests in; `owner` numbers the name that each counts for,
        negative for none."""
        if len(records) and owner.min() < 0:
            records, owner = records[owner >= 0], owner[owner >= 0]
        size = len(self.names)
        done = records["status"] == Status.COMPLETED
        self._counts[0] += np.bincount(owner, minlength=size)
        self._counts[1] += np.bincount(owner[done], minlength=size)
        for row, name in enumerate(("prompt_tokens", "cached_tokens", "generated_tokens")):
            self._tokens[row] += np.bincount(owner, records[name], size)
        ended, done_owner = records[done], owner[done]
        self._book(0, done_owner, ended["ttft_s"])
        gaps = ended["generated_tokens"] - 1
        several = gaps > 0
        after_s = (ended["end_s"] - ended["arrival_s"] - ended["ttft_s"])[several]
        self._book(1, done_owner[several], after_s / gaps[several])

    def _book(self, which: int, owner: IntArray, seconds: FloatArray) -> None:
        count = np.bincount(
            owner * BINS + latency_bins(seconds), minlength=self._seconds[which].size
        )
        self._seconds[which] += count.reshape(-1, BINS)

    def rows(self) -> list[dict[str, Any]]:
        """One a name. What is unknown, such as the latency of none, is None."""
        latency = {
            which: {p: latency_percentile(self._seconds[row], p) for p in PERCENTS}
            for row, which in enumerate(("ttft_s", "tpot_s"))
        }
        return [
            {
                "name": name,
                "arrived": int(self._counts[0, i]),
                "completed": int(self._counts[1, i]),
                "prompt_tokens": int(self._tokens[0, i]),
                "cached_tokens": int(self._tokens[1, i]),
                "generated_tokens": int(self._tokens[2, i]),
                "latency": {
                    which: {f"p{percent}": values[i] for percent, values in by_percent.items()}
                    for which, by_percent in latency.items()
                },
            }
            for i, name in enumerate(self.names)
        ]


class Breakdowns:
    """`summary["breakdown"]`: of the requests that arrive from `count_from_s` on."""

    def __init__(self, plant: Plant, count_from_s: float = 0.0) -> None:
        scenario = plant.scenario
        self._from_s = count_from_s
        self._group_of_replica = plant.replicas.group
        self._streams = Breakdown([stream.name for stream in scenario.workload])
        self._tenants = Breakdown([tenant.name for tenant in scenario.tenants])
        self._groups = Breakdown([group.name for group in plant.groups])

    def requests(self, records: RecordArray) -> None:
        """Take requests in that have left, or are still here at the end."""
        rows = records[records["arrival_s"] >= self._from_s]
        replica = rows["replica"]
        self._streams.add(rows, rows["stream"].astype(np.int64))
        if self._tenants.names:
            self._tenants.add(rows, rows["tenant"].astype(np.int64))
        self._groups.add(rows, np.where(replica >= 0, self._group_of_replica[replica], -1))

    def describe(self, energy_wh: Mapping[str, float | None]) -> dict[str, list[dict[str, Any]]]:
        """Rows by stream, tenant and server group; `energy_wh` is what each group's servers drew.
        A request counts for the group that ended it."""
        groups = []
        for row in self._groups.rows():
            wh, tokens = energy_wh.get(row["name"]), row["generated_tokens"]
            per_1000 = 1000.0 * wh / tokens if wh is not None and tokens else None
            groups.append({**row, "energy_wh": wh, "wh_per_1000_tokens": per_1000})
        return {
            "streams": self._streams.rows(),
            "tenants": self._tenants.rows(),
            "groups": groups,
        }


def latency_bins(seconds: FloatArray) -> IntArray:
    """The bin of each latency, of `BINS`."""
    place = np.log(np.clip(seconds, LEAST_S, MOST_S) / LEAST_S) / WIDTH
    return np.minimum(place.astype(np.int64), BINS - 1)


def latency_percentile(counts: IntArray, percent: float) -> list[float | None]:
    """A percentile in s of each row of counts by bin, shape (rows, BINS): the middle of the bin in
    which it lies; None where a row counts nothing."""
    below = counts.cumsum(axis=1)
    total = below[:, -1]
    places = (below < percent / 100 * total[:, np.newaxis]).sum(axis=1)
    return [
        LEAST_S * math.exp((place + 0.5) * WIDTH) if count else None
        for place, count in zip(places.tolist(), total.tolist(), strict=True)
    ]
