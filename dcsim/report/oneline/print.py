"""Draws a one-line diagram with matplotlib, for papers: the same drawing as the page's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dcsim.extras import optional
from dcsim.report.charts.print import STYLE
from dcsim.report.oneline.diagram import of_results
from dcsim.report.oneline.drawing import (
    CELL,
    CUT,
    LINE,
    MARGIN,
    BoxCard,
    Drawing,
    arrange,
    paints_of,
)
from dcsim.report.oneline.symbols import BATTERY, SYMBOLS
from dcsim.report.palette import LIGHT
from dcsim.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path as Outline

INCH = 96.0
"""px of the drawing; fonts are set so that words fill what is left for them."""
POINT = 72.0 / INCH


def oneline(results: Results) -> Figure:
    """The site's tree, coloured by the highest load over the rating.

    Raises MissingExtraError without matplotlib.
    """
    from dcsim.report.page.trust import Trust

    diagram = of_results(results.nodes(), Trust.from_results(results).facility)
    return to_figure(arrange(diagram, paints_of(results.summary["nodes"])))


def to_figure(drawing: Drawing) -> Figure:
    """The drawing as a matplotlib figure."""
    mpl = optional("matplotlib", "a picture")
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE | {"figure.autolayout": False}):
        figure = Figure(figsize=(drawing.width / INCH, drawing.height / INCH))
        axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.set_xlim(0, drawing.width)
    axis.set_ylim(drawing.height, 0)
    axis.set_axis_off()
    for name, y in drawing.layers:
        axis.text(MARGIN, y, name, va="center", fontsize=11 * POINT, color=LIGHT["soft"])
    for wire in drawing.wires:
        axis.plot([wire.x0, wire.x0, wire.x1, wire.x1],
                  [wire.y0, wire.middle_y, wire.middle_y, wire.y1], zorder=1,
                  color=LIGHT["b" if wire.second else "line"], linewidth=1.2,
                  linestyle="--" if wire.second else "-")  # fmt: skip
        if wire.breaker:
            x, y = wire.x1 - CUT / 2, wire.y1 - 1.5 * CUT
            _rect(axis, (x, y, CUT, CUT), "card", "soft")
            axis.plot([x, x + CUT], [y, y + CUT], color=LIGHT["soft"], linewidth=0.9, zorder=3)
            axis.plot([x, x + CUT], [y + CUT, y], color=LIGHT["soft"], linewidth=0.9, zorder=3)
    for card in drawing.cards:
        _card(axis, card)
    return figure


def _card(axis: Axes, card: BoxCard) -> None:
    paint = card.paint
    edge = "h3" if paint is not None and paint.shade == "h3" else "edge"
    _rect(axis, (card.x, card.y, card.width, card.height), "card", edge, 6)
    if paint is not None:
        share = min(1.0, paint.share) if paint.share is not None else 1.0
        for colour, part in (("none", 1.0), (paint.shade, share)):
            bar = (card.x + 8, card.y + card.height - 7, (card.width - 16) * part, 3.5)
            _rect(axis, bar, colour)
    _symbol(axis, SYMBOLS[card.box.kind], card.x + 9, card.y + 8)
    if card.box.battery:
        _symbol(axis, BATTERY, card.x + card.width - 24, card.y + 9)
    axis.text(card.x + 32, card.y + 20, _plain(card.box.title), fontsize=12 * POINT,
              fontweight="bold", color=LIGHT["ink"], zorder=4)  # fmt: skip
    for number, line in enumerate(card.lines):
        axis.text(card.x + 10, card.y + 36 + LINE * number, _plain(line), fontsize=10 * POINT,
                  color=LIGHT["soft"], zorder=4)  # fmt: skip
    for cell in card.cells:
        shade = cell.paint.shade if cell.paint is not None else "none"
        _rect(axis, (cell.x, cell.y, CELL, CELL), shade, "h3" if shade == "h3" else None, 2.5)


def _rect(
    axis: Axes,
    box: tuple[float, float, float, float],
    fill: str,
    edge: str | None = None,
    radius: float = 0.0,
) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = box
    axis.add_patch(FancyBboxPatch(
        (x, y), max(width, 1e-3), height, boxstyle=f"round,pad=0,rounding_size={radius}",
        facecolor=LIGHT[fill], edgecolor="none" if edge is None else LIGHT[edge], linewidth=0.9,
        zorder=2,
    ))  # fmt: skip


def _symbol(axis: Axes, path: str, x: float, y: float) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.transforms import Affine2D

    outline = outline_of(path).transformed(Affine2D().translate(x, y))
    axis.add_patch(PathPatch(outline, fill=False, edgecolor=LIGHT["soft"], linewidth=1.0, zorder=4))


def outline_of(path: str) -> Outline:
    """What `symbols` uses of SVG's paths: M, H, V, L, C, S, Z, and A for a whole circle."""
    from matplotlib.path import Path as Outline

    parts: list[Outline] = []
    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for letter, text in re.findall(r"([MHVLCSAZ])([^MHVLCSAZ]*)", path):
        numbers = [float(number) for number in re.findall(r"-?\d*\.?\d+", text)]
        match letter:
            case "H":
                points += [(x, points[-1][1]) for x in numbers]
                codes += [Outline.LINETO] * len(numbers)
            case "V":
                points += [(points[-1][0], y) for y in numbers]
                codes += [Outline.LINETO] * len(numbers)
            case "C" | "S":
                if letter == "S":  # the first control point mirrors the last one
                    (cx, cy), (x, y) = points[-2:]
                    numbers = [2 * x - cx, 2 * y - cy, *numbers]
                points += zip(numbers[::2], numbers[1::2], strict=True)
                codes += [Outline.CURVE4] * 3
            case "A":  # from the top of a circle round to it
                x, y = points.pop()
                codes.pop()
                parts.append(Outline.circle((x, y + numbers[0]), numbers[0]))
            case "Z" if not points or codes[-1] == Outline.CLOSEPOLY:  # a circle is closed
                continue
            case "Z":
                points.append(points[-1])
                codes.append(Outline.CLOSEPOLY)
            case _:
                points += zip(numbers[::2], numbers[1::2], strict=True)
                first = Outline.MOVETO if letter == "M" else Outline.LINETO
                codes += [first, *[Outline.LINETO] * (len(numbers) // 2 - 1)]
    if points:
        parts.append(Outline(points, codes))
    return Outline.make_compound_path(*parts)


def _plain(name: str) -> str:
    """A name is no formula: matplotlib sets what stands between dollars."""
    return name.replace("$", r"\$")
