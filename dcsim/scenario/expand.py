"""From the facility's table to its nodes: copies, their names, and what feeds each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from dcsim.errors import DcsimError


class Row(NamedTuple):
    """What counts of a row of the table."""

    name: str
    copies: int
    above: tuple[str, ...]
    """Rows it is fed from, the preferred first; none for the site."""


class Copy(NamedTuple):
    """One node."""

    name: str
    row: int
    """Index of its row in the table."""
    above: tuple[str, ...]
    """Names of the nodes that feed it, the preferred first."""


class FeedMismatchError(DcsimError, ValueError):
    """Feeds whose copies cannot be matched; `row` is the row's index."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


def expand(rows: Sequence[Row]) -> Iterator[Copy]:
    """All nodes, feeders before what they feed. The table must have one top and no cycles.

    Under one parent: `count` copies under each copy of it, named by path from below the site.
    Under several feeds, copies of these are matched in order: the first of each, the second of
    each; where one feed has fewer copies, each of its copies serves as many in a row (one reserve
    for four blocks, say). Such a node is named from the lowest node that all its feeds hang from.

    Raises FeedMismatchError where the copies of feeds do not divide into each other.
    """
    index = {row.name: i for i, row in enumerate(rows)}
    copies: dict[str, list[str]] = {}
    way: dict[str, tuple[str, ...]] = {}
    """From the top to a node, itself included, by preferred feeds."""
    for i in _in_order([[index[up] for up in row.above] for row in rows]):
        row = rows[i]
        made = copies[row.name] = []
        for base, feeds, numbers, total in _places(i, row, copies, way):
            prefix = "" if len(base) < 2 else f"{base[-1]}/"
            for number in numbers:
                name = prefix + (row.name if total == 1 else f"{row.name}-{number}")
                made.append(name)
                way[name] = (*(way[feeds[0]] if feeds else ()), name)
                yield Copy(name, i, feeds)


def _in_order(above: list[list[int]]) -> Iterator[int]:
    """Rows after all that feed them, in the table's order where that leaves a choice."""
    below: list[list[int]] = [[] for _ in above]
    for i, ups in enumerate(above):
        for up in ups:
            below[up].append(i)
    left = [len(ups) for ups in above]
    ready = [i for i, count in enumerate(left) if not count]
    while ready:
        i = heappop(ready)
        yield i
        for j in below[i]:
            left[j] -= 1
            if not left[j]:
                heappush(ready, j)


def _places(
    index: int, row: Row, copies: dict[str, list[str]], way: dict[str, tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], range, int]]:
    """Where a row's copies stand: way to the node they are named from, feeds, numbers, and how
    many there are of this name."""
    if not row.above:
        yield (), (), range(1, row.copies + 1), row.copies
        return
    lists = [copies[up] for up in row.above]
    if len(lists) == 1:
        for up in lists[0]:
            yield way[up], (up,), range(1, row.copies + 1), row.copies
        return
    most = max(map(len, lists))
    for name, feeders in zip(row.above, lists, strict=True):
        if most % len(feeders):
            message = (
                f"its feeds have {most} and {len(feeders)} copies ('{name}'), which do not fit"
            )
            raise FeedMismatchError(index, message)
    matched = [tuple(feeders[k * len(feeders) // most] for feeders in lists) for k in range(most)]
    bases = [_common([way[up] for up in feeds]) for feeds in matched]
    totals = {base: bases.count(base) * row.copies for base in set(bases)}
    begun = dict.fromkeys(totals, 1)
    for feeds, base in zip(matched, bases, strict=True):
        first = begun[base]
        begun[base] += row.copies
        yield base, feeds, range(first, first + row.copies), totals[base]


def _common(ways: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The way that all share."""
    shared = 0
    for steps in zip(*ways, strict=False):
        if len(set(steps)) > 1:
            break
        shared += 1
    return ways[0][:shared]


def named(names: Iterable[str], short: str) -> list[str]:
    """The nodes that a short name may mean: the one of that very name, or else those whose last
    steps it is, as `ups-b` is of `utility-b/ups-b`."""
    known = list(names)
    if short in known:
        return [short]
    return [name for name in known if name.endswith("/" + short)]
