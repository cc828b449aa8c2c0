"""How busy a study's fleet was, and what a busy one would draw."""

from __future__ import annotations

from collections.abc import Sequence

from dcsim.plant import Plant
from dcsim.results.shares import busy_text
from dcsim.scenario.models import Scenario
from dcsim.serving.site_capacity import lengths, pooled
from dcsim.studies.bench_site import SiteBench
from dcsim.studies.outcome import RunOutcome

FAR = 0.25
"""Below this share of what it can serve a fleet is far from busy. Ours: power grows fastest there,
from rest to the first requests."""
SAME_WATTS = 1.01
"""A busy server that draws no more than so many times what it drew is no warning."""
BUSY_SHARE = 0.7
"""Of what it can serve: as busy as a fleet is planned to be in its busiest hour. Ours."""
PLAYED_S = 120.0


def busy_sentences(outcomes: Sequence[RunOutcome]) -> tuple[str, ...]:
    """Say how busy the first of the runs was: the load behind the watts."""
    rows = outcomes[0].summary.get("serving") if outcomes else None
    return (f"Load: {busy_text(rows[-1])}.",) if rows else ()


def far_from_busy(outcomes: Sequence[RunOutcome]) -> bool:
    """Whether some server group's load is far below what it can serve."""
    rows = outcomes[0].summary.get("serving", ()) if outcomes else ()
    shares = [row["share_of_capacity"] for row in rows if row["group"] is not None]
    return any(share is not None and share < FAR for share in shares)


def far_from_busy_sentences(scenario: Scenario, outcomes: Sequence[RunOutcome]) -> tuple[str, ...]:
    """For answers whose fleet is far from busy: what a server of it draws, and a busy one; nothing
    for others.

    A busy one is played: up to eight replicas of each group, the scenario's own requests at
    BUSY_SHARE of the highest rate that keeps the SLO (estimated), power models and chassis as in
    the scenario, without policies and facility.
    """
    if not far_from_busy(outcomes):
        return ()
    lines = []
    for group, drawn_w, busy_w in busy_servers(scenario, outcomes):
        lines.append(
            f"Far from busy: a server of {group} draws {drawn_w / 1e3:,.2f} kW here; at "
            f"{100 * BUSY_SHARE:.0f} % of what it can serve within its SLO it draws "
            f"{busy_w / 1e3:,.2f} kW (played), "
            + (
                f"{busy_w / drawn_w:.2f} times as much. What fits here may not fit then."
                if busy_w > SAME_WATTS * drawn_w
                else "as much as here."
            )
        )
    return tuple(lines)


def busy_servers(
    scenario: Scenario, outcomes: Sequence[RunOutcome], share: float = BUSY_SHARE
) -> list[tuple[str, float, float]]:
    """Of each group far from busy its name, the mean watts of a server as it was played, and at a
    share of what it can serve. Groups that nobody asks anything are left out."""
    summary = outcomes[0].summary
    rows = {row["group"]: row for row in summary["serving"] if row["group"] is not None}
    drawn = {row["group"]: row["mean_w"] for row in summary["evidence"]["groups"]}
    plant = Plant.build(scenario)
    servers = []
    for model, sample in lengths(scenario).items():
        groups = [group for group in plant.groups if group.model.name == model]
        per_s = {g.name: rows[g.name]["capacity_per_s_replica"] for g in groups if g.name in rows}
        if None in per_s.values() or len(per_s) < len(groups):
            continue
        far = [name for name in per_s if (rows[name]["share_of_capacity"] or 0.0) < FAR]
        if not far:
            continue
        bench = SiteBench(plant, model, sample)
        rate = share * pooled((g, bench.replicas[g.name] * per_s[g.name]) for g in groups)
        server_w = bench.play(rate, played_s=PLAYED_S, watts=True).server_w
        for name in far:
            if drawn.get(name):
                servers.append((name, drawn[name] / rows[name]["servers"], server_w[name]))
    return servers


def watts_sentences(outcomes: Sequence[RunOutcome]) -> tuple[str, ...]:
    """The share of the watts that is measured, fitted, extrapolated, assumed, in a sentence."""
    evidence = outcomes[0].summary.get("evidence") if outcomes else None
    return (f"Of the watts {evidence['text']}.",) if evidence else ()
