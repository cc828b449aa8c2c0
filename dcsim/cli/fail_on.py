"""`dcsim run --fail-on`: a run that ended, but not as it should, for scripts and CI."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import typer

from dcsim.facility.events import duration
from dcsim.facility.limit_words import label, unjudged
from dcsim.facility.tally import LIMIT_KINDS
from dcsim.report.redundancy_words import lost
from dcsim.report.text import percent
from dcsim.scenario.models import FacilityNode, Scenario

NAMED = 3
"""So many nodes are told by name, the rest counted."""


def parse(texts: Sequence[str] | None, scenario: Scenario) -> tuple[str, ...]:
    """What to fail on, each once, from `trip` or `trip,slo`. Raises typer.BadParameter for what
    is not known, and for what the scenario does not have, such as an SLO that nobody was promised:
    it could not fail."""
    nodes = scenario.facility
    kinds = [part.strip() for text in texts or () for part in text.split(",")]
    unknown = [part for part in kinds if part not in FAILURES]
    if unknown:
        known = ", ".join(FAILURES)
        raise typer.BadParameter(f"'{unknown[0]}' is not known; there is {known}")
    if "slo" in kinds and not any(_promised(tenant.slo) for tenant in scenario.tenants):
        raise typer.BadParameter(
            "slo: no tenant of the scenario has an SLO "
            "(give one: tenants: [{name: all, slo: {ttft: 1 s}}])"
        )
    if "redundancy" in kinds and not any(node.feeds for node in nodes):
        raise typer.BadParameter("redundancy: no node of the scenario has several `feeds`")
    for kind in kinds:
        if kind in KINDS and not any(_has(node, limit) for limit in KINDS[kind] for node in nodes):
            keys = " or ".join(dict.fromkeys(f"`{KEYS[limit]}`" for limit in KINDS[kind]))
            raise typer.BadParameter(f"{kind}: no node of the scenario has {keys}")
    return tuple(dict.fromkeys(kinds))


def _has(node: FacilityNode, limit: str) -> bool:
    return any(getattr(node, field) for field in FIELDS[limit])


def failures(summary: Mapping[str, Any], kinds: Iterable[str]) -> list[str]:
    """Sentences, one for each thing asked that has happened."""
    results = ((kind, FAILURES[kind](summary)) for kind in kinds)
    return [f"{kind}: {sentence}" for kind, sentence in results if sentence]


def _trips(summary: Mapping[str, Any]) -> str:
    tripped = [(node["name"], node["trips"]) for node in summary["nodes"] if node["trips"]]
    count = summary["events"]["trip"]
    if not count:
        return ""
    names = [name if times == 1 else f"{name} ({times} times)" for name, times in tripped]
    return f"{count:,} trip{'s' * (count > 1)}: {_shorten(names)}"


def _of_kinds(kinds: Sequence[str], summary: Mapping[str, Any]) -> str:
    """Limits of some kinds that were not kept, the worst first."""
    rows = [row for row in summary["limits"] if row["kind"] in kinds]
    over = [row for row in rows if row["share"] is not None and row["share"] > 1.0]
    if not over:
        return ""
    over.sort(key=lambda row: -row["share"])
    names = [
        f"{row['node']}, {label(row)}, {percent(row['share'])} of it, above for "
        f"{duration(row['over_s'])}"
        for row in over
    ]
    what = "1 limit was" if len(over) == 1 else f"{len(over):,} limits were"
    return f"{what} not kept: {_shorten(names, '; ')}"


def _redundancy(summary: Mapping[str, Any]) -> str:
    """Feeds whose loss the others could not have borne, the worst first."""
    names = [
        f"{row['survivor']} with {row['node']} lost, "
        f"{percent(row['would_carry_w'] / row['limit_w'])} of what it may carry for good, for "
        f"{duration(row['over_s'])}"
        for row in lost(summary["redundancy"])
    ]
    many = f"{len(names):,} survivor{'s' * (len(names) != 1)} could not have carried the load"
    return f"{many}: {_shorten(names, '; ')}" if names else ""


def unknown(summary: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Sentences on what `--fail-on` names and could not be judged: a limit is kept only where it
    is known to be."""
    names = tuple(names)
    kinds = {kind for name in names for kind in KINDS.get(name, ())}
    sentences = [
        unjudged(row) for row in summary["limits"] if row["kind"] in kinds and row["share"] is None
    ]
    if "slo" in names:
        sentences += [
            f"slo: no request of {tenant['name']} has ended; play longer"
            for tenant in summary["tenants"]
            if tenant["slo_target"] is not None and tenant["slo_attainment"] is None
        ]
    if "redundancy" in names:
        sentences += [
            f"redundancy: what {row['survivor']} would carry with {row['node']} lost is unknown"
            for row in summary["redundancy"]
            if row["would_carry_w"] is None
        ]
    return sentences


def _missed(summary: Mapping[str, Any]) -> str:
    missed = [
        f"{tenant['name']} had {percent(tenant['slo_attainment'])} of its requests within its SLO, "
        f"{percent(tenant['slo_target'])} were promised"
        for tenant in summary["tenants"]
        if tenant["slo_target"] is not None
        and tenant["slo_attainment"] is not None
        and tenant["slo_attainment"] < tenant["slo_target"]
    ]
    return "; ".join(missed)


def _promised(slo: Any) -> bool:
    return slo is not None and (slo.ttft_s is not None or slo.tpot_s is not None)


def _shorten(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - NAMED
    return between.join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


KINDS: Mapping[str, tuple[str, ...]] = {
    "overload": ("rating",),
    "continuous": ("continuous",),
    "demand": ("demand",),
    "ramp": ("ramp",),
    "limit": LIMIT_KINDS,
}
"""Kinds of limits by what can be asked."""
KEYS = {"rating": "rating", "continuous": "rating", "demand": "demand", "ramp": "ramp"}
"""Keys of a node that give a limit of each kind."""
RATED = ("rating_w", "apparent_rating_va")
FIELDS = {"rating": RATED, "continuous": RATED, "demand": ("demand",), "ramp": ("ramp",)}
"""The same as fields of the model, any of which will do."""


FAILURES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "trip": _trips,
    "slo": _missed,
    "redundancy": _redundancy,
    **{name: partial(_of_kinds, kinds) for name, kinds in KINDS.items()},
}
"""What can be asked, and what tells whether it happened: a sentence, or nothing."""
