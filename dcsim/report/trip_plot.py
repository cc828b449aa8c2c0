"""A picture of a load upon a breaker: the load, its time-current curve, and its heat."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import PlotError
from dcsim.facility.curves import ambient_factor, trip_time_s
from dcsim.facility.profile import ProfileTrips
from dcsim.hardware.curves import Curve
from dcsim.report.plots import BLUE, GREEN, GREY, ORANGE, STYLE, VERMILION

FORMATS = (".png", ".svg", ".pdf")


def draw_trip(
    profile: ProfileTrips,
    time_s: FloatArray,
    load_w: FloatArray,
    curves: tuple[Curve, Curve],
    rating_w: float,
    ambient_c: float,
    path: Path,
) -> None:
    """Draw the load, the time-current curve with its band, and the way to a trip at both edges.

    The second panel shows, for each length of time, the highest RMS that the load had over one so
    long: where that reaches the band, a cold breaker may trip. Raises PlotError for an unknown
    format, OSError where the file cannot be written, ImportError without matplotlib.
    """
    if path.suffix.lower() not in FORMATS:
        raise PlotError(f"no format {path.suffix!r}; there is {', '.join(FORMATS)}")
    import matplotlib.pyplot as plt

    trips = (
        (profile.earliest_s, ORANGE, "earliest"),
        (profile.latest_s, VERMILION, "latest"),
    )
    unit_s, unit = (3600.0, "h") if time_s[-1] - time_s[0] > 7200 else (60.0, "min")
    bears_w = rating_w * ambient_factor(curves[1], ambient_c)
    with plt.rc_context(STYLE):
        figure, (above, middle, below) = plt.subplots(3, 1, figsize=(7.0, 8.0))
        above.step(time_s / unit_s, load_w / 1e3, where="post", color=BLUE)
        above.axhline(rating_w / 1e3, color=GREY, linestyle=":", label="rating")
        above.axhline(
            curves[0].points[0][0] * bears_w / 1e3, color=GREY, linestyle="--", label="pick-up"
        )
        above.set(title="Load", ylabel="kW", xlabel=unit, ylim=(0, None))

        grid = np.geomspace(1.0, max(12.5, 1.2 * load_w.max() / bears_w), 600)
        early_s, late_s = (trip_time_s(curve, grid) for curve in curves)
        shown = np.isfinite(early_s)
        top_s = 2e5
        middle.fill_between(
            grid[shown], early_s[shown], np.minimum(late_s[shown], top_s), color=ORANGE, alpha=0.25,
            label="from the earliest to the latest, cold",
        )  # fmt: skip
        lengths_s, rms_w = _highest_rms(time_s, load_w)
        middle.plot(rms_w / bears_w, lengths_s, color=BLUE, label="this load, by its highest RMS")
        middle.set(
            title="Time-current curve", xscale="log", yscale="log", xlim=(0.5, grid[-1]),
            ylim=(0.01, top_s), xlabel="multiple of the rating", ylabel="s",
        )  # fmt: skip

        for edge, (_, color, name) in enumerate(trips):
            at = profile.time_s / unit_s
            below.plot(at, profile.way[:, edge], color=color, label=f"way to a trip, {name}")
        below.plot(
            profile.time_s / unit_s,
            profile.warmth[:, 1],
            color=GREEN,
            label="warmth, latest",
        )
        below.set(title="Heat", xlabel=unit, ylabel="share", ylim=(0, 1.05))
        for at_s, color, name in trips:
            if at_s is not None:
                for axes in (above, below):
                    axes.axvline(at_s / unit_s, color=color, label=f"{name} trip")
        for axes in (above, middle, below):
            axes.legend(fontsize=7)
        figure.savefig(path, dpi=150)
        plt.close(figure)


def _highest_rms(time_s: FloatArray, load_w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lengths of time, and the highest RMS over any stretch so long."""
    span_s = time_s[-1] - time_s[0]
    heat = np.concatenate([[0.0], np.cumsum(np.diff(time_s) * load_w[:-1] ** 2)])
    lengths_s = np.geomspace(max(np.diff(time_s).min(), span_s * 1e-6), span_s, 60)
    rms_w = []
    for length_s in lengths_s:
        # A highest mean begins or ends where the load changes.
        starts = np.concatenate([time_s, time_s - length_s])
        starts = starts[(starts >= time_s[0]) & (starts + length_s <= time_s[-1] * (1 + 1e-12))]
        if not len(starts):
            starts = time_s[:1]
        spent = np.interp(starts + length_s, time_s, heat) - np.interp(starts, time_s, heat)
        rms_w.append(np.sqrt(spent.max() / length_s))
    return lengths_s, np.array(rms_w)
