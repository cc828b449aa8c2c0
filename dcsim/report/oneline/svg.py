"""Draws a one-line diagram as SVG: cards on layers, lines with breakers between them."""

from __future__ import annotations

from html import escape

from dcsim.report.oneline.diagram import Diagram
from dcsim.report.oneline.drawing import (
    CELL,
    CUT,
    LINE,
    MARGIN,
    BoxCard,
    Paint,
    Paints,
    WirePath,
    arrange,
)
from dcsim.report.oneline.symbols import BATTERY, SYMBOLS
from dcsim.report.palette import DARK, LIGHT, css

COLOURS = ("ink", "soft", "line", "card", "edge", "ground", "b", "h0", "h1", "h2", "h3", "none")
STANDALONE = f"""
svg.oneline{{{css(LIGHT, COLOURS)};
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}}
@media (prefers-color-scheme:dark){{svg.oneline{{{css(DARK, COLOURS)}}}}}
"""
STYLE = """
.oneline .ground{fill:var(--ground)}.oneline .band{fill:var(--soft);font-size:11px;
letter-spacing:.06em}
.oneline .card{fill:var(--card);stroke:var(--edge)}.oneline .title{fill:var(--ink);font-size:13px;
font-weight:600}.oneline .small{fill:var(--soft);font-size:11px}
.oneline .symbol{fill:none;stroke:var(--soft);stroke-width:1.4}.oneline .feed{fill:none;
stroke:var(--line);stroke-width:1.6}.oneline .feed.b{stroke:var(--b);stroke-dasharray:5 3}
.oneline .cut{fill:var(--card);stroke:var(--soft);stroke-width:1.2}
.oneline .h0{fill:var(--h0)}.oneline .h1{fill:var(--h1)}.oneline .h2{fill:var(--h2)}
.oneline .h3{fill:var(--h3)}.oneline .none{fill:var(--none)}
.oneline .gauge{fill:var(--none)}.oneline .over{stroke:var(--h3);stroke-width:2}
"""


def draw(diagram: Diagram, paints: Paints | None = None, standalone: bool = True) -> str:
    """The diagram as an SVG element.

    Parameters
    ----------
    paints
        How loaded nodes were: colours them, and makes them clickable (`data-node`).
    standalone
        With colours and fonts of its own, light and dark; else those of the page.
    """
    drawing = arrange(diagram, paints)
    width, height = drawing.width, drawing.height
    parts = [f'<rect class="ground" width="{width:.0f}" height="{height:.0f}" rx="6"/>']
    parts += [
        f'<text class="band" x="{MARGIN}" y="{y + 4:.1f}">{name}</text>'
        for name, y in drawing.layers
    ]
    parts += map(_wire, drawing.wires)
    parts += map(_card, drawing.cards)
    style = f"<style>{STANDALONE}{STYLE}</style>" if standalone else ""
    title = escape(drawing.title)
    name = f"One-line diagram{' of ' + title if title else ''}"
    # In the page: shrunk to its width as long as it can be read.
    fit = (
        "" if standalone
        else f' style="width:100%;max-width:{width:.0f}px;min-width:{0.7 * width:.0f}px"'
    )  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="oneline" '
        f'role="{"group" if paints is not None and not standalone else "img"}" aria-label="{name}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"{fit}>'
        f"{style}<title>{name}</title>{''.join(parts)}</svg>\n"
    )


def _wire(wire: WirePath) -> str:
    path = (
        f'<path class="feed{" b" if wire.second else ""}" d="M{wire.x0:.1f} {wire.y0:.1f}'
        f'V{wire.middle_y:.1f}H{wire.x1:.1f}V{wire.y1:.1f}"/>'
    )
    if wire.breaker:
        x, y, s = wire.x1 - CUT / 2, wire.y1 - 1.5 * CUT, f"{CUT:g}"
        path += (
            f'<path class="cut" d="M{x:.1f} {y:.1f}h{s}v{s}h-{s}zM{x:.1f} {y:.1f}l{s} {s}'
            f'm0 -{s}l-{s} {s}"/>'
        )
    return path


def _card(card: BoxCard) -> str:
    left, y, width, height, box = card.x, card.y, card.width, card.height, card.box
    over = " over" if card.paint is not None and card.paint.shade == "h3" else ""
    parts = [
        f'<rect class="card{over}" x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="6"/>'
    ]
    if card.paint is not None:
        share = min(1.0, card.paint.share) if card.paint.share is not None else 1.0
        parts += [
            f'<rect class="{name}" x="{left + 8:.1f}" y="{y + height - 7:.1f}" '
            f'width="{(width - 16) * part:.1f}" height="3.5" rx="1.7"/>'
            for name, part in (("gauge", 1.0), (f"fill {card.paint.shade}", share))
        ]
    parts.append(
        f"{_symbol(SYMBOLS[box.kind], left + 9, y + 8)}"
        f'<text class="title" x="{left + 32:.1f}" y="{y + 20:.1f}">{escape(box.title)}</text>'
    )
    if box.battery:
        parts.append(_symbol(BATTERY, left + width - 24, y + 9))
    parts += [
        f'<text class="small" x="{left + 10:.1f}" y="{y + 36 + LINE * i:.1f}">{escape(line)}</text>'
        for i, line in enumerate(card.lines)
    ]
    if card.node is not None:
        return _node(card.node, card.paint, "".join(parts))
    for cell in card.cells:
        shade = cell.paint.shade if cell.paint is not None else "none"
        rect = (
            f'<rect class="cell fill {shade}{" over" if shade == "h3" else ""}" x="{cell.x:.1f}" '
            f'y="{cell.y:.1f}" width="{CELL}" height="{CELL}" rx="2.5"/>'
        )
        parts.append(_node(cell.name, cell.paint, rect))
    return f"<g>{''.join(parts)}</g>"


def _symbol(path: str, x: float, y: float) -> str:
    return f'<g class="symbol" transform="translate({x:.1f} {y:.1f})"><path d="{path}"/></g>'


def _node(name: str, paint: Paint | None, inside: str) -> str:
    """A part that stands for one node: titled, and clickable where the page has data."""
    label = escape(f"{name}: {paint.describe()}" if paint is not None else name, quote=True)
    role = ' role="button" tabindex="-1"' if paint is not None else ""
    return (
        f'<g class="node" data-node="{escape(name, quote=True)}"{role} aria-label="{label}">'
        f"<title>{label}</title>{inside}</g>"
    )
