"""How often what feeds the racks may trip: three ways to bound it, and which of them holds.

1. By the labels: a load that stays under the pick-up with every server at its label cannot trip.
2. By bursts (`dcsim.studies.bursts`): whatever the law of the load, so many pieces of time above
   all that were seen would be needed, each at the labels' load.
3. By the tail (`dcsim.studies.tail`) of the highest trip ratios of independent blocks.

The second and the third are worked out with 97.5 % each, so that the better of both holds with
95 %; where neither can be, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.trip_ratio import Element
from dcsim.plant.topology import Topology
from dcsim.scenario.models import RowBudgetSpec, Scenario
from dcsim.studies.bursts import independent, joined, share_above, trips_per_piece
from dcsim.studies.heating import Heating
from dcsim.studies.statistics import CONFIDENCE
from dcsim.studies.tail import FARTHEST, LEAST_BLOCKS, Tail, chance_above

WAYS = 2
"""Between which the risk that is left to chance is shared."""
EACH_CONFIDENCE = 1.0 - (1.0 - CONFIDENCE) / WAYS
CONSTANT = 1e-9
NEGLIGIBLE = 1e-9
"""Trips in a run that no answer tells from none."""
NOTHING = Tail(math.nan, 1.0, math.nan, 0)


@dataclass(frozen=True, slots=True)
class PolicyHold:
    """The load that a policy holds a node to."""

    above_w: float
    """Above this load it acts."""
    react_s: float
    """Within this time its caps are in force, even if it looks at the wrong moment."""
    below: tuple[str, ...] = ()
    """Of a node that is not watched itself: the watched ones that feed all servers below it, whose
    sum `above_w` is; what flows beside them grows with them."""


@dataclass(frozen=True, slots=True)
class Risk:
    """Bound on trips in one run."""

    per_run: float
    """One-sided, 95 %; 1 or more where little is known, infinite where nothing is."""
    way: str
    """`constant`, `labels`, `bursts` or `tail`; empty where nothing can be said."""
    tail: Tail
    basis: str = ""
    """What it stands on, or why nothing can be said."""


@dataclass(frozen=True, slots=True)
class _Node:
    """One node's pieces over all runs; loads as shares of its rating."""

    name: str
    element: Element
    mean: float
    highest: float
    ceiling: float | None
    piece_s: float
    pieces: int
    """Of all runs together."""
    held: bool
    """By a policy."""

    def ceiling_at(self, factor: float, level: float) -> float:
        """Return the scaled load at the labels, never below the load itself."""
        assert self.ceiling is not None
        return max(self.ceiling * factor, self.highest_at(factor, level))

    def highest_at(self, factor: float, level: float) -> float:
        """Return the highest load, scaled as sums of independent loads are."""
        return level * (self.mean * factor + (self.highest - self.mean) * math.sqrt(factor))


class Exposure:
    """Runs of one scenario, and how near what feeds them came to a trip."""

    def __init__(
        self,
        runs: Sequence[Mapping[str, Heating]],
        elements: Mapping[str, Element],
        held: Mapping[str, PolicyHold] | None = None,
        *,
        controlled: bool = False,
    ) -> None:
        """`runs`: heating by node, of each run. `held`: what policies hold nodes to. `controlled`:
        policies act on the load, whose law may then have parts that no run met."""
        self._farthest = FARTHEST if controlled else math.inf
        self._runs = len(runs)
        names = [name for name in elements if runs and all(name in run for run in runs)]
        self._nodes = [
            _node(
                name,
                elements[name],
                [run[name] for run in runs],
                _above_share(name, runs, elements, (held or {}).get(name)),
            )
            for name in names
        ]
        ratios = np.array([[run[name].ratios for name in names] for run in runs])
        highest = ratios.max(axis=1) if ratios.size else np.zeros((self._runs, 1))
        blocks, _ = independent(highest, highest=True)
        self._blocks: FloatArray = blocks.ravel()
        self._per_run = blocks.shape[1]
        means = [
            float(np.mean([run[name].rms for run in runs])) / elements[name].pickup
            for name in names
        ]
        self._mean = max(means, default=0.0)
        self.constant = all(
            np.ptp([*run[name].loads, *runs[0][name].loads]) <= CONSTANT * (run[name].rms + 1e-300)
            for run in runs
            for name in names
        )
        """Whether every load is the same always."""

    @property
    def highest(self) -> float:
        """Highest trip ratio of all runs."""
        return float(self._blocks.max()) if len(self._blocks) else 0.0

    def risk(self, factor: float = 1.0, level: float = 1.0) -> Risk:
        """Bound on trips in a run. `factor`: of so many times the units, the runs' loads scaled;
        `level`: all loads times this."""
        certain = self._certain(factor, level)
        if certain is not None:
            return certain
        if self._runs < LEAST_BLOCKS:
            basis = f"{self._runs} runs tell nothing of rare events: {LEAST_BLOCKS} are the least"
            return Risk(math.inf, "", NOTHING, basis)
        tail = self._tail(factor, level)
        by_tail = math.inf if tail.refusal else tail.at_most * self._per_run
        by_bursts = self.by_bursts(factor, level)
        if math.isinf(min(by_tail, by_bursts)):
            basis = f"{tail.refusal}, and bursts that no run has met could trip it"
            return Risk(math.inf, "", tail, basis)
        if by_bursts <= max(by_tail, NEGLIGIBLE):  # it assumes less
            return Risk(
                by_bursts, "bursts", tail, "; ".join(map(self._piece_sentence, self._nodes))
            )
        return Risk(by_tail, "tail", tail, f"the tail of {tail.blocks} blocks' trip ratios")

    def by_tail(self, factor: float = 1.0, level: float = 1.0) -> float:
        """Bound on trips in a run by what is certain, or by the tail alone; infinite without."""
        certain = self._certain(factor, level)
        if certain is not None:
            return certain.per_run
        if self._runs < LEAST_BLOCKS:
            return math.inf
        tail = self._tail(factor, level)
        return math.inf if tail.refusal else tail.at_most * self._per_run

    def by_bursts(self, factor: float = 1.0, level: float = 1.0) -> float:
        """Bound the trips in a run by bursts alone; infinite where nothing can be said."""
        if self._runs < LEAST_BLOCKS:
            return math.inf
        total = 0.0
        confidence = 1.0 - (1.0 - EACH_CONFIDENCE) / max(1, len(self._nodes))
        for node in self._nodes:
            if node.ceiling is None or not node.pieces:
                return math.inf
            trips = trips_per_piece(
                node.element,
                node.highest_at(factor, level),
                node.ceiling_at(factor, level),
                node.piece_s,
                share_above(node.pieces, confidence),
            )
            if trips >= 1.0:
                return math.inf
            total += trips * node.pieces / self._runs
        return total

    def _certain(self, factor: float, level: float) -> Risk | None:
        """Return the risk that needs no extrapolation; None where there is none."""
        nodes = self._nodes
        if self.constant and nodes:
            over = any(n.element.trips_at(n.highest_at(factor, level)) for n in nodes)
            return Risk(1.0 if over else 0.0, "constant", NOTHING, "the load is constant")
        below = [n.ceiling is not None and n.ceiling * factor < n.element.pickup for n in nodes]
        if all(below):
            basis = "with every server at its label the load stays under the earliest pick-up"
            return Risk(0.0, "labels", NOTHING, basis)
        return None

    def _tail(self, factor: float, level: float) -> Tail:
        base = self._mean
        ratios = level * (base * factor + (self._blocks - base) * math.sqrt(factor))
        return chance_above(ratios, 1.0, EACH_CONFIDENCE, farthest=self._farthest)

    def _piece_sentence(self, node: _Node) -> str:
        rating_kw = node.element.rating_w / 1e3
        assert node.ceiling is not None
        confidence = 1.0 - (1.0 - EACH_CONFIDENCE) / len(self._nodes)
        share = share_above(node.pieces, confidence)
        hold_s = node.element.hold_s(node.highest, node.ceiling)
        lasts = "for good" if math.isinf(hold_s) else f"{hold_s:,.0f} s"
        held = " (or where its policy acts)" if node.held else ""
        return (
            f"{node.name}: none of {node.pieces:,} pieces of {node.piece_s:.3g} s was above "
            f"{node.highest * rating_kw:,.1f} kW{held}, so at most {100 * share:.2g} % of all "
            f"are; even the labels' {node.ceiling * rating_kw:,.0f} kW it would carry {lasts}"
        )


def _above_share(
    name: str,
    runs: Sequence[Mapping[str, Heating]],
    elements: Mapping[str, Element],
    held: PolicyHold | None,
) -> tuple[float, float] | None:
    """What policies let through, as a share of a node's rating, and for how long, s; None where
    none holds it."""
    if held is None:
        return None
    felt = max(run[name].felt for run in runs)
    rating_w = elements[name].rating_w
    if not held.below:
        return held.above_w * felt / rating_w, held.react_s
    if not all(below in run for run in runs for below in held.below):
        return None
    shares = []
    for run in runs:
        of_w = sum(run[at].rms * elements[at].rating_w / run[at].felt for at in held.below)
        shares.append(run[name].rms * rating_w / of_w if of_w else math.inf)
    return held.above_w * max(shares) / rating_w, held.react_s


def _node(
    name: str, element: Element, runs: Sequence[Heating], held: tuple[float, float] | None
) -> _Node:
    shortest = min(len(run.loads) for run in runs)
    loads = np.array([run.loads[-shortest:] for run in runs])
    step_s = runs[0].step_s
    ceilings = [run.ceiling for run in runs]
    ceiling = None if any(c is None for c in ceilings) else max(c for c in ceilings if c)
    least = 0.0
    if held is None:
        pieces, count = independent(loads, highest=False)
    else:
        # What it lets through ends within its reaction; a piece is not shorter.
        least, react_s = held
        count = min(shortest, max(1, math.ceil(react_s / step_s - 1e-9)))
        pieces = joined(loads, count, highest=False)
    return _Node(
        name=name,
        element=element,
        mean=float(np.mean([run.rms for run in runs])),
        highest=max(float(pieces.max()), least),
        ceiling=ceiling,
        piece_s=count * step_s,
        pieces=pieces.size,
        held=held is not None,
    )


def held_by_policies(scenario: Scenario) -> dict[str, PolicyHold]:
    """Nodes whose budgets are held by caps, by name: the load above which a policy acts, and how
    long it takes at most. A command in force is waited for before the next is given."""
    topology = Topology.build(scenario.facility)
    holds: dict[str, PolicyHold] = {}
    for spec in scenario.control:
        if not isinstance(spec, RowBudgetSpec):
            continue
        for node, (name, kind) in enumerate(zip(topology.names, topology.kinds, strict=True)):
            budget_w = spec.budget_w or float(topology.rating_w[node])
            if spec.nodes not in (name, kind) or not math.isfinite(budget_w):
                continue
            waits_s = spec.actuation_delay_s + spec.delay_s
            held = PolicyHold(spec.above * budget_w, spec.period_s + 2.0 * waits_s)
            if name not in holds or held.above_w < holds[name].above_w:
                holds[name] = held
    watched = {name: set(topology.servers_under(name)) for name in holds}
    for name in topology.names:
        servers = set(topology.servers_under(name))
        if name in holds or not servers:
            continue
        below = [at for at, mine in watched.items() if mine <= servers]
        alone = [at for at in below if not any(watched[at] < watched[up] for up in below)]
        counted = [server for at in alone for server in watched[at]]
        if len(counted) == len(servers) and set(counted) == servers:
            holds[name] = PolicyHold(
                sum(holds[at].above_w for at in alone),
                max(holds[at].react_s for at in alone),
                tuple(alone),
            )
    return holds
