"""Sizing: what each level draws, by averaging time, as an interconnection request asks for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dcsim.arrays import AnyArray, Float32Array, FloatArray
from dcsim.results import Results
from dcsim.results.intervals import peak_interval, percentile_interval
from dcsim.results.summary import MOST_ALIKE

RESOLUTIONS_S = (1.0, 60.0, 900.0)
"""The published sizing table's averaging times (docs/reference/method.md, Sizing tables), the power
step aside."""
NODES_AT_ONCE = 32
"""Series held in memory together: a day at 0.25 s is 1.4 MB each, twice that to average."""
SUMS_AT_ONCE = 1 << 24
"""Watts of sums over servers held in memory together, 128 MB."""

COLUMNS = [
    "node",
    "resolution_s",
    "kind",
    "intervals",
    "peak_w",
    "peak_low_w",
    "peak_high_w",
    "mean_w",
    "peak_to_average",
    "load_factor",
    "ramp_up_w",
    "ramp_down_w",
    "p95_w",
    "p99_w",
    "p99_low_w",
    "p99_high_w",
    "coincidence",
    "server_coincidence",
    "nameplate_w",
    "nameplate_load_w",
    "nameplate_to_peak",
]


def sizing(results: Results, resolutions_s: Sequence[float] | None = None) -> pd.DataFrame:
    """Load figures of every node above the servers: index (node, resolution_s), in tree order.

    Columns, in W unless said otherwise:

    - `kind`; `intervals`: how many whole intervals the figures are of.
    - `peak_w`, `mean_w`, `peak_to_average`, `load_factor` (its inverse) of the node's load, with
      the cooling and the losses that it carries.
    - `ramp_up_w`, `ramp_down_w`: largest change from one interval to the next, down negative.
    - `p95_w`, `p99_w` of the load-duration curve.
    - `peak_low_w`, `peak_high_w`: where the peak of another run is expected, and `p99_low_w`,
      `p99_high_w`, how sure the p99 is, both 95 % (`dcsim.results.intervals`); NaN where the run
      cannot tell, and where more than eight nodes are of one kind.
    - `coincidence`: highest sum of the children's loads over the sum of their highest loads, 1
      when all peak together, never above; children as they draw, the node's own cooling and losses
      on neither side. `server_coincidence`: the same over all servers below (IT only). A node fed
      twice counts whole below each feed. The diversity factor is the inverse. NaN where servers
      are not recorded at that resolution.
    - `nameplate_w`: labels of the servers below, without cooling and losses; `nameplate_load_w`:
      what the node would carry if they drew their labels, through the same cooling and losses as
      its load; `nameplate_to_peak`: that over the peak, which is what provisioning by nameplate
      overstates. NaN where the file does not know them.

    All are of means over whole intervals from the end of the warm-up on; what is left over at the
    end is dropped. Resolutions (None: the power step, 1 s, 1 min and 15 min) that are no multiple
    of the power step, or longer than what the run has after its warm-up, are left out.

    Both sides of each ratio hold the same watts: the published tables mix them
    (docs/reference/method.md, Sizing tables).
    """
    if resolutions_s is None:
        resolutions_s = sorted({results.step_s, *RESOLUTIONS_S})
    nodes = results.nodes()
    upper = nodes[nodes["kind"] != "server"]
    kinds = {str(name): str(kind) for name, kind in nodes["kind"].items()}
    figures_of = _LoadFigures(results, kinds, resolutions_s)
    below, servers = _below(results.feeds(), kinds)
    for kind, of_kind in nodes.groupby("kind", sort=False):
        figures_of.add(str(kind), of_kind.index.tolist())
    sums = {"coincidence": below, "server_coincidence": servers}
    together = {column: figures_of.together(members) for column, members in sums.items()}
    rows = []
    for name in upper.index:
        for resolution_s in resolutions_s:
            figures = figures_of.figures.get((name, resolution_s))
            if figures is None:
                continue
            rows.append(
                {
                    "node": name,
                    "resolution_s": resolution_s,
                    "kind": upper.loc[name, "kind"],
                    **figures,
                    **{
                        column: _ratio(
                            together[column].get((name, resolution_s), np.nan),
                            sum(
                                figures_of.peaks_w.get((o, resolution_s), np.nan)
                                for o in members[name]
                            ),
                        )
                        for column, members in sums.items()
                    },
                    "nameplate_w": upper.loc[name, "nameplate_w"],
                    "nameplate_load_w": upper.loc[name, "nameplate_load_w"],
                    "nameplate_to_peak": _ratio(
                        upper.loc[name, "nameplate_load_w"], figures["peak_w"]
                    ),
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS).set_index(["node", "resolution_s"])


class _LoadFigures:
    """Figures and peaks by node and resolution, read from the file a few nodes at a time."""

    def __init__(
        self, results: Results, kinds: Mapping[str, str], resolutions_s: Sequence[float]
    ) -> None:
        self._results = results
        self._kinds = kinds
        self._resolutions_s = resolutions_s
        self.figures: dict[tuple[str, float], dict[str, float]] = {}
        self.peaks_w: dict[tuple[str, float], float] = {}

    def add(self, kind: str, names: Sequence[str]) -> None:
        """Add peaks of nodes of one kind, and of all but servers the figures too."""
        for batch, series_w in self._series(kind, names):
            for resolution_s, means_w in self._means(series_w, kind == "server"):
                for column, name in enumerate(batch):
                    self.peaks_w[name, resolution_s] = float(means_w[:, column].max())
                    if kind != "server":
                        load_w = means_w[:, column]
                        sure = _sure(load_w if len(names) <= MOST_ALIKE else [])
                        self.figures[name, resolution_s] = _figures(load_w) | sure

    def together(self, parts: Mapping[str, Sequence[str]]) -> dict[tuple[str, float], float]:
        """Return the highest sum of each node's parts' loads, by node and resolution."""
        steps = int(self._results.duration_s / self._results.step_s) + 1
        many = max(1, SUMS_AT_ONCE // steps)
        parents = [name for name, members in parts.items() if members]
        highest: dict[tuple[str, float], float] = {}
        for low in range(0, len(parents), many):
            sums = self._sums({name: parts[name] for name in parents[low : low + many]})
            for name, by_step in sums.items():
                # Parts of both kinds, recorded at two steps, share the servers' resolutions only.
                for resolution_s in self._resolutions_s:
                    tried = [
                        means_w
                        for slow, series_w in by_step.items()
                        for at_s, means_w in self._means(series_w[:, np.newaxis], slow)
                        if at_s == resolution_s
                    ]
                    if len(tried) == len(by_step):
                        highest[name, resolution_s] = float(np.sum(tried, axis=0).max())
        return highest

    def _sums(self, parts: Mapping[str, Sequence[str]]) -> dict[str, dict[bool, FloatArray]]:
        """Sums of the parts' series by node, those of servers (True) apart: they are recorded at
        a step of their own."""
        holders: dict[str, list[str]] = {}
        for name, members in parts.items():
            for part in members:
                holders.setdefault(part, []).append(name)
        by_kind: dict[str, list[str]] = {}
        for part in holders:
            by_kind.setdefault(self._kinds[part], []).append(part)
        sums: dict[str, dict[bool, FloatArray]] = {name: {} for name in parts}
        for kind, names in by_kind.items():
            for members, series_w in self._series(kind, names):
                for column, part in enumerate(members):
                    for name in holders[part]:
                        mine = sums[name]
                        slow = kind == "server"
                        if slow not in mine:
                            mine[slow] = np.zeros(len(series_w))
                        mine[slow] += series_w[:, column]
        return sums

    def _series(
        self, kind: str, names: Sequence[str]
    ) -> Iterator[tuple[Sequence[str], Float32Array]]:
        for low in range(0, len(names), NODES_AT_ONCE):
            batch = names[low : low + NODES_AT_ONCE]
            yield batch, self._results.load_w(kind, nodes=batch).to_numpy()

    def _means(self, series_w: AnyArray, server: bool) -> Iterator[tuple[float, FloatArray]]:
        """Yield means by resolution, of those that the series allows."""
        step_s = self._results.server_step_s if server else self._results.step_s
        for resolution_s in self._resolutions_s:
            means_w = whole_means(
                series_w, resolution_s, step_s, self._results.duration_s, self._results.warm_up_s
            )
            if means_w is not None:
                yield resolution_s, means_w


def whole_means(
    series_w: AnyArray,
    resolution_s: float,
    step_s: float,
    duration_s: float,
    from_s: float = 0.0,
) -> FloatArray | None:
    """Means over the whole intervals of a resolution, from the first recorded step that begins at
    `from_s` or later, shape (intervals, nodes); None where it is no multiple of the recorded step
    or longer than what is left of the run."""
    width = round(resolution_s / step_s)
    if width < 1 or abs(width * step_s - resolution_s) > 1e-9 * resolution_s:
        return None
    # Not from the number of rows: the last one may stand for less than its step.
    first = math.ceil(from_s / step_s - 1e-9)
    whole = int((duration_s - first * step_s) / resolution_s + 1e-9)
    if whole < 1:
        return None
    end = first + whole * width
    shaped = series_w[first:end].reshape(whole, width, series_w.shape[1])
    means_w: FloatArray = shaped.mean(axis=1, dtype=np.float64)
    return means_w


def _below(
    feeds: Mapping[str, Sequence[str]], kinds: Mapping[str, str]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """By node: what it feeds, and all servers below it, by any feed."""
    children: dict[str, list[str]] = {name: [] for name in feeds}
    for name, ups in feeds.items():
        for up in ups:
            children[up].append(name)
    servers: dict[str, list[str]] = {}

    def under(name: str) -> list[str]:
        if name not in servers:
            itself = [name] if kinds[name] == "server" else []
            every = [server for child in children[name] for server in under(child)]
            servers[name] = itself + list(dict.fromkeys(every))
        return servers[name]

    for name in feeds:
        under(name)
    return children, {n: members for n, members in servers.items() if kinds[n] != "server"}


def _figures(load_w: FloatArray) -> dict[str, float]:
    """Return the figures of one node at one resolution."""
    peak_w, mean_w = float(load_w.max()), float(load_w.mean())
    ramps_w = np.diff(load_w)
    p95_w, p99_w = np.percentile(load_w, (95, 99))
    return {
        "intervals": len(load_w),
        "peak_w": peak_w,
        "mean_w": mean_w,
        "peak_to_average": _ratio(peak_w, mean_w),
        "load_factor": _ratio(mean_w, peak_w),
        "ramp_up_w": float(ramps_w.max()) if len(ramps_w) else np.nan,
        "ramp_down_w": float(ramps_w.min()) if len(ramps_w) else np.nan,
        "p95_w": float(p95_w),
        "p99_w": float(p99_w),
    }


def _sure(load_w: npt.ArrayLike) -> dict[str, float]:
    """Return how sure a node's figures are; NaN for none."""
    peak, p99 = peak_interval(load_w), percentile_interval(load_w, 99.0)
    return {
        "peak_low_w": peak.low,
        "peak_high_w": peak.high,
        "p99_low_w": p99.low,
        "p99_high_w": p99.high,
    }


def _ratio(part: float, whole: float) -> float:
    """Divide; NaN over nothing."""
    return part / whole if whole else np.nan
