"""Sizing: what each level draws, by averaging time, as an interconnection request asks for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from dcsim.results import Results

RESOLUTIONS_S = (0.25, 1.0, 60.0, 900.0)
"""The published sizing table's averaging times (reference-method.md 3)."""

Float64 = npt.NDArray[np.float64]


def sizing(results: Results, resolutions_s: Sequence[float] = RESOLUTIONS_S) -> pd.DataFrame:
    """Load figures of every node above the servers: index (node, resolution_s), in tree order.

    Columns: `kind`, `peak_w`, `mean_w`, `peak_to_average`, `load_factor` (its inverse),
    `ramp_up_w` and `ramp_down_w` (largest change from one interval to the next, down negative),
    `p95_w` and `p99_w` (of the load-duration curve), `coincidence` (the node's peak over the sum
    of its children's peaks at the same resolution: 1 when all peak together; NaN where the
    children are servers, which are recorded at another step).

    Means are over whole intervals; what is left over at the end is dropped. Resolutions that
    are no multiple of the power step, or longer than the run, are left out.

    The published tables divide by peaks that leave out the servers' constant power at one level
    and not at another (reference-method.md 3.2 and 3.3); here every level holds the same load.
    """
    nodes = results.nodes()
    upper = nodes[nodes["kind"] != "server"]
    frames = [results.load(kind) for kind in upper["kind"].unique()]
    series = pd.concat(frames, axis=1)[upper.index].to_numpy(dtype=np.float64)
    rows = []
    for resolution_s in resolutions_s:
        width = round(resolution_s / results.step_s)
        if width < 1 or abs(width * results.step_s - resolution_s) > 1e-9 * resolution_s:
            continue
        whole = len(series) // width
        if whole < 1:
            continue
        means = series[: whole * width].reshape(whole, width, -1).mean(axis=1)
        peaks = dict(zip(upper.index, means.max(axis=0), strict=True))
        for column, name in enumerate(upper.index):
            below = upper.index[upper["parent"] == name]
            rows.append(
                {
                    "node": name,
                    "resolution_s": resolution_s,
                    "kind": upper.loc[name, "kind"],
                    **_figures(means[:, column]),
                    "coincidence": peaks[name] / sum(peaks[child] for child in below)
                    if len(below)
                    else np.nan,
                }
            )
    table = pd.DataFrame(rows)
    order = {name: place for place, name in enumerate(upper.index)}
    table = table.sort_values("node", key=lambda names: names.map(order), kind="stable")
    return table.set_index(["node", "resolution_s"])


def _figures(load_w: Float64) -> dict[str, float]:
    """One node at one resolution."""
    peak_w, mean_w = float(load_w.max()), float(load_w.mean())
    ramps_w = np.diff(load_w)
    return {
        "peak_w": peak_w,
        "mean_w": mean_w,
        "peak_to_average": peak_w / mean_w if mean_w else np.nan,
        "load_factor": mean_w / peak_w if peak_w else np.nan,
        "ramp_up_w": float(ramps_w.max()) if len(ramps_w) else np.nan,
        "ramp_down_w": float(ramps_w.min()) if len(ramps_w) else np.nan,
        "p95_w": float(np.percentile(load_w, 95)),
        "p99_w": float(np.percentile(load_w, 99)),
    }
