"""Which limits a run met, of all kinds: for every study that asks whether something fits.

    from dcsim.studies.limits import left_out, limits_of

    for limit in limits_of(outcome):
        print(limit.node, limit.label, limit.share)  # site 15 min demand 1 MW 1.573

    notes = left_out([outcome], kinds=("rating",))   # sentences: what was not looked at
    allowed_w = continuous_w(scenario)["row"]        # before anything is played

`limits_of` reads `summary["limits"]`, the one list of ratings, continuous allowances, demand
windows and ramps. A rating may be held to means over a window of the study's choice instead of
single power steps (`rating_window_s`); all other limits bring their own averaging time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dcsim.facility.events import percent
from dcsim.facility.limit_words import kind_label, label, unjudged
from dcsim.facility.limits import stated_limits
from dcsim.facility.tally import LIMIT_KINDS
from dcsim.plant import Plant
from dcsim.scenario.models import Scenario
from dcsim.spec.units import WATT
from dcsim.studies.ask import load_rows
from dcsim.studies.figures import name_list
from dcsim.studies.outcome import RunOutcome

Key = tuple[str, str, float | None, str | None, int]
"""Node, kind, window, way of windows, and a number among several alike: the same limit in every
run of a scenario and its variants."""


@dataclass(frozen=True, slots=True)
class LimitFigure:
    """One limit of a site, and what a run made of it. Unknown is None."""

    key: Key
    node: str
    node_kind: str
    kind: str
    label: str
    """What is limited and to how much: `15 min demand 1 MW`."""
    kind_label: str
    """What is limited: `15 min demand`."""
    rule: str
    limit_w: float
    highest_w: float | None
    share: float | None
    """Highest over its limit; None where no window has been whole."""
    over_s: float | None
    """Time above the limit; of a rating at every power step, whatever `rating_window_s`."""
    measured_s: float
    """What the figure is a mean over: of a continuous load less than three hours in a shorter
    run."""
    unjudged: str
    """Why it could not be judged; empty where it was."""

    @property
    def met(self) -> bool | None:
        """Whether the limit was reached; None where it could not be judged."""
        return None if self.share is None else self.share >= 1.0


def limits_of(outcome: RunOutcome, *, rating_window_s: float | None = None) -> list[LimitFigure]:
    """The limits of a run's site, ratings first, each kind in node order.

    `rating_window_s` holds ratings to the highest mean over it (one of the outcome's averaging
    times); None: to every power step. Servers' ratings are judged by power steps always.
    """
    loads = None if rating_window_s is None else load_rows(outcome, rating_window_s)
    peaks_w = {node["name"]: node["peak_w"] for node in outcome.summary["nodes"]}
    seen: dict[tuple[Any, ...], int] = {}
    figures = []
    for row in outcome.summary["limits"]:
        short = (row["node"], row["kind"], row["window_s"], row["windows"])
        number = seen[short] = seen.get(short, -1) + 1
        highest_w, share = row["highest_w"], row["share"]
        if loads is not None and row["kind"] == "rating" and row["node"] in loads:
            # Ratings feel the worst pole, or volt-amperes: by as much as at the highest step.
            peak_w = peaks_w[row["node"]]
            felt = highest_w / peak_w if highest_w is not None and peak_w else 1.0
            window_w = loads[row["node"]]["peak_w"]
            highest_w = None if window_w is None else window_w * felt
            share = None if highest_w is None else highest_w / row["limit_w"]
        figures.append(
            LimitFigure(
                key=(*short, number),
                node=row["node"],
                node_kind=row["node_kind"],
                kind=row["kind"],
                label=label(row),
                kind_label=kind_label(row),
                rule=row["rule"],
                limit_w=row["limit_w"],
                highest_w=highest_w,
                share=share,
                over_s=row["over_s"],
                measured_s=row["measured_s"],
                unjudged=unjudged(row) if share is None else "",
            )
        )
    return figures


def redundancy_not_kept(outcomes: Iterable[RunOutcome]) -> list[str]:
    """Of paired feeds that could not have borne a loss, the fullest of all runs, in a sentence;
    empty where all could, or nothing shares a load by feeds."""
    rows = [row for outcome in outcomes for row in outcome.summary.get("redundancy") or ()]
    judged = [row for row in rows if row["would_carry_w"] is not None]
    if not judged:
        return []
    worst = max(judged, key=lambda row: row["would_carry_w"] / row["limit_w"])
    share = worst["would_carry_w"] / worst["limit_w"]
    if share <= 1.0:
        return []
    carried_w, limit_w = (round(worst[key], -2) for key in ("would_carry_w", "limit_w"))
    return [
        f"N-1 is no limit here, and was NOT kept: with {worst['node']} lost, {worst['survivor']} "
        f"would have carried up to {WATT.format(carried_w)}, {percent(share)} of the "
        f"{WATT.format(limit_w)} that it may carry for good."
    ]


def left_out(outcomes: Iterable[RunOutcome], kinds: Sequence[str] = LIMIT_KINDS) -> list[str]:
    """What a study that judges `kinds` says nothing of, in sentences: limits of other kinds, and
    those whose windows no run filled; and paired feeds of which one could not have borne the loss
    of another, unless `kinds` are some only."""
    outcomes = list(outcomes)
    others: dict[str, list[str]] = {}
    unfilled: dict[Key, str] = {}
    judged: set[Key] = set()
    for outcome in outcomes:
        for figure in limits_of(outcome):
            if figure.kind not in kinds:
                names = others.setdefault(figure.kind_label, [])
                if figure.node not in names:
                    names.append(figure.node)
            elif figure.met is None:
                unfilled.setdefault(figure.key, figure.unjudged)
            else:
                judged.add(figure.key)
    sentences = [
        f"Not judged here: {what} limits of {name_list(names)}." for what, names in others.items()
    ]
    for key, why in unfilled.items():
        if key not in judged:
            sentences.append(f"Not judged: {why}.")
    return sentences + (redundancy_not_kept(outcomes) if kinds == LIMIT_KINDS else [])


def continuous_w(scenario: Scenario) -> dict[str, float]:
    """What each rated node may carry for three hours or more, W, by the node's name."""
    return {
        row["node"]: row["limit_w"]
        for row in stated_limits(Plant.build(scenario))
        if row["kind"] == "continuous"
    }
