"""SimPy's environment with alarms: events that fire again and again without being made anew."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import simpy
from simpy.events import NORMAL

AFTER: Any = NORMAL + 1
"""Priority of what must see all other events of its instant, such as the power step."""


class Alarm(simpy.Event):
    """A reusable event: it stays armed, so one object serves a replica for a whole run.

    It can stand in the queue several times; whoever sets it decides what a firing means.
    """

    def __init__(self, env: simpy.Environment, action: Callable[[float], None]) -> None:
        self.env = env
        self.action = action
        self._armed = [lambda _event: action(env.now)]
        self._ok = True
        self._value = None

    @property
    def callbacks(self) -> list[Callable[[Any], None]]:
        return self._armed

    @callbacks.setter
    def callbacks(self, value: Any) -> None:
        """SimPy clears the callbacks of an event that has fired; an alarm stays armed."""


class Clock(simpy.Environment):
    """A SimPy environment that schedules at absolute times, so that nothing drifts."""

    def alarm(self, action: Callable[[float], None]) -> Alarm:
        """An alarm that calls `action(now_s)`; it is not set yet."""
        return Alarm(self, action)

    def set_alarm(self, alarm: Alarm, time_s: float, priority: Any = NORMAL) -> None:
        """Fire at `time_s`, in addition to what was set before."""
        heappush(self._queue, (time_s, priority, next(self._eid), alarm))

    def play(self, until_s: float) -> None:
        """Run all events up to and including `until_s`: SimPy's loop, with a short way for
        alarms, which are nearly all of a run's events."""
        queue = self._queue
        while queue and queue[0][0] <= until_s:
            now, _, _, event = heappop(queue)
            self._now = now
            if type(event) is Alarm:
                event.action(now)
                continue
            callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
            for callback in callbacks:
                callback(event)
            if not event._ok and not hasattr(event, "_defused"):
                raise event._value
