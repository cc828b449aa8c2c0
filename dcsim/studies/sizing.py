"""Sizing: what each level draws, by averaging time, as an interconnection request asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dcsim.results import Results

RESOLUTIONS_S = (1.0, 60.0, 900.0)
"""The published sizing table's averaging times (reference-method.md 3), the power step aside."""
NODES_AT_ONCE = 32
"""Series held in memory together: a day at 0.25 s is 1.4 MB each, twice that to average."""

COLUMNS = [
    "node",
    "resolution_s",
    "kind",
    "intervals",
    "peak_w",
    "mean_w",
    "peak_to_average",
    "load_factor",
    "ramp_up_w",
    "ramp_down_w",
    "p95_w",
    "p99_w",
    "coincidence",
    "server_coincidence",
    "nameplate_w",
    "nameplate_to_peak",
]

Float64 = npt.NDArray[np.float64]


def sizing(results: Results, resolutions_s: Sequence[float] | None = None) -> pd.DataFrame:
    """Load figures of every node above the servers: index (node, resolution_s), in tree order.

    Columns, in W unless said otherwise:

    - `kind`; `intervals`: how many whole intervals the figures are of.
    - `peak_w`, `mean_w`, `peak_to_average`, `load_factor` (its inverse).
    - `ramp_up_w`, `ramp_down_w`: largest change from one interval to the next, down negative.
    - `p95_w`, `p99_w` of the load-duration curve.
    - `coincidence`: the node's peak over the sum of its children's peaks, 1 when all peak
      together; `server_coincidence`: the same over all servers below it. The diversity factor is
      the inverse. NaN where servers are not recorded at that resolution.
    - `nameplate_w` of the servers below, and `nameplate_to_peak`, which is what provisioning by
      nameplate overstates; NaN where the file does not know the nameplate.

    All are of means over whole intervals; what is left over at the end is dropped. Resolutions
    (None: the power step, 1 s, 1 min and 15 min) that are no multiple of the power step, or
    longer than the run, are left out.

    Every level holds the same watts, servers' constant power included and site overheads not,
    and one nameplate stands behind them: the published tables mix the three
    (reference-method.md 3.2 and 3.3).
    """
    if resolutions_s is None:
        resolutions_s = sorted({results.step_s, *RESOLUTIONS_S})
    nodes = results.nodes()
    upper = nodes[nodes["kind"] != "server"]
    figures: dict[tuple[str, float], dict[str, float]] = {}
    peaks_w: dict[tuple[str, float], float] = {}
    for kind, of_kind in nodes.groupby("kind", sort=False):
        step_s = results.server_step_s if kind == "server" else results.step_s
        names = of_kind.index.tolist()
        for low in range(0, len(names), NODES_AT_ONCE):
            some = names[low : low + NODES_AT_ONCE]
            series_w = results.load(str(kind), nodes=some).to_numpy()
            for resolution_s in resolutions_s:
                means_w = _whole_means(series_w, resolution_s, step_s, results.duration_s)
                if means_w is None:
                    continue
                for column, name in enumerate(some):
                    peaks_w[name, resolution_s] = float(means_w[:, column].max())
                    if kind != "server":
                        figures[name, resolution_s] = _figures(means_w[:, column])
    below, servers = _below(nodes)
    rows = []
    for name in upper.index:
        for resolution_s in resolutions_s:
            found = figures.get((name, resolution_s))
            if found is None:
                continue
            peak_w, nameplate_w = found["peak_w"], upper.loc[name, "nameplate_w"]
            parts = {
                column: sum(peaks_w.get((other, resolution_s), np.nan) for other in others[name])
                for column, others in (("coincidence", below), ("server_coincidence", servers))
            }
            rows.append(
                {
                    "node": name,
                    "resolution_s": resolution_s,
                    "kind": upper.loc[name, "kind"],
                    **found,
                    **{column: _ratio(peak_w, parts_w) for column, parts_w in parts.items()},
                    "nameplate_w": nameplate_w,
                    "nameplate_to_peak": _ratio(nameplate_w, peak_w),
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS).set_index(["node", "resolution_s"])


def _whole_means(
    series_w: npt.NDArray[np.float32], resolution_s: float, step_s: float, duration_s: float
) -> Float64 | None:
    """Means over the whole intervals of a resolution, shape (intervals, nodes); None where it is
    no multiple of the recorded step or longer than the run."""
    width = round(resolution_s / step_s)
    if width < 1 or abs(width * step_s - resolution_s) > 1e-9 * resolution_s:
        return None
    # Not from the number of rows: the last one may stand for less than its step.
    whole = int(duration_s / resolution_s + 1e-9)
    if whole < 1:
        return None
    shaped = series_w[: whole * width].reshape(whole, width, series_w.shape[1])
    means_w: Float64 = shaped.mean(axis=1, dtype=np.float64)
    return means_w


def _below(nodes: pd.DataFrame) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """By node: its children, and all servers under it."""
    children: dict[str, list[str]] = {name: [] for name in nodes.index}
    servers: dict[str, list[str]] = {name: [] for name in nodes.index}
    parents = nodes["parent"].to_dict()
    for name, kind in nodes["kind"].items():
        above = parents[name]  # NaN for the site
        if isinstance(above, str):
            children[above].append(str(name))
        while kind == "server" and isinstance(above, str):
            servers[above].append(str(name))
            above = parents[above]
    return children, servers


def _figures(load_w: Float64) -> dict[str, float]:
    """One node at one resolution."""
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


def _ratio(part: float, whole: float) -> float:
    """NaN over nothing."""
    return part / whole if whole else np.nan
