"""Times that must fit each other: steps, windows, and when streams start."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dcsim.hardware.catalogue import Catalogue
from dcsim.scenario.checks.parts import numbered
from dcsim.scenario.models import FacilityNode, Scenario, Stream
from dcsim.scenario.start import DAY_S, Start
from dcsim.spec.document import Finding, Steps
from dcsim.spec.time_of_day import hms
from dcsim.spec.units import SECOND
from dcsim.spec.unread import readable

MOST_STEPS = 2_000_000_000
"""Of a run: a year in steps of 16 ms."""
MOST_WINDOW_STEPS = 20_000_000
"""Of a window: two months in steps of 250 ms, 160 MB a node."""


def steps(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    count = scenario.duration_s / scenario.power_step_s
    if count < 1.0:
        yield Finding(("duration",), "shorter than one power_step")
    if count > MOST_STEPS:
        message = f"makes {count:,.0f} power steps, and {MOST_STEPS:,} can be played"
        yield Finding(("duration",), message, "a shorter run, or a longer `power_step`")


def record(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    count = scenario.record.server_step_s / scenario.power_step_s
    if round(count) < 1 or abs(count - round(count)) > 1e-9 * count:
        step = SECOND.format(scenario.power_step_s)
        message = f"must be a whole multiple of power_step ({step})"
        yield Finding(("record", "server_step"), message)


def windows(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """Loads are kept for as long as a window is."""
    for path, node in numbered("facility", scenario.facility):
        yield from readable(_windows(path, node, scenario.power_step_s))


def _windows(path: Steps, node: FacilityNode, step_s: float) -> Iterator[Finding]:
    spans = [((*path, "ramp"), node.ramp.window_s)] if node.ramp is not None else []
    spans += [
        ((*path, "demand", place), demand.window_s) for place, demand in enumerate(node.demand)
    ]
    for at, window_s in spans:
        if window_s / step_s > MOST_WINDOW_STEPS:
            message = f"spans {window_s / step_s:,.0f} power steps, and may span "
            yield Finding((*at, "window"), f"{message}{MOST_WINDOW_STEPS:,}")


def start(scenario: Scenario, _: Catalogue) -> Iterator[Finding]:
    """Streams may not start at another time of day than the scenario."""
    if scenario.start is None:
        return
    for path, stream in numbered("workload", scenario.workload):
        yield from readable(_start(path, stream, scenario.start))


def _start(path: Steps, stream: Stream, run: Start) -> Iterator[Finding]:
    arrivals = stream.arrivals
    remedy = "leave it out here: the stream then starts when the run does"
    at_s, day = getattr(arrivals, "start_at_s", None), getattr(arrivals, "start_day", None)
    if at_s is None or getattr(arrivals, "period_s", DAY_S) != DAY_S:
        pass  # a stream whose day has another length keeps a time of its own
    elif not math.isclose(at_s % DAY_S, run.time_of_day_s, abs_tol=1e-6):
        shown = hms(int(at_s)).removesuffix(":00")
        message = f"this stream starts at {shown}, the run at {run.at(0.0)}, by `start`"
        yield Finding((*path, "arrivals", "start_at"), message, remedy)
    if day is not None and run.weekday not in (None, day):
        message = f"this stream starts on a {day}, the run on a {run.weekday}, by `start`"
        yield Finding((*path, "arrivals", "start_day"), message, remedy)


RULES = (steps, record, windows, start)
