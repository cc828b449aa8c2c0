"""A load upon a breaker: the load, its time-current curve, and its heat."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.curves import ambient_factor, trip_time_s
from dcsim.facility.profile import ProfileTrips
from dcsim.hardware.curves import Curve
from dcsim.report.charts.model import Axis, Chart, Line, Panel, Rule
from dcsim.report.charts.print import save, to_figure

TOP_S = 2e5
"""Trip times are drawn up to here."""


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

    The second picture shows, for each length of time, the highest RMS that the load had over one so
    long: where that reaches the band, a cold breaker may trip. Raises PlotError for an unknown
    format, OSError where the file cannot be written, MissingExtraError without matplotlib.
    """
    bears_w = rating_w * ambient_factor(curves[1], ambient_c)
    edges = list(zip((profile.earliest_s, profile.latest_s), ("earliest", "latest"), ("s2", "s3"),
                     strict=True))  # fmt: skip
    during = Axis(kind="time", limits=(float(time_s[0]), float(time_s[-1])))
    trips = [Rule(at=trip_s, name=f"{name} trip", colour=colour, dash="solid")
             for trip_s, name, colour in edges if trip_s is not None]  # fmt: skip
    load = Panel(
        title="Load", traces=[Line(x=time_s, y=load_w, shape="hv")],
        rules=[Rule(at=rating_w, name="rating", colour="s6", dash="dot"),
               Rule(at=curves[0].points[0][0] * bears_w, name="pick-up", colour="s6")],
        y=Axis(unit="w", limits=(0, None)),
    )  # fmt: skip
    heat = Panel(
        title="Heat", y=Axis(title="share", limits=(0.0, 1.05)),
        traces=[
            *(Line(x=profile.time_s, y=profile.way[:, edge], colour=colour,
                   name=f"way to a trip, {name}")
              for edge, (_, name, colour) in enumerate(edges)),
            Line(x=profile.time_s, y=profile.warmth[:, 1], colour="s4", name="warmth, latest"),
        ],
    )  # fmt: skip
    charts = (
        Chart(panels=[load], x=during, rules=trips, legend="panel", size=(7.0, 2.7)),
        _time_current(time_s, load_w, curves, bears_w),
        Chart(panels=[heat], x=during, rules=trips, legend="panel", size=(7.0, 2.7)),
    )
    save(lambda: to_figure(*charts), path)


def _time_current(
    time_s: FloatArray, load_w: FloatArray, curves: tuple[Curve, Curve], bears_w: float
) -> Chart:
    """The band of the time-current curve, and the highest RMS of the load by length of time."""
    grid = np.geomspace(1.0, max(12.5, 1.2 * load_w.max() / bears_w), 600)
    early_s, late_s = (trip_time_s(curve, grid) for curve in curves)
    shown = np.isfinite(early_s)
    lengths_s, rms_w = _highest_rms(time_s, load_w)
    return Chart(
        panels=[Panel(
            title="Time-current curve", y=Axis(title="s", kind="log", limits=(0.01, TOP_S)),
            traces=[
                Line(x=grid[shown], y=early_s[shown], low=early_s[shown], width=0, colour="s2",
                     high=np.minimum(late_s[shown], TOP_S),
                     name="from the earliest to the latest, cold"),
                Line(x=rms_w / bears_w, y=lengths_s, name="this load, by its highest RMS"),
            ],
        )],
        x=Axis(title="multiple of the rating", kind="log", limits=(0.5, float(grid[-1]))),
        legend="panel", size=(7.0, 2.7),
    )  # fmt: skip


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
