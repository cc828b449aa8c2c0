"""Measured and simulated watts of the same runs, drawn over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcsim.arrays import FloatArray
from dcsim.errors import PlotError
from dcsim.report.plots import BLUE, ORANGE, drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Compared:
    """One run: watts of its GPUs on the same steps."""

    run: str
    edges_s: FloatArray
    """Unix times between which the steps lie, shape (steps + 1,)."""
    measured_w: FloatArray
    simulated_w: FloatArray
    """Of each seed, shape (steps, seeds)."""

    @property
    def ends_s(self) -> FloatArray:
        """Unix times at which the steps end."""
        return self.edges_s[1:]


def draw_compared(runs: Sequence[Compared], path: Path) -> None:
    """A panel a run: measured watts, and those of the first seed over them.

    Raises PlotError for an unknown format, OSError where the file cannot be written, ImportError
    without matplotlib.
    """
    if not runs:
        raise PlotError("no run to draw")
    drawn(lambda: _figure(runs), path)


def _figure(runs: Sequence[Compared]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.8, 0.8 + 1.9 * len(runs)))
    axes = figure.subplots(len(runs), 1, squeeze=False)[:, 0]
    for axis, run in zip(axes, runs, strict=True):
        at_s = run.ends_s - run.edges_s[0]
        for name, watts, colour in (
            ("measured", run.measured_w, BLUE),
            ("simulated", run.simulated_w[:, 0], ORANGE),
        ):
            axis.plot(
                *(at_s, watts),
                color=colour,
                linewidth=0.8,
                alpha=0.9,
                drawstyle="steps-pre",
                label=f"{name}, mean {watts.mean():,.0f} W",
            )
        axis.set_title(run.run)
        axis.set_ylabel("GPU power (W)")
        axis.set_ylim(bottom=0)
        axis.set_xlim(0, float(at_s[-1]))
        axis.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=2)
    axes[-1].set_xlabel("time (s)")
    return figure


def series_rows(runs: Sequence[Compared]) -> list[str]:
    """Lines of a CSV of both series, header first: the first seed, and the mean over the seeds."""
    lines = ["run,time_s,measured_w,simulated_w,simulated_mean_w"]
    for run in runs:
        columns = (run.ends_s, run.measured_w, run.simulated_w[:, 0], run.simulated_w.mean(axis=1))
        lines += [
            f"{run.run},{at:.3f},{measured:.3f},{simulated:.3f},{mean:.3f}"
            for at, measured, simulated, mean in zip(*(c.tolist() for c in columns), strict=True)
        ]
    return lines
