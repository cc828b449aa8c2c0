"""Draws a one-line diagram as SVG: cards on layers, lines with breakers between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from dcsim.report.oneline.diagram import Box, Diagram
from dcsim.report.oneline.layout import Item, place
from dcsim.report.oneline.symbols import BATTERY, SYMBOLS
from dcsim.report.text import percent
from dcsim.scenario.models.site import KINDS

LINE = 14.0
GAP_X = 14.0
GAP_Y = 44.0
MARGIN = 16.0
LABELS = 86.0
"""Width of the column that names the layers."""
CELL, CELL_GAP = 13.0, 3.0
CELLS_WIDE = 6
"""At least so many cells in a line; large bundles are wider than high."""

STANDALONE = """
svg.oneline{--ink:#1d2730;--soft:#5c6873;--line:#8793a0;--card:#ffffff;--edge:#c3ccd4;--ground:#fafbfb;
--b:#b3540e;--h0:#dcebf5;--h1:#9fcae6;--h2:#f3c969;--h3:#d9642c;--none:#eceff1;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
@media (prefers-color-scheme:dark){svg.oneline{--ink:#e8edf1;--soft:#a3b0bb;--line:#6f7d89;
--card:#1d2429;--edge:#3b464f;--ground:#14191d;--b:#e8a05c;--h0:#23394a;--h1:#2f6690;--h2:#b58a24;
--h3:#d9642c;--none:#2a3238}}
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


@dataclass(frozen=True, slots=True)
class Paint:
    """How loaded a node was."""

    share: float | None
    """Highest load over the rating; None: unknown."""
    trips: int = 0

    @property
    def shade(self) -> str:
        """Its class: below half, below 80 %, below the rating, above it; `none` where unknown."""
        if self.share is None or math.isnan(self.share):
            return "none"
        return f"h{(self.share >= 0.5) + (self.share >= 0.8) + (self.share > 1.0)}"

    def describe(self) -> str:
        """In words, for those who do not see the colour."""
        text = "load of rating unknown" if self.share is None else f"peak {percent(self.share)}"
        return text + (f", {self.trips} trip{'s' * (self.trips != 1)}" if self.trips else "")


def draw(
    diagram: Diagram, paint: Mapping[str, Paint] | None = None, standalone: bool = True
) -> str:
    """The diagram as an SVG element. `paint`, by node name, colours it and makes its nodes
    clickable (`data-node`); `standalone` gives it colours and fonts of its own, light and dark."""
    layers = layers_of(diagram)
    feeds: dict[str, list[str]] = {box.key: [] for box in diagram.boxes}
    for link in diagram.links:
        feeds[link.below].append(link.above)
    written = {box.key: _lines(box, paint) for box in diagram.boxes}
    size = {box.key: (_width(box, written[box.key]), _height(box, written[box.key]))
            for box in diagram.boxes}  # fmt: skip
    items = [
        Item(box.key, layers[box.key], size[box.key][0], feeds[box.key]) for box in diagram.boxes
    ]
    wide = place(items, GAP_X) + LABELS + 2 * MARGIN
    heights = [0.0] * (max(layers.values()) + 1)
    for box in diagram.boxes:
        heights[layers[box.key]] = max(heights[layers[box.key]], size[box.key][1])
    tops, y = [], MARGIN
    for height in heights:
        tops.append(y)
        y += height + GAP_Y
    tall = y - GAP_Y + MARGIN
    at = {item.key: item.x + LABELS + MARGIN for item in items}
    parts = [f'<rect class="ground" width="{wide:.0f}" height="{tall:.0f}" rx="6"/>']
    parts += _bands(diagram, layers, tops, heights)
    parts += _wires(diagram, size, at, layers, tops, heights)
    for box in diagram.boxes:
        corner = (at[box.key] - size[box.key][0] / 2, tops[layers[box.key]])
        parts.append(_card(box, written[box.key], corner, size[box.key], paint))
    style = f"<style>{STANDALONE}{STYLE}</style>" if standalone else ""
    title = escape(diagram.title)
    name = f"One-line diagram{' of ' + title if title else ''}"
    # In the page: shrunk to its width as long as it can be read.
    fit = (
        ""
        if standalone
        else f' style="width:100%;max-width:{wide:.0f}px;min-width:{0.7 * wide:.0f}px"'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="oneline" '
        f'role="{"group" if paint is not None and not standalone else "img"}" aria-label="{name}" '
        f'viewBox="0 0 {wide:.0f} {tall:.0f}" width="{wide:.0f}" height="{tall:.0f}"{fit}>'
        f"{style}<title>{name}</title>{''.join(parts)}</svg>\n"
    )


def layers_of(diagram: Diagram) -> dict[str, int]:
    """One layer a kind that is there, and always below what feeds it."""
    kinds = {box.kind for box in diagram.boxes}
    rank = {kind: i for i, kind in enumerate(kind for kind in KINDS if kind in kinds)}
    layers = {box.key: rank[box.kind] for box in diagram.boxes}  # type: ignore[index]
    for link in diagram.links:
        layers[link.below] = max(layers[link.below], layers[link.above] + 1)
    return layers


def _lines(box: Box, paint: Mapping[str, Paint] | None) -> list[str]:
    """What is written under the title."""
    lines = list(box.lines)
    painted = [paint[name] for name in box.members if name in paint] if paint is not None else []
    shares = [part.share for part in painted if part.share is not None]
    if shares and lines:
        lines[0] += f" · {'' if len(painted) == 1 else 'to '}{_short(max(shares))}"
    if box.breaker:
        trips = sum(part.trips for part in painted)
        lines.append(f"⊠ {box.breaker}" + (f" · {trips} trip{'s' * (trips != 1)}" if trips else ""))
    return lines


def _short(share: float) -> str:
    """Whole per cent, and a tenth where it matters on which side of the limit it is."""
    return percent(share) if 0.99 < share < 1.01 else f"{100 * share:.0f} %"


def _width(box: Box, lines: Sequence[str]) -> float:
    texts = [len(box.title) * 7.4 + 30, *(len(line) * 6.0 for line in lines)]
    cells = min(box.cells, _columns(box)) * (CELL + CELL_GAP)
    return max(96.0, *(text + 22 for text in texts), cells + 20)


def _height(box: Box, lines: Sequence[str]) -> float:
    rows = -(-box.cells // _columns(box))
    return 32.0 + LINE * len(lines) + (4 if lines else 0) + rows * (CELL + CELL_GAP)


def _columns(box: Box) -> int:
    return max(CELLS_WIDE, math.ceil(math.sqrt(1.5 * box.cells)))


def _bands(
    diagram: Diagram, layers: Mapping[str, int], tops: Sequence[float], heights: Sequence[float]
) -> list[str]:
    """The names of the layers."""
    kind_of = {layers[box.key]: box.kind for box in reversed(diagram.boxes)}
    names = {"ups": "UPS", "pdu": "PDU", "rpp": "RPP", "rack-pdu": "Rack PDU"}
    return [
        f'<text class="band" x="{MARGIN}" y="{tops[layer] + heights[layer] / 2 + 4:.1f}">'
        f"{names.get(kind, kind.capitalize())}</text>"
        for layer, kind in sorted(kind_of.items())
    ]


def _wires(
    diagram: Diagram,
    size: Mapping[str, tuple[float, float]],
    at: Mapping[str, float],
    layers: Mapping[str, int],
    tops: Sequence[float],
    heights: Sequence[float],
) -> list[str]:
    """Feeds: down from the feeder, across between the layers, down to what is fed."""
    count: dict[str, int] = {}
    leaving: dict[str, set[int]] = {}
    for link in diagram.links:
        count[link.below] = max(count.get(link.below, 0), link.slot + 1)
        leaving.setdefault(link.above, set()).add(link.slot)
    # Lines that cross between two layers run at heights of their own, one a feeder and slot.
    tracks: dict[int, dict[tuple[str, int], int]] = {}
    for link in diagram.links:
        track = tracks.setdefault(layers[link.above], {})
        track.setdefault((link.above, link.slot) if count[link.below] > 1 else ("", 0), len(track))
    breakers = {box.key for box in diagram.boxes if box.breaker}
    parts = []
    for link in diagram.links:
        layer = layers[link.above]
        start_y = tops[layer] + size[link.above][1]
        slots = sorted(leaving[link.above])
        start_x = at[link.above] + 8.0 * (slots.index(link.slot) - (len(slots) - 1) / 2)
        end_x = at[link.below] + 14.0 * (link.slot - (count[link.below] - 1) / 2)
        end_y = tops[layers[link.below]]
        track = tracks[layer]
        lane = track[(link.above, link.slot) if count[link.below] > 1 else ("", 0)]
        room = min(6.0, (GAP_Y - 22) / max(1, len(track)))
        mid_y = tops[layer] + heights[layer] + GAP_Y / 2 - 4 + room * (lane - (len(track) - 1) / 2)
        parts.append(
            f'<path class="feed{" b" if link.slot else ""}" d="M{start_x:.1f} {start_y:.1f}'
            f'V{mid_y:.1f}H{end_x:.1f}V{end_y:.1f}"/>'
        )
        if link.below in breakers:
            x, y = end_x - 4.5, end_y - 13.5
            parts.append(
                f'<path class="cut" d="M{x:.1f} {y:.1f}h9v9h-9zM{x:.1f} {y:.1f}l9 9m0 -9l-9 9"/>'
            )
    return parts


def _card(
    box: Box,
    lines: Sequence[str],
    corner: tuple[float, float],
    size: tuple[float, float],
    paint: Mapping[str, Paint] | None,
) -> str:
    (left, y), (width, height) = corner, size
    parts = []
    single = box.members[0] if len(box.members) == 1 else None
    painted = paint.get(single) if paint is not None and single is not None else None
    over = " over" if painted is not None and painted.shade == "h3" else ""
    parts.append(
        f'<rect class="card{over}" x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="6"/>'
    )
    if painted is not None:
        share = min(1.0, painted.share) if painted.share is not None else 1.0
        parts.append(
            f'<rect class="gauge" x="{left + 8:.1f}" y="{y + height - 7:.1f}" '
            f'width="{width - 16:.1f}" height="3.5" rx="1.7"/>'
            f'<rect class="fill {painted.shade}" x="{left + 8:.1f}" y="{y + height - 7:.1f}" '
            f'width="{(width - 16) * share:.1f}" height="3.5" rx="1.7"/>'
        )
    parts.append(
        f'<g class="symbol" transform="translate({left + 9:.1f} {y + 8:.1f})">'
        f'<path d="{SYMBOLS[box.kind]}"/></g>'
        f'<text class="title" x="{left + 32:.1f}" y="{y + 20:.1f}">{escape(box.title)}</text>'
    )
    if box.battery:
        parts.append(
            f'<g class="symbol" transform="translate({left + width - 24:.1f} {y + 9:.1f})">'
            f'<path d="{BATTERY}"/></g>'
        )
    text_y = y + 36
    for line in lines:
        parts.append(
            f'<text class="small" x="{left + 10:.1f}" y="{text_y:.1f}">{escape(line)}</text>'
        )
        text_y += LINE
    if not box.members:
        return f"<g>{''.join(parts)}</g>"
    if single is not None:
        return _node(single, painted, "".join(parts))
    cells, columns = [], _columns(box)
    for i, name in enumerate(box.members[: box.cells]):
        cell_x = left + 10 + (i % columns) * (CELL + CELL_GAP)
        cell_y = text_y - 8 + (i // columns) * (CELL + CELL_GAP)
        node_paint = paint.get(name) if paint is not None else None
        shade = node_paint.shade if node_paint is not None else "none"
        over = " over" if shade == "h3" else ""
        rect = (
            f'<rect class="cell fill {shade}{over}" x="{cell_x:.1f}" y="{cell_y:.1f}" '
            f'width="{CELL}" height="{CELL}" rx="2.5"/>'
        )
        cells.append(_node(name, node_paint, rect))
    return f"<g>{''.join(parts)}{''.join(cells)}</g>"


def _node(name: str, paint: Paint | None, inside: str) -> str:
    """A part that stands for one node: titled, and clickable where the page has data."""
    label = escape(f"{name}: {paint.describe()}" if paint is not None else name, quote=True)
    role = ' role="button" tabindex="-1"' if paint is not None else ""
    return (
        f'<g class="node" data-node="{escape(name, quote=True)}"{role} aria-label="{label}">'
        f"<title>{label}</title>{inside}</g>"
    )


__all__ = ["STYLE", "Paint", "draw"]
