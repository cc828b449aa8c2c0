"""Pictures for papers, with matplotlib: one figure a kind, as PNG, SVG or PDF.

Needs the extra `plots`. Colours are those of Okabe and Ito, told apart by the colour-blind.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dcsim.errors import PlotError
from dcsim.extras import optional
from dcsim.facility.limit_words import label
from dcsim.results import Results
from dcsim.scenario.expand import named
from dcsim.spec.nearest import suggestion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, SKY, ORANGE, VERMILION, GREEN, PURPLE, GREY = (
    "#0072b2", "#56b4e9", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#8a939b",
)  # fmt: skip
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, GREY)
STYLE: Any = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a939b",
    "axes.grid": True,
    "grid.color": "#e6eaee",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "dcsim",
    "pdf.fonttype": 42,
}
ROUND = "round,pad=0,rounding_size=4"
POINTS = 1500
"""Intervals across a figure; more than it has pixels."""


def plot(results: Results, kind: str, path: Path, node: str | None = None) -> None:
    """Draw one of `KINDS` to `path`; its suffix is the format.

    `node` narrows `load` and `duration` to one node, `heatmap` to one kind of nodes. Raises
    PlotError for an unknown kind, node or format, OSError where the file cannot be written,
    ImportError without matplotlib.
    """
    drawn(lambda: _made(results, kind, node), path)


def figure(results: Results, kind: str = "load", node: str | None = None) -> Figure:
    """Return one of `KINDS` as a matplotlib figure; `node` as for `plot`.

    Raises PlotError for an unknown kind or node, MissingExtraError without matplotlib.
    """
    mpl = optional("matplotlib", "a picture")
    with mpl.rc_context(STYLE):
        return _made(results, kind, node)


def _made(results: Results, kind: str, node: str | None) -> Figure:
    if kind not in KINDS:
        raise PlotError(f"no kind of picture {kind!r}; there is {', '.join(KINDS)}")
    return KINDS[kind](results, node)


def drawn(make: Callable[[], Figure], path: Path) -> None:
    """Write a figure to `path`; its suffix is the format. Raises PlotError for an unknown one."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    suffix = path.suffix.lstrip(".").lower()
    known = Figure().canvas.get_supported_filetypes()
    if suffix not in known:
        raise PlotError(f"no format {path.suffix or '(none)'!r}; there is {', '.join(known)}")
    with mpl.rc_context(STYLE):
        figure = make()
        # Without a date, the same results give the same file.
        dated = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(suffix)
        figure.savefig(path, dpi=200, metadata=dated)


def load(results: Results, node: str | None) -> Figure:
    """Load over time: the site, and the node nearest to its limit of each level, or one node."""
    nodes = results.nodes()
    names = [_known(nodes, node)] if node is not None else _hottest(results, nodes)
    figure, axes = _sheet(len(names), 1, (6.8, 1.1 + 1.25 * len(names)))
    unit, unit_s = _unit(results.duration_s)
    for axis, name in zip(axes, names, strict=True):
        mean, low, high, ends_s = _bands(results, _kind(nodes, name), name)
        ends = ends_s / unit_s
        axis.fill_between(ends, low, high, step="pre", color=SKY, alpha=0.35, linewidth=0)
        axis.plot(ends, mean, drawstyle="steps-pre", color=BLUE)
        if results.warm_up_s > 0:
            axis.axvspan(0, results.warm_up_s / unit_s, color=GREY, alpha=0.15, linewidth=0)
        _limit(axis, _rating_w(nodes, name))
        _demand_limits(axis, results, name)
        axis.set_title(_plain(name))
        axis.set_ylabel("kW")
        axis.set_ylim(bottom=0)
        axis.set_xlim(0, results.duration_s / unit_s)
    events = results.events()
    for axis, name in zip(axes, names, strict=True):
        trips = events[(events["node"] == name) & (events["kind"] == "trip")]
        for time_s in trips["time_s"]:
            axis.axvline(time_s / unit_s, color=VERMILION, linewidth=1, linestyle=":")
    axes[-1].set_xlabel(unit)
    return figure


def duration(results: Results, node: str | None) -> Figure:
    """Load-duration curves, as shares of the rating where there is one."""
    nodes = results.nodes()
    names = [_known(nodes, node)] if node is not None else _hottest(results, nodes)
    figure, (axis,) = _sheet(1, 1, (4.6, 3.2))
    share = np.linspace(0, 1, 400)
    with_rating = [name for name in names if _rating_w(nodes, name) > 0]
    rated, names = bool(with_rating), with_rating or names
    for i, name in enumerate(names):
        frame = results.load_w(_kind(nodes, name), nodes=[name], measured=True)
        watts = frame.to_numpy()[:, 0]
        curve = np.quantile(watts[np.isfinite(watts)], 1 - share)
        scale = _rating_w(nodes, name) / 100 if rated else 1e3
        axis.plot(100 * share, curve / scale, color=CYCLE[i % len(CYCLE)], label=_plain(name))
    if rated:
        axis.axhline(100, color=VERMILION, linestyle="--", linewidth=1)
    axis.set(xlabel="share of time, %", ylabel="% of rating" if rated else "kW", xlim=(0, 100))
    axis.set_ylim(bottom=0)
    axis.legend()
    return figure


def heatmap(results: Results, node: str | None) -> Figure:
    """Loads of all nodes of a level (racks, or the lowest level above servers) over time."""
    nodes = results.nodes()
    kinds = list(dict.fromkeys(nodes["kind"]))
    upper = [kind for kind in kinds if kind != "server"]
    kind = node or ("rack" if "rack" in kinds else upper[-1])
    if kind not in kinds:
        raise PlotError(f"--node: no level {kind!r} in this site; there is {', '.join(kinds)}")
    step_s = results.server_step_s if kind == "server" else results.step_s
    width_s = max(1, round(results.duration_s / 400 / step_s)) * step_s
    frame = results.load_w(str(kind), resample=width_s)
    rating_w = nodes.loc[frame.columns, "rating_w"].to_numpy(dtype=float)
    rated = bool((rating_w > 0).all())
    values = frame.to_numpy().T / (rating_w[:, None] / 100 if rated else 1e3)
    rows = len(frame.columns)
    figure, (axis,) = _sheet(1, 1, (6.8, min(8.0, 1.2 + 0.14 * rows)))
    unit, unit_s = _unit(results.duration_s)
    image = axis.imshow(
        values, aspect="auto", cmap="cividis", interpolation="nearest",
        extent=(0, results.duration_s / unit_s, rows - 0.5, -0.5),
    )  # fmt: skip
    every = -(-rows // 20)
    axis.set_yticks(range(0, rows, every), [_plain(str(n)) for n in frame.columns[::every]])
    axis.grid(False)
    axis.set_xlabel(unit)
    figure.colorbar(image, ax=axis, label="% of rating" if rated else "kW", pad=0.01)
    return figure


def states(results: Results, node: str | None) -> Figure:
    """Replica time by GPU state."""
    state_s = {k: v for k, v in (results.summary.get("gpu_state_s") or {}).items() if v}
    if not state_s:
        raise PlotError("the file has no time in GPU states")
    figure, (axis,) = _sheet(1, 1, (6.0, 0.7 + 0.3 * len(state_s)))
    total = sum(state_s.values())
    names = list(state_s)[::-1]
    shares = [100 * state_s[name] / total for name in names]
    axis.barh(names, shares, color=BLUE, height=0.62)
    for i, share in enumerate(shares):
        axis.text(share + 0.8, i, f"{share:.1f} %", va="center")
    axis.grid(axis="y", visible=False)
    axis.set(xlabel="share of replica time, %", xlim=(0, min(100, 1.15 * max(shares) + 2)))
    return figure


def smoothing(results: Results, node: str | None) -> Figure:
    """Coefficient of variation of every node by the servers below it, and 1/sqrt(servers)."""
    nodes = results.nodes()
    below = {str(name): int(kind == "server") for name, kind in nodes["kind"].items()}
    for name in reversed(list(nodes.index)):
        parent = nodes.loc[name, "parent"]
        if isinstance(parent, str):
            below[parent] += below[str(name)]
    figure, (axis,) = _sheet(1, 1, (4.6, 3.2))
    most, at_server = 1, None
    for i, (kind, of_kind) in enumerate(nodes.groupby("kind", sort=False)):
        frame = results.load_w(str(kind), measured=True)
        mean = frame.mean().to_numpy()
        variation = np.where(mean > 0, frame.std(ddof=0).to_numpy() / mean, np.nan)
        counts = np.array([below[str(name)] for name in of_kind.index])
        axis.scatter(counts, variation, s=14, color=CYCLE[i % len(CYCLE)], label=str(kind))
        most = max(most, int(counts.max()))
        if kind == "server":
            at_server = float(np.nanmedian(variation))
    if at_server:
        ends = np.array([1, most])
        axis.plot(ends, at_server / np.sqrt(ends), "--", color=GREY, label="independent servers")
    axis.set(xscale="log", yscale="log", xlabel="servers below", ylabel="coefficient of variation")
    axis.legend()
    return figure


def oneline(results: Results, node: str | None) -> Figure:
    """The site's tree, coloured by the highest load over the rating."""
    from matplotlib.patches import FancyBboxPatch

    from dcsim.report.oneline import of_results
    from dcsim.report.oneline.layout import Item, place
    from dcsim.report.oneline.svg import Paint, layers_of
    from dcsim.report.page.trust import Trust

    diagram = of_results(results.nodes(), Trust.from_results(results).facility)
    figures = {row["name"]: row for row in results.summary["nodes"]}
    layers = layers_of(diagram)
    feeds: dict[str, list[str]] = {box.key: [] for box in diagram.boxes}
    for link in diagram.links:
        feeds[link.below].append(link.above)
    peaks = {
        name: row["peak_w"] / row["limit_w"]
        for name, row in figures.items()
        if row["limit_w"] and row["peak_w"] is not None
    }
    share_of = {
        box.key: max((peaks[name] for name in box.members if name in peaks), default=None)
        for box in diagram.boxes
    }
    text = {
        box.key: "\n".join((box.title, *box.lines[:1]))
        + ("" if (share := share_of[box.key]) is None else f" · {100 * share:.0f} %")
        for box in diagram.boxes
    }
    widths = {key: max(70.0, 6.2 * max(map(len, lines.split("\n"))) + 14)
              for key, lines in text.items()}  # fmt: skip
    items = [Item(box.key, layers[box.key], widths[box.key], feeds[box.key])
             for box in diagram.boxes]  # fmt: skip
    wide, pitch = place(items, 12.0), 74.0
    at = {item.key: (item.x, -pitch * item.layer) for item in items}
    tall = pitch * (max(layers.values()) + 1)
    figure, (axis,) = _sheet(1, 1, (max(3.0, wide / 90), max(2.0, tall / 90)))
    shades = {"h0": "#dcebf5", "h1": "#9fcae6", "h2": "#f3c969", "h3": "#d9642c", "none": "#eceff1"}
    for link in diagram.links:
        (x0, y0), (x1, y1) = at[link.above], at[link.below]
        second = link.slot > 0
        x1 += 8 * link.slot
        middle = y1 + pitch / 2 - 5 * link.slot
        axis.plot([x0, x0, x1, x1], [y0, middle, middle, y1], zorder=1,
                  color="#b3540e" if second else GREY, linestyle="--" if second else "-",
                  linewidth=0.9)  # fmt: skip
    for box in diagram.boxes:
        share = share_of[box.key]
        x, y = at[box.key]
        width = widths[box.key]
        axis.add_patch(
            FancyBboxPatch((x - width / 2, y - 17), width, 34, boxstyle=ROUND,
                           facecolor=shades[Paint(share).shade], edgecolor="#566470",
                           linewidth=0.7, zorder=2)
        )  # fmt: skip
        axis.text(x, y, _plain(text[box.key]), ha="center", va="center", zorder=3, fontsize=6.5,
                  color="white" if share is not None and share > 1 else "#17212b")  # fmt: skip
    axis.set_axis_off()
    axis.set_aspect("equal")
    axis.set_xlim(-8, wide + 8)
    axis.set_ylim(-tall + pitch - 24, 24)
    return figure


KINDS: dict[str, Callable[[Results, str | None], Figure]] = {
    "load": load,
    "duration": duration,
    "heatmap": heatmap,
    "states": states,
    "smoothing": smoothing,
    "oneline": oneline,
}


def _sheet(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    return figure, list(axes.flat)


def _plain(name: str) -> str:
    """A name is no formula: matplotlib sets what stands between dollars."""
    return name.replace("$", r"\$")


def _known(nodes: pd.DataFrame, name: str) -> str:
    """The node of this name, or the only one whose last steps it is."""
    matches = named(map(str, nodes.index), name)
    if len(matches) == 1:
        return matches[0]
    hint = suggestion(name, list(map(str, nodes.index)))
    if matches:
        hint = f"did you mean {' or '.join(matches[:3])}?"
    raise PlotError(f"--node: no node {name!r} in this site" + (f" ({hint})" if hint else ""))


def _hottest(results: Results, nodes: pd.DataFrame) -> list[str]:
    """Of each level the node nearest to its limit; at most five levels."""
    share: dict[str, float] = {}
    for row in results.summary["nodes"]:
        peak_w = row["peak_w"] or 0.0
        share[row["name"]] = peak_w / row["limit_w"] if row["limit_w"] else peak_w * 1e-12
    kinds = list(dict.fromkeys(nodes["kind"]))
    kept = kinds if len(kinds) <= 5 else [kinds[0], *kinds[-4:]]
    return [
        max(map(str, nodes.index[nodes["kind"] == kind]), key=lambda name: share.get(name, 0.0))
        for kind in kept
    ]


def _bands(results: Results, kind: str, name: str) -> tuple[np.ndarray, ...]:
    """Means, lowest and highest recorded loads in kW by interval, and the ends in s."""
    watts = results.load_w(kind, nodes=[name]).to_numpy()[:, 0] / 1e3
    step_s = results.server_step_s if kind == "server" else results.step_s
    width = max(1, -(-len(watts) // POINTS))
    starts = np.arange(0, len(watts), width)
    counts = np.diff(starts, append=len(watts))
    mean = np.add.reduceat(watts.astype(float), starts) / counts
    low, high = np.minimum.reduceat(watts, starts), np.maximum.reduceat(watts, starts)
    ends = np.minimum((starts + counts) * step_s, results.duration_s)
    return mean, low, high, ends


def _unit(duration_s: float) -> tuple[str, float]:
    """What a time axis of this length is best read in, and its length in s."""
    if duration_s <= 180.0:
        return "seconds", 1.0
    return ("minutes", 60.0) if duration_s <= 3 * 3600.0 else ("hours", 3600.0)


def _kind(nodes: pd.DataFrame, name: str) -> str:
    return str(nodes["kind"].to_dict()[name])


def _rating_w(nodes: pd.DataFrame, name: str) -> float:
    return float(nodes["rating_w"].to_dict()[name])


def _limit(axis: Axes, rating_w: float) -> None:
    if rating_w > 0:
        axis.axhline(rating_w / 1e3, color=VERMILION, linestyle="--", linewidth=1)


def _demand_limits(axis: Axes, results: Results, name: str) -> None:
    """A dotted line at each contract or demand limit of a node, with its name."""
    for row in results.summary.get("limits") or []:
        if row["node"] == name and row["kind"] == "demand" and row["limit_w"] is not None:
            axis.axhline(row["limit_w"] / 1e3, color=ORANGE, linestyle=":", linewidth=1.2)
            axis.annotate(
                label(row),
                (1.0, row["limit_w"] / 1e3),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="bottom",
                fontsize=7,
            )
