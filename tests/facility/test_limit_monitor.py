"""Flags, on load series made by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.arrays import FloatArray
from dcsim.facility.events import FacilityEvent
from dcsim.facility.limit_monitor import LimitMonitor
from dcsim.facility.thresholds import CLEAR_AFTER_S, HYSTERESIS
from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.curves import Curve
from dcsim.plant.topology import Topology
from dcsim.scenario.models import FacilityNode, Limits

STEP_S = 0.25
# 10 s at twice the rating.
CURVE = Curve(name="quick", title="", points=((1.5, 20.0), (2.0, 10.0)), source="this test")


def node(name: str, kind: str, parent: str | None = None, **keys: object) -> FacilityNode:
    return FacilityNode.model_validate({"name": name, "kind": kind, "parent": parent, **keys})


def watch_of(topology: Topology, **limits: object) -> LimitMonitor:
    limits = {"predict_within": "0 s", **limits}  # predictions have a test of their own
    return LimitMonitor(topology, Limits.model_validate(limits), {"quick": CURVE})


def rack(**keys: object) -> Topology:
    """A site of unknown rating with one rack of 1 kW and one server of unknown rating."""
    return Topology.build(
        [
            node("site", "site"),
            node("rack", "rack", "site", rating="1 kW", **keys),
            node("server", "server", "rack", group="g"),
        ]
    )


def play(
    topology: Topology, watch: LimitMonitor, loads_w: Iterable[float], start_s: float = 0.0
) -> list[FacilityEvent]:
    events = []
    for step, load_w in enumerate(loads_w, 1):
        server_w = np.full(topology.server_count, load_w)
        node_w = topology.sum_loads(server_w)
        events += watch.step(start_s + step * STEP_S, STEP_S, node_w)
    return events


def seconds(duration_s: float, load_w: float) -> list[float]:
    return [load_w] * round(duration_s / STEP_S)


def brief(events: list[FacilityEvent]) -> list[tuple[float, str, str]]:
    return [(event.time_s, event.kind, event.node) for event in events]


def test_warning_after_its_delay_once_and_cleared() -> None:
    topology = rack()
    watch = watch_of(topology)
    loads_w = [*seconds(10, 500), *seconds(100, 850), *seconds(100, 500), *seconds(100, 850)]
    events = play(topology, watch, loads_w)
    assert brief(events) == [
        (10 + 60, "warning", "rack"),
        (110 + CLEAR_AFTER_S, "cleared", "rack"),
        (210 + 60, "warning", "rack"),
    ]
    warning = events[0]
    assert (warning.node_kind, warning.load_w, warning.limit_w) == ("rack", 850.0, 1000.0)
    assert warning.margin_w == 150.0
    assert "85.0 %" in warning.message
    assert "warning" in events[1].message


def test_a_break_starts_the_delay_anew() -> None:
    topology = rack()
    loads_w = [*seconds(59.75, 850), 800.0, *seconds(59.75, 850)]  # at 80 % is not above
    assert play(topology, watch_of(topology), loads_w) == []
    assert len(play(topology, watch_of(topology), [*loads_w, 850.0])) == 1


def test_overload_at_once_or_after_its_delay() -> None:
    topology = rack()
    loads_w = [1000.0, 1000.1, *seconds(5, 1100)]
    events = play(topology, watch_of(topology), loads_w)
    assert brief(events) == [(0.5, "overload", "rack")]
    assert events[0].margin_w == pytest.approx(-0.1)
    events = play(topology, watch_of(topology, overload_after="2 s"), loads_w)
    assert brief(events) == [(2.25, "overload", "rack")]


@pytest.mark.parametrize("step_s", [0.1, 0.2, 0.3, 0.6])
def test_steps_that_are_no_binary_fractions_keep_the_delay(step_s: float) -> None:
    """Their sums come out a hair short of a minute, or over it."""
    topology = rack()
    watch = watch_of(topology)
    node_w = topology.sum_loads(np.array([900.0]))
    raised = [step for step in range(1, 1000) if watch.step(step_s * step, step_s, node_w)]
    assert raised == [round(60 / step_s)]


def test_a_load_that_trembles_at_its_limit_is_flagged_once() -> None:
    topology = rack()
    trembling = np.random.default_rng(0).normal(1000, 25, 4 * 3600)
    watch = watch_of(topology)
    events = play(topology, watch, trembling)
    assert sorted(event.kind for event in events) == ["overload", "warning"]


def test_the_end_of_a_flag_tells_how_long_the_load_was_above() -> None:
    """Three quarters of a second above within a flag that lasts some minute; the flag before it
    does not count."""
    topology = rack()
    watch = watch_of(topology)
    play(topology, watch, [1100.0, *seconds(70, 100)])
    loads_w = [1100.0, 990.0, 1100.0, 1100.0, *seconds(60, 100)]
    *_, cleared = play(topology, watch, loads_w, start_s=80.0)
    assert cleared.message == "overload ended: above the rating for 0.75 s of 61 s"


def test_clearing_needs_calm_below_the_gap_without_a_break() -> None:
    topology = rack()
    near_w, calm_w = 1000 * (1 - HYSTERESIS) + 1, 1000 * (1 - HYSTERESIS) - 1
    for tail, cleared in (
        (seconds(300, near_w), 0),
        ([*seconds(59.75, calm_w), near_w, *seconds(59.75, calm_w)], 0),
        (seconds(60, calm_w), 1),
    ):
        watch = watch_of(topology, warning_fraction=1.0)
        events = play(topology, watch, [1100.0, *tail])
        assert [event.kind for event in events].count("cleared") == cleared


def test_the_second_clearing_takes_as_long_as_the_first() -> None:
    topology = rack()
    once = [1100.0, *seconds(70, 100)]
    events = play(topology, watch_of(topology), once + once)
    assert brief(events) == [
        (0.25, "overload", "rack"),
        (60.25, "cleared", "rack"),
        (70.5, "overload", "rack"),
        (130.5, "cleared", "rack"),
    ]


def test_nodes_of_unknown_rating_are_never_flagged() -> None:
    topology = Topology.build([node("site", "site"), node("box", "server", "site", group="g")])
    watch = watch_of(topology)
    assert play(topology, watch, seconds(120, 1e9)) == []


def test_a_breaker_trips_once_and_again_after_reset() -> None:
    topology = rack(breaker={"curve": "quick", "preload": 0})
    watch = watch_of(topology)
    events = play(topology, watch, seconds(30, 2000))
    assert brief(events) == [(0.25, "overload", "rack"), (10.0, "trip", "rack")]
    assert (events[1].load_w, events[1].limit_w) == (2000.0, 1000.0)
    watch.reset("rack")
    again = play(topology, watch, seconds(29, 2000), start_s=30.0)
    assert [event for event in brief(again) if event[1] == "trip"] == [(40.0, "trip", "rack")]
    assert watch.trips["rack"] == 2
    with pytest.raises(KeyError):
        watch.reset("site")


def test_a_breaker_may_have_a_rating_of_its_own() -> None:
    topology = rack(breaker={"curve": "quick", "rating": "2 kW", "preload": 0})
    watch = watch_of(topology)
    trips = [e for e in play(topology, watch, seconds(100, 4000)) if e.kind == "trip"]
    assert brief(trips) == [(10.0, "trip", "rack")]
    assert trips[0].limit_w == 2000.0
    assert trips[0].margin_w == -2000.0


def test_a_breaker_is_watched_where_only_it_has_a_rating() -> None:
    topology = Topology.build(
        [
            node("site", "site", breaker={"curve": "quick", "rating": "1 kW", "preload": 0}),
            node("row", "row", "site", breaker={"curve": "quick"}),  # nothing known, no breaker
            node("server", "server", "row", group="g"),
        ]
    )
    watch = watch_of(topology)
    assert brief(play(topology, watch, seconds(20, 2000))) == [(10.0, "trip", "site")]


def reference(shares: FloatArray, limits: Limits) -> list[tuple[int, str]]:
    """The documented rules, step by step for one node, without arrays or short cuts."""
    found = []
    flags = {
        "overload": (1.0, limits.overload_after_s),
        "warning": (limits.warning_fraction, limits.warning_after_s),
    }
    for kind, (fraction, after_s) in flags.items():
        over = calm = 0
        on = False
        for step, share in enumerate(shares):
            over = over + 1 if share > fraction else 0
            calm = calm + 1 if share < fraction - HYSTERESIS else 0
            if not on and over and over * STEP_S >= after_s:
                on, calm = True, 0
                found.append((step, kind))
            elif on and calm * STEP_S >= CLEAR_AFTER_S:
                on = False
                found.append((step, f"{kind} ended"))
    return sorted(found)


spans = st.lists(
    st.tuples(st.sampled_from([0.3, 0.79, 0.81, 0.99, 1.01, 1.4]), st.integers(1, 300)),
    max_size=12,
)


@settings(deadline=None, max_examples=50)
@given(spans, st.sampled_from([0.0, 1.0, 60.0]), st.sampled_from([0.0, 5.0]))
def test_flags_follow_the_rules(
    series: list[tuple[float, int]], warning_after_s: float, overload_after_s: float
) -> None:
    limits = Limits.model_validate(
        {"warning_after": f"{warning_after_s} s", "overload_after": f"{overload_after_s} s"}
    )
    topology = rack()
    watch = LimitMonitor(topology, limits, {})
    shares = np.array([share for share, count in series for _ in range(count)])
    found = [
        (
            round(event.time_s / STEP_S) - 1,
            event.message.partition(":")[0] if event.kind == "cleared" else event.kind,
        )
        for event in play(topology, watch, 1000 * shares)
    ]
    assert sorted(found) == reference(shares, limits)


def calls_of_a_step(rows: int, server_w: float) -> int:
    """Functions called, numpy's among them, by the last of ten minutes of steps at one load."""
    topology = Topology.build(
        [
            node("site", "site", rating="9 MW"),
            node("row", "row", "site", count=rows, rating="90 kW", breaker={}),
            node("rack", "rack", "row", count=6, rating="17 kW"),
            node("server", "server", "rack", count=4, rating="6.5 kW", group="g"),
        ]
    )
    watch = LimitMonitor(topology, Limits(), load_catalogue().curves)
    load_w = np.full(topology.server_count, server_w)
    for step in range(2400):
        watch.step(step * STEP_S, STEP_S, topology.sum_loads(load_w))
    calls = 0

    def count(frame: object, event: str, what: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        watch.step(600.0, STEP_S, topology.sum_loads(load_w))
    finally:
        sys.setprofile(None)
    return calls


def test_the_work_of_a_step_does_not_grow_in_python() -> None:
    """However many nodes: a handful of numpy calls while all is well, some dozens while not."""
    quiet = calls_of_a_step(1, 2500.0)
    assert quiet == calls_of_a_step(20, 2500.0)
    assert quiet < 24  # docs/facility.md has the microseconds; breakers warm in every step
    flagged = calls_of_a_step(1, 4100.0)  # rows at 109 %, racks at 96 %
    assert flagged == calls_of_a_step(20, 4100.0)
    assert quiet < flagged < 130  # one of the steps that look for a trip that is near
