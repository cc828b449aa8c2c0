"""What runs made of the limits of all kinds: a table, sentences, and times above them by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dcsim.facility.continuous import CONTINUOUS_S
from dcsim.facility.events import duration, percent
from dcsim.facility.tally import LIMIT_KINDS
from dcsim.studies.answer import Table
from dcsim.studies.figures import NAN, mean_of_known, watts_text
from dcsim.studies.limits import Key, LimitFigure, limits_of
from dcsim.studies.outcome import RunOutcome

LIMIT_COLUMNS = {
    "node": "whose limit it is",
    "limit": "what is limited, and to how much",
    "limit_kind": "rating, continuous, demand or ramp",
    "rule": "what it is by",
    "limit_w": "the limit, W",
    "highest_w": "highest figure: load, mean or move; mean over seeds, W",
    "of_limit": "that over the limit; empty: no run could judge it",
    "highest_of_limit": "the highest among the seeds, over the limit",
    "over_s": "time above the limit a run, mean over seeds, s",
    "runs": "runs that could judge it",
    "runs_over": "of these, with the figure above the limit",
}
LIMIT_SHOWN = ("node", "limit", "highest_w", "of_limit", "over_s", "runs_over")
OVER_COLUMNS = {
    "over_rating_s": "time above a rating of the node longest above its own, s",
    "over_continuous_s": "time above a continuous allowance, the same, s",
    "over_demand_s": "time above a demand limit, the same, s; unknown where no window was whole",
    "over_ramp_s": "time with a move above a ramp limit, the same, s",
    "worst_limit": "the limit of any kind that was nearest, or furthest passed: its node",
    "worst_limit_what": "which of the node's it is",
    "worst_limit_share": "the highest figure over that limit",
}
"""Columns of one run that `over_figures` fills."""
MOST_SENTENCES = 4
"""Further kinds of limits that were not kept are counted."""


def limit_table(outcomes: Sequence[RunOutcome], title: str = "limits of all kinds") -> Table:
    """A row a limit over runs of one site (seeds), the worst on top, those not judged last."""
    frame = limit_frame(outcomes)
    over = int((frame["runs_over"] > 0).sum())
    return Table(frame, title, LIMIT_COLUMNS, LIMIT_SHOWN, brief=max(over, 5))


def limit_frame(outcomes: Sequence[RunOutcome]) -> pd.DataFrame:
    """Return the rows of `limit_table`."""
    rows = []
    for figures in _by_limit(outcomes).values():
        first = figures[0]
        known = [figure for figure in figures if figure.share is not None]
        shares = [figure.share for figure in known if figure.share is not None]
        rows.append(
            {
                "node": first.node,
                "limit": first.label,
                "limit_kind": first.kind,
                "rule": first.rule,
                "limit_w": first.limit_w,
                "highest_w": mean_of_known([figure.highest_w for figure in known]),
                "of_limit": mean_of_known(shares),
                "highest_of_limit": max(shares, default=NAN),
                "over_s": mean_of_known([figure.over_s for figure in known]),
                "runs": len(known),
                "runs_over": sum(share > 1.0 for share in shares),
            }
        )
    frame = pd.DataFrame(rows, columns=list(LIMIT_COLUMNS))
    return frame.sort_values("of_limit", ascending=False, kind="stable", ignore_index=True)


def over_figures(outcome: RunOutcome) -> dict[str, Any]:
    """One run's OVER_COLUMNS; NaN and None where a site has no limit of a kind, or it could not be
    judged."""
    figures = limits_of(outcome)
    over: dict[str, Any] = {}
    for kind in LIMIT_KINDS:
        times = [
            figure.over_s for figure in figures if figure.kind == kind and figure.over_s is not None
        ]
        over[f"over_{kind}_s"] = max(times, default=NAN)
    judged = [figure for figure in figures if figure.share is not None]
    worst = max(judged, key=lambda figure: figure.share or 0.0, default=None)
    return over | {
        "worst_limit": None if worst is None else worst.node,
        "worst_limit_what": None if worst is None else worst.label,
        "worst_limit_share": NAN if worst is None or worst.share is None else worst.share,
    }


def limit_sentences(outcomes: Sequence[RunOutcome], whose: str = "") -> list[str]:
    """Sentences on limits that were not kept, one for each kind and window, the worst node first:
    `Limit not kept: site, 15 min demand 1.573 MW of 1 MW (157.3 %), above for 12 min a run, in 3 of
    3 runs.`

    `whose`: which of several variants the runs are of; it begins each sentence.
    """
    worst: dict[str, list[list[LimitFigure]]] = {}
    for figures in _by_limit(outcomes).values():
        known = [figure for figure in figures if figure.share is not None]
        if any((figure.share or 0.0) > 1.0 for figure in known):
            worst.setdefault(figures[0].kind_label, []).append(known)
    sentences = []
    groups = sorted(worst.items(), key=lambda item: -max(map(_highest, item[1])))
    for kind_label, limits in groups[:MOST_SENTENCES]:
        figures = max(limits, key=_highest)
        top = max(figures, key=lambda figure: figure.share or 0.0)
        over = sum((figure.share or 0.0) > 1.0 for figure in figures)
        runs = f", in {over} of {len(figures)} runs" if len(figures) > 1 else ""
        others = len(limits) - 1
        mean = ""
        if top.kind == "continuous" and top.measured_s < CONTINUOUS_S:
            mean = f", mean of {duration(top.measured_s)}, less than 3 h"
        more = f"; {others:,} more limit{'s' * (others > 1)} of this kind" if others else ""
        sentences.append(
            f"{whose + ': ' if whose else ''}Limit not kept: {top.node}, {kind_label} "
            f"{watts_text(top.highest_w)} of {watts_text(top.limit_w)} "
            f"({percent(top.share or 0.0)}{mean}), "
            f"above for {duration(mean_of_known([figure.over_s for figure in figures]))}"
            f"{' a run' if len(figures) > 1 else ''}{runs}{more}."
        )
    rest = len(groups) - MOST_SENTENCES
    if rest > 0:
        sentences.append(f"{rest} more kinds of limits were not kept: see the table of limits.")
    return sentences


def _by_limit(outcomes: Sequence[RunOutcome]) -> Mapping[Key, list[LimitFigure]]:
    by_limit: dict[Key, list[LimitFigure]] = {}
    for outcome in outcomes:
        for figure in limits_of(outcome):
            by_limit.setdefault(figure.key, []).append(figure)
    return by_limit


def _highest(figures: Sequence[LimitFigure]) -> float:
    return max((figure.share or 0.0) for figure in figures)
