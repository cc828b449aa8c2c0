"""Pictures of a run for papers, with matplotlib (extra `plots`): one figure a kind, as PNG, SVG or
PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dcsim.errors import PlotError
from dcsim.report.charts import run
from dcsim.report.charts.print import save, to_figure
from dcsim.report.oneline.print import oneline
from dcsim.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


KINDS = (*run.KINDS, "oneline")
"""What can be drawn of a run."""


def plot(results: Results, kind: str, path: Path, node: str | None = None) -> None:
    """Draw one of `KINDS` to `path`; its suffix is the format.

    `node` narrows `load` and `duration` to one node, `heatmap` to one kind of nodes. Raises
    PlotError for an unknown kind, node or format, OSError where the file cannot be written,
    MissingExtraError without matplotlib.
    """
    save(lambda: figure(results, kind, node), path)


def figure(results: Results, kind: str = "load", node: str | None = None) -> Figure:
    """Return one of `KINDS` as a matplotlib figure; `node` as for `plot`.

    Raises PlotError for an unknown kind or node, MissingExtraError without matplotlib.
    """
    if kind not in KINDS:
        raise PlotError(f"no kind of picture {kind!r}; there is {', '.join(KINDS)}")
    if kind == "oneline":
        return oneline(results)
    return to_figure(run.KINDS[kind](results, node))
