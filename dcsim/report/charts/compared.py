"""Measured and simulated watts of the same runs, drawn over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dcsim.arrays import FloatArray
from dcsim.errors import PlotError
from dcsim.report.charts.model import Axis, Chart, Line, Panel
from dcsim.report.charts.print import save, to_figure


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

    Raises PlotError for an unknown format, OSError where the file cannot be written,
    MissingExtraError without matplotlib.
    """
    if not runs:
        raise PlotError("no run to draw")
    save(lambda: to_figure(*map(_chart, runs)), path)


def _chart(run: Compared) -> Chart:
    at_s = run.ends_s - run.edges_s[0]
    lines = [
        Line(x=at_s, y=load_w, colour=colour, width=1.1, shape="vh",
             name=f"{name}, mean {load_w.mean():,.0f} W")
        for name, load_w, colour in (
            ("measured", run.measured_w, "s0"), ("simulated", run.simulated_w[:, 0], "s2"),
        )
    ]  # fmt: skip
    return Chart(
        panels=[Panel(traces=lines, title=run.run,
                      y=Axis(title="GPU power", unit="w", limits=(0, None)))],
        x=Axis(kind="time", limits=(0.0, float(at_s[-1]))), legend="panel", size=(6.8, 2.3),
    )  # fmt: skip


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
