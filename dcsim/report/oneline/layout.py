"""Where the boxes of a one-line diagram stand: one layer a kind, parents over their children.

A tidy tree after Reingold and Tilford (IEEE TSE 1981): subtrees are laid out first, then pushed
together until their outlines touch, and a parent stands over the middle of its children. Boxes
have widths of their own, and a line that passes a layer keeps a lane there. What hangs from
several feeds is then drawn towards all of them, layer by layer, in the order found before.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LANE = 14.0
"""Half the width kept free for a line that passes a layer."""
SWEEPS = 8


@dataclass(slots=True)
class Item:
    """What layout knows of a box."""

    key: str
    layer: int
    width: float
    feeds: Sequence[str]
    """Keys of what it hangs from, the preferred first."""
    x: float = 0.0
    """Found: its centre."""
    children: list[Item] = field(default_factory=list)
    """By preferred feed."""


Outline = dict[int, tuple[float, float]]
"""Leftmost and rightmost x by layer, from the middle of the subtree's root."""


def place(items: Sequence[Item], gap: float) -> float:
    """Set `x` of every item, the leftmost edge at 0; returns the whole width. The first item is
    the top; feeds come before what they feed."""
    by_key = {item.key: item for item in items}
    for item in items:
        if item.feeds:
            by_key[item.feeds[0]].children.append(item)
    _tidy(items[0], gap)
    _down(items[0])
    if any(len(item.feeds) > 1 for item in items):
        _pull(items, by_key, gap)
    left = min(item.x - item.width / 2 for item in items)
    for item in items:
        item.x -= left
    return max(item.x + item.width / 2 for item in items)


def _tidy(root: Item, gap: float) -> Outline:
    """Children's x from their parent's middle; returns the outline of the whole."""
    whole: Outline = {}
    places: list[float] = []
    for child in root.children:
        outline = _tidy(child, gap)
        for passed in range(root.layer + 1, child.layer):
            outline[passed] = (-LANE, LANE)
        shift = max(
            (whole[k][1] + gap - outline[k][0] for k in outline.keys() & whole.keys()),
            default=0.0,
        )
        places.append(shift)
        for k, (low, high) in outline.items():
            before = whole.get(k, (low + shift, high + shift))
            whole[k] = (min(before[0], low + shift), max(before[1], high + shift))
    middle = (places[0] + places[-1]) / 2 if places else 0.0
    for child, at in zip(root.children, places, strict=True):
        child.x = at - middle
    whole = {k: (low - middle, high - middle) for k, (low, high) in whole.items()}
    whole[root.layer] = (-root.width / 2, root.width / 2)
    return whole


def _down(root: Item) -> None:
    """From places relative to the parent to places on the sheet."""
    for child in root.children:
        child.x += root.x
        _down(child)


def _pull(items: Sequence[Item], by_key: Mapping[str, Item], gap: float) -> None:
    """Draw items towards the middle of all their feeds, and feeds over what they feed."""
    layers: dict[int, list[Item]] = {}
    fed: dict[str, list[Item]] = {item.key: [] for item in items}
    for item in items:
        layers.setdefault(item.layer, []).append(item)
        for feed in item.feeds:
            fed[feed].append(item)
    for layer in layers.values():
        layer.sort(key=lambda item: item.x)
    for _ in range(SWEEPS):
        for number in sorted(layers):
            targets = [
                _mean([by_key[feed].x for feed in item.feeds]) if len(item.feeds) > 1 else item.x
                for item in layers[number]
            ]
            before = [item.x for item in layers[number]]
            _resolve_overlaps(layers[number], targets, gap)
            for item, x in zip(layers[number], before, strict=True):
                _carry(item, item.x - x)
        for number in sorted(layers, reverse=True):
            targets = [
                _mean([child.x for child in fed[item.key]]) if fed[item.key] else item.x
                for item in layers[number]
            ]
            _resolve_overlaps(layers[number], targets, gap)


def _carry(item: Item, by: float) -> None:
    """Move what hangs below along."""
    for child in item.children:
        child.x += by
        _carry(child, by)


def _resolve_overlaps(row: Sequence[Item], targets: Sequence[float], gap: float) -> None:
    """As near to the wanted places as order and gaps allow, in least squares: neighbours that
    would overlap become one block at their mean (pool adjacent violators)."""
    offsets = [0.0]
    for left, right in itertools.pairwise(row):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + gap)
    blocks: list[tuple[float, int]] = []
    for target, offset in zip(targets, offsets, strict=True):
        mean, size = target - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, count = blocks.pop()
            mean, size = (other * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    flat = [mean for mean, size in blocks for _ in range(size)]
    for item, base, offset in zip(row, flat, offsets, strict=True):
        item.x = base + offset


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
