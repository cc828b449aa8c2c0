"""The clock: SimPy's own semantics, with alarms."""

from __future__ import annotations

import pytest
import simpy

from dcsim.clock import AFTER, Clock


def test_alarms_and_processes_share_one_time() -> None:
    clock = Clock()
    seen: list[tuple[str, float]] = []
    alarm = clock.alarm(lambda now: seen.append(("alarm", now)))

    def process() -> simpy.events.ProcessGenerator:  # type: ignore[name-defined]
        for _ in range(2):
            yield clock.timeout(1.0)
            seen.append(("process", clock.now))

    clock.process(process())
    for time_s in (1.5, 0.5, 2.5):
        clock.set_alarm(alarm, time_s)
    clock.play(2.0)
    assert seen == [("alarm", 0.5), ("process", 1.0), ("alarm", 1.5), ("process", 2.0)]
    clock.run()  # SimPy's own loop understands alarms as well
    assert seen[-1] == ("alarm", 2.5)


def test_steps_come_after_everything_else_of_their_instant() -> None:
    clock = Clock()
    seen: list[str] = []
    clock.set_alarm(clock.alarm(lambda _: seen.append("step")), 1.0, AFTER)
    clock.set_alarm(clock.alarm(lambda _: seen.append("arrival")), 1.0)
    clock.play(1.0)
    assert seen == ["arrival", "step"]


def test_a_failed_process_is_heard() -> None:
    clock = Clock()

    def process() -> simpy.events.ProcessGenerator:  # type: ignore[name-defined]
        yield clock.timeout(1.0)
        raise RuntimeError("broken")

    clock.process(process())
    with pytest.raises(RuntimeError, match="broken"):
        clock.play(2.0)
