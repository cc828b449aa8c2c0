"""Which limits a run met, of all kinds."""

from __future__ import annotations

from typing import Any

import pytest

from dcsim.facility.limit_words import label, unjudged
from dcsim.facility.limits import stated_limits
from dcsim.plant import Plant
from dcsim.scenario.load import loads
from dcsim.studies.limits import continuous_w, left_out, limits_of
from dcsim.studies.outcome import RunOutcome
from tests.scenario.sample import of_facility

WHOLE = {"rule": "", "highest_at_s": 1.0, "crossings": 0, "measured_s": 900.0, "partial_w": None}


def limit(
    node: str,
    kind: str,
    limit_w: float,
    highest_w: float | None,
    window_s: float | None = None,
    windows: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    share = None if highest_w is None else highest_w / limit_w
    return {
        "node": node, "node_kind": "row", "kind": kind, "limit_w": limit_w, "window_s": window_s,
        "windows": windows, "highest_w": highest_w, "share": share, "over_s": 0.0, **WHOLE, **more,
    }  # fmt: skip


def outcome(*limits: dict[str, Any]) -> RunOutcome:
    """With a row whose step peak is 610 kW and whose highest minute is 590 kW."""
    summary = {"limits": list(limits), "nodes": [{"name": "row", "peak_w": 610e3}]}
    loads = [{"node": "row", "resolution_s": 60.0, "peak_w": 590e3}]
    return RunOutcome("k", 1, summary, loads, [], 1.0)


ROWS = (
    limit("row", "rating", 600e3, 610e3),
    limit("row", "continuous", 480e3, 549e3, 10800.0),
    limit("site", "demand", 1e6, 1573e3, 900.0, "sliding"),
    limit("site", "demand", 1.6e6, 1573e3, 900.0, "clock"),
    limit("site", "ramp", 100e3, 13.6e3, 60.0),
    limit(
        "site", "demand", 900e3, None, 1800.0, "sliding",
        over_s=None, measured_s=1200.0, partial_w=1.57e6, needs_run_s=1830.0,
    ),
)  # fmt: skip


def test_all_kinds_are_judged() -> None:
    met = {figure.label: figure.met for figure in limits_of(outcome(*ROWS))}
    assert met == {
        "rating 600 kW": True,
        "continuous 480 kW": True,
        "15 min demand 1 MW": True,
        "15 min demand by the clock 1.6 MW": False,
        "1 min ramp 100 kW": False,
        "30 min demand 900 kW": None,
    }
    shares = {figure.label: figure.share for figure in limits_of(outcome(*ROWS))}
    assert shares["15 min demand 1 MW"] == pytest.approx(1.573)


def test_a_rating_may_be_held_to_minutes() -> None:
    """590 kW over a minute against 610 kW over a step; phases that make the step feel like
    732 kW do so by the minute too."""
    rating = limits_of(outcome(*ROWS), rating_window_s=60.0)[0]
    assert (rating.kind, rating.highest_w, rating.met) == ("rating", pytest.approx(590e3), False)
    felt = outcome(limit("row", "rating", 600e3, 732e3))
    (rating,) = limits_of(felt, rating_window_s=60.0)
    assert (rating.highest_w, rating.met) == (pytest.approx(708e3), True)


def test_what_is_left_out_is_named() -> None:
    told = left_out([outcome(*ROWS)], kinds=("rating",))
    assert told == [
        "Not judged here: continuous limits of row.",
        "Not judged here: 15 min demand limits of site.",
        "Not judged here: 15 min demand by the clock limits of site.",
        "Not judged here: 1 min ramp limits of site.",
        "Not judged here: 30 min demand limits of site.",
    ]
    told = left_out([outcome(*ROWS)])
    assert told == [
        "Not judged: site, 30 min demand 900 kW: no whole window in the 20 min measured, whose "
        "mean is 1.57 MW; play at least 31 min."
    ]
    # A longer run among them has judged it.
    longer = limit("site", "demand", 900e3, 1e6, 1800.0, "sliding")
    assert left_out([outcome(*ROWS), outcome(longer)]) == []


def test_feeds_that_could_not_bear_a_loss_are_named() -> None:
    """Of two runs the worse: 1.31 MW on a survivor of 1.2 MW are 109.2 %."""
    lost = {"node": "ups-a", "survivor": "ups-b", "limit_w": 1.2e6}
    runs = []
    for would_carry_w in (1.31e6, 1.1e6, None):
        runs.append(outcome(limit("row", "rating", 600e3, 610e3)))
        runs[-1].summary["redundancy"] = [lost | {"would_carry_w": would_carry_w}]
    assert left_out(runs) == [
        "N-1 is no limit here, and was NOT kept: with ups-a lost, ups-b would have carried up to "
        "1.31 MW, 109.2 % of the 1.2 MW that it may carry for good."
    ]
    assert left_out(runs[1:]) == []


def test_limits_alike_keep_apart() -> None:
    twice = [limit("site", "demand", w, 1e6, 900.0, "sliding") for w in (1e6, 2e6)]
    assert len({one.key for one in limits_of(outcome(*twice))}) == 2


def test_limits_are_known_before_a_run() -> None:
    text = of_facility("""\
  - {name: site, kind: site, demand: [{window: 15 min, limit: 1 MW}]}
  - {name: ups, kind: ups, parent: site, rating: 500 kW}
  - {name: row, kind: row, parent: ups, rating: 600 kW, ramp: {change: 90 kW, window: 1 min}}
  - {name: server, kind: server, parent: row, group: g}
""")
    scenario = loads(text)
    assert continuous_w(scenario) == {"ups": 500e3, "ups/row": 480e3}
    rows = stated_limits(Plant.build(scenario))
    assert [f"{row['node']}, {label(row)}" for row in rows] == [
        "ups, rating 500 kW",
        "ups/row, rating 600 kW",
        "ups, continuous 500 kW",
        "ups/row, continuous 480 kW",
        "site, 15 min demand 1 MW",
        "ups/row, 1 min ramp 90 kW",
    ]
    assert all(row["share"] is None for row in rows)
    assert unjudged(rows[0]) == "ups, rating 500 kW: no whole window was measured; play longer"
