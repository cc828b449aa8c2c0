"""The one-line diagram as a drawing: where its cards, wires and words stand, for any format."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcsim.report.oneline.diagram import Box, Diagram
from dcsim.report.oneline.layout import Item, place
from dcsim.report.text import percent
from dcsim.scenario.models.site import KINDS

LINE = 14.0
"""Height of a line under the title; all lengths are in px."""
GAP_X, GAP_Y = 14.0, 44.0
MARGIN = 16.0
LABELS = 86.0
"""Width of the column that names the layers."""
CELL, CELL_GAP = 13.0, 3.0
CELLS_WIDE = 6
"""At least so many cells in a line; large bundles are wider than high."""
CUT = 9.0
"""Side of a breaker's square."""
LAYER_NAMES = {"ups": "UPS", "pdu": "PDU", "rpp": "RPP", "rack-pdu": "Rack PDU"}


@dataclass(frozen=True, slots=True)
class Paint:
    """How loaded a node was."""

    share: float | None
    """Highest load over the rating; None: unknown."""
    trips: int = 0

    @property
    def shade(self) -> str:
        """Its colour: below half, below 80 %, below the rating, above it; `none` where unknown."""
        if self.share is None or math.isnan(self.share):
            return "none"
        return f"h{(self.share >= 0.5) + (self.share >= 0.8) + (self.share > 1.0)}"

    def describe(self) -> str:
        """In words, for those who do not see the colour."""
        text = "load of rating unknown" if self.share is None else f"peak {percent(self.share)}"
        return text + (f", {self.trips} trip{'s' * (self.trips != 1)}" if self.trips else "")


Paints = Mapping[str, Paint]
"""By node."""


def paints_of(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Paint]:
    """How loaded each node was, from the summary's `nodes`."""
    return {
        row["name"]: Paint(
            row["peak_w"] / row["limit_w"]
            if row.get("peak_w") is not None and row.get("limit_w")
            else None,
            int(row.get("trips") or 0),
        )
        for row in nodes
    }


@dataclass(frozen=True, slots=True)
class BundleCell:
    """A node within a bundle; its left upper corner."""

    name: str
    x: float
    y: float
    paint: Paint | None


@dataclass(frozen=True, slots=True)
class BoxCard:
    """A box as it stands; its left upper corner."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    lines: Sequence[str]
    """Under the title."""
    paint: Paint | None
    """Of the only node that it stands for."""
    cells: Sequence[BundleCell]

    @property
    def node(self) -> str | None:
        """The only node that it stands for."""
        return self.box.members[0] if len(self.box.members) == 1 else None


@dataclass(frozen=True, slots=True)
class WirePath:
    """A feed: down from (x0, y0), across at `middle_y`, down to (x1, y1)."""

    x0: float
    y0: float
    middle_y: float
    x1: float
    y1: float
    second: bool
    """Not the preferred feed."""
    breaker: bool
    """A breaker stands at its lower end."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything with its place; y grows downwards."""

    width: float
    height: float
    title: str
    layers: Sequence[tuple[str, float]]
    """Names of the layers, and the y of their middles."""
    wires: Sequence[WirePath]
    cards: Sequence[BoxCard]


def arrange(diagram: Diagram, paints: Paints | None = None) -> Drawing:
    """Give everything its place. `paints`: how loaded nodes were; None: that is not shown."""
    paints = paints or {}
    layers = _layers_of(diagram)
    feeds: dict[str, list[str]] = {box.key: [] for box in diagram.boxes}
    for link in diagram.links:
        feeds[link.below].append(link.above)
    lines = {box.key: _lines(box, paints) for box in diagram.boxes}
    size = {box.key: (_width(box, lines[box.key]), _height(box, lines[box.key]))
            for box in diagram.boxes}  # fmt: skip
    items = [
        Item(box.key, layers[box.key], size[box.key][0], feeds[box.key]) for box in diagram.boxes
    ]
    width = place(items, GAP_X) + LABELS + 2 * MARGIN
    heights = [0.0] * (max(layers.values()) + 1)
    for key, layer in layers.items():
        heights[layer] = max(heights[layer], size[key][1])
    tops, y = [], MARGIN
    for height in heights:
        tops.append(y)
        y += height + GAP_Y
    middles = {item.key: item.x + LABELS + MARGIN for item in items}
    kind_of = {layers[box.key]: box.kind for box in reversed(diagram.boxes)}
    cards = [
        _card(box, lines[box.key], middles[box.key], tops[layers[box.key]], size[box.key], paints)
        for box in diagram.boxes
    ]
    return Drawing(
        width,
        y - GAP_Y + MARGIN,
        diagram.title,
        [(LAYER_NAMES.get(kind, kind.capitalize()), tops[layer] + heights[layer] / 2)
         for layer, kind in sorted(kind_of.items())],
        _wires(diagram, {card.box.key: card for card in cards}, middles, layers, tops, heights),
        cards,
    )  # fmt: skip


def _layers_of(diagram: Diagram) -> dict[str, int]:
    """One layer a kind that is there, and always below what feeds it."""
    kinds = {box.kind for box in diagram.boxes}
    rank: dict[str, int] = {kind: i for i, kind in enumerate(k for k in KINDS if k in kinds)}
    layers = {box.key: rank[box.kind] for box in diagram.boxes}
    for link in diagram.links:
        layers[link.below] = max(layers[link.below], layers[link.above] + 1)
    return layers


def _lines(box: Box, paints: Paints) -> list[str]:
    """What is written under the title."""
    lines = list(box.lines)
    painted = [paints[name] for name in box.members if name in paints]
    shares = [paint.share for paint in painted if paint.share is not None]
    if shares and lines:
        lines[0] += f" · {'' if len(painted) == 1 else 'to '}{_short(max(shares))}"
    if box.breaker:
        trips = sum(paint.trips for paint in painted)
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


def _card(
    box: Box, lines: Sequence[str], middle: float, y: float, size: tuple[float, float],
    paints: Paints,
) -> BoxCard:  # fmt: skip
    width, height = size
    left, columns = middle - width / 2, _columns(box)
    cells_y = y + 28 + LINE * len(lines)
    cells = [
        BundleCell(name, left + 10 + (i % columns) * (CELL + CELL_GAP),
             cells_y + (i // columns) * (CELL + CELL_GAP), paints.get(name))
        for i, name in enumerate(box.members[: box.cells])
    ]  # fmt: skip
    paint = paints.get(box.members[0]) if len(box.members) == 1 else None
    return BoxCard(box, left, y, width, height, lines, paint, cells)


def _wires(
    diagram: Diagram,
    cards: Mapping[str, BoxCard],
    middles: Mapping[str, float],
    layers: Mapping[str, int],
    tops: Sequence[float],
    heights: Sequence[float],
) -> list[WirePath]:
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
    wires = []
    for link in diagram.links:
        layer, above, below = layers[link.above], cards[link.above], cards[link.below]
        slots, track = sorted(leaving[link.above]), tracks[layer]
        lane = track[(link.above, link.slot) if count[link.below] > 1 else ("", 0)]
        room = min(6.0, (GAP_Y - 22) / max(1, len(track)))
        wires.append(WirePath(
            middles[link.above] + 8.0 * (slots.index(link.slot) - (len(slots) - 1) / 2),
            above.y + above.height,
            tops[layer] + heights[layer] + GAP_Y / 2 - 4 + room * (lane - (len(track) - 1) / 2),
            middles[link.below] + 14.0 * (link.slot - (count[link.below] - 1) / 2),
            below.y,
            link.slot > 0,
            below.box.breaker is not None,
        ))  # fmt: skip
    return wires
