"""Continuous allowances and demand limits under loads that a loss would leave to the rest."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dcsim.arrays import FloatArray
from dcsim.facility.continuous import ContinuousMonitor
from dcsim.facility.demand import build_windows
from dcsim.facility.events import percent
from dcsim.facility.inputs import SiteInputs
from dcsim.facility.limit_words import kind_label, label
from dcsim.scenario.models import Scenario
from dcsim.spec.units import SECOND
from dcsim.studies.figures import NAN, name_list, watts_text
from dcsim.studies.limits import left_out, limits_of
from dcsim.studies.outcome import RunOutcome

WORSE = 1.0001
"""A loss that adds less to a limit's share changes nothing that a planner would see."""
LIMIT_COLUMNS = {
    "lost": "the node that is lost; empty: none, all is in order",
    "node": "whose limit it is",
    "limit": "what is limited, and to how much",
    "limit_kind": "continuous or demand",
    "limit_w": "the limit, W",
    "highest_w": "highest mean, had the node been lost all the time, W",
    "of_limit": "that over the limit; empty: no window was whole",
    "over_s": "time above the limit, s",
    "usual_of_limit": "the same share with all in order",
}
LIMIT_SHOWN = ("lost", "node", "limit", "highest_w", "of_limit", "usual_of_limit")


class LossLimits:
    """The limits of a site besides its ratings, under redistributed loads, interval by interval."""

    def __init__(self, inputs: SiteInputs, step_s: float, start_s: float) -> None:
        topology = inputs.topology
        self._names = topology.names
        self._windows = build_windows(topology, step_s, start_s, inputs.clock_s)
        self._steady = ContinuousMonitor(topology, inputs.limits, step_s, start_s)

    def step(self, now_s: float, node_w: FloatArray, felt_w: FloatArray) -> None:
        """Take the loads of one interval, in watts and as ratings feel them, shape (nodes,)."""
        self._steady.step(now_s, felt_w)
        for window in self._windows:
            window.step(now_s, node_w)

    def rows(self, now_s: float) -> list[dict[str, Any]]:
        """Return a row for each limit, as far as the intervals have shown."""
        self._steady.finish(now_s)
        limits = [
            (spec, self._steady.tally.row(i, float(self._steady.limit_w[i])))
            for i, spec in enumerate(self._steady.specs())
        ]
        for window in self._windows:
            limit_w = window.limits_at(0.0)
            limits += [
                (spec, window.tally.row(i, float(limit_w[i])))
                for i, spec in enumerate(window.specs())
            ]
        rows = []
        for spec, row in limits:
            words = {"kind": spec.kind, "window_s": spec.window_s, "windows": spec.windows}
            words |= {"limit_w": row["limit_w"]}
            rows.append(
                {
                    "node": self._names[spec.node],
                    "limit": label(words),
                    "limit_kind": spec.kind,
                    "what": kind_label(words),
                    "limit_w": row["limit_w"],
                    "highest_w": NAN if row["highest_w"] is None else row["highest_w"],
                    "of_limit": NAN if row["share"] is None else row["share"],
                    "over_s": NAN if row["over_s"] is None else row["over_s"],
                }
            )
        return rows


def limit_frame(rows: dict[str | None, list[dict[str, Any]]]) -> pd.DataFrame:
    """Rows by lost node (None: all in order), the worst on top. Of a loss, the limits that it
    makes worse, or breaks."""
    usual = [row["of_limit"] for row in rows[None]]
    listed = [
        {**row, "lost": lost, "usual_of_limit": before}
        for lost, limits in rows.items()
        for row, before in zip(limits, usual, strict=True)
    ]
    frame = pd.DataFrame(listed, columns=[*LIMIT_COLUMNS, "what"])
    frame = frame[frame["lost"].isna() | (frame["of_limit"] > WORSE * frame["usual_of_limit"])]
    order = frame["of_limit"].sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def usual_sentences(frame: pd.DataFrame) -> list[str]:
    """Say which limits are passed with all in order."""
    usual = frame[frame["lost"].isna() & (frame["of_limit"] > 1.0)]
    return [
        f"With all in order already: {_sentence(str(what), rows)}."
        for what, rows in usual.groupby("what", sort=False)
    ]


def loss_sentences(frame: pd.DataFrame) -> list[str]:
    """Sentences on limits that a loss breaks, the worst first: kept with all in order."""
    broken = frame[frame["lost"].notna() & (frame["of_limit"] > 1.0)]
    broken = broken[~(broken["usual_of_limit"] > 1.0)]
    return [
        f"{rows['lost'].iloc[0]} lost for good: {_sentence(rows['what'].iloc[0], rows)}."
        for _, rows in broken.groupby(["lost", "what"], sort=False)
    ]


def left_out_sentences(
    base: Scenario, whole: RunOutcome, frame: pd.DataFrame, window_s: float
) -> list[str]:
    """Limits that are not judged here, by name, and what to do. `whole`: the run with all in
    order."""
    sentences = left_out([whole], kinds=("rating", "continuous", "demand"))
    judged = {
        (figure.node, figure.label) for figure in limits_of(whole) if figure.share is not None
    }
    sentences += [
        f"Not judged: {row['node']}, {row['limit']}: no whole window in intervals of "
        f"{SECOND.format(window_s)}; play a longer run."
        for row in frame[frame["lost"].isna() & frame["of_limit"].isna()].to_dict("records")
        if (row["node"], row["limit"]) in judged
    ]
    short = [
        f"{node.name} ({SECOND.format(demand.window_s)})"
        for node in base.facility
        for demand in node.demand
        if demand.window_s < window_s
    ]
    if short:
        sentences.append(
            f"Demand windows shorter than {SECOND.format(window_s)} are held to means over that: "
            f"{name_list(short)}; give a shorter --window."
        )
    return sentences


def _sentence(what: str, rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    others = len(rows) - 1
    return (
        f"{first['node']}, {what} {watts_text(first['highest_w'])} of "
        f"{watts_text(first['limit_w'])} ({percent(first['of_limit'])})"
        + (f" and {others:,} more" if others else "")
    )
