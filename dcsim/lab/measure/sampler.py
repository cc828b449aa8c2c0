"""A thread that reads one meter at a steady pace and keeps count of what it missed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar

from dcsim.lab.measure.clock import ClockWatch, MeasuringClock
from dcsim.lab.measure.errors import MeterLostError, SampleError

Reading = TypeVar("Reading")


def open_csv(path: Path, header: str) -> TextIO:
    """Create a table whose rows reach the disk as they are written: a crash loses none."""
    file = path.open("w", encoding="utf-8", newline="\n", buffering=1)
    file.write(header + "\n")
    return file


class MeterSampler(threading.Thread, Generic[Reading]):
    """Calls `read` every `period_s` and gives what it read to `sink` with the unix time of its
    middle. A tick that is late is taken late; ticks that passed meanwhile are missed.

    `read` raises SampleError for a sample that failed, which is counted, and MeterLostError for
    good; after that, or after `patience_s` without a sample, `lost` is called once with what was
    wrong. Without `lost` a meter may be silent for as long as it likes.
    """

    def __init__(
        self,
        name: str,
        period_s: float,
        read: Callable[[], Reading],
        sink: Callable[[float, Reading], None],
        watch: ClockWatch,
        *,
        lost: Callable[[str], None] | None = None,
        patience_s: float = 5.0,
        close: Callable[[], None] = lambda: None,
        watches: bool = False,
    ) -> None:
        super().__init__(name=f"sample {name}", daemon=True)
        self.meter = name
        self.period_s = period_s
        self.taken = self.missed = self.failed = 0
        self.last_error = ""
        self._read, self._sink, self._lost = read, sink, lost
        self._close = close
        self._watch, self._clock = watch, watch.clock
        self._patience_s = patience_s
        self._watches = watches
        self._halt = threading.Event()

    def run(self) -> None:
        clock: MeasuringClock = self._clock
        due_s = good_s = clock.monotonic()
        while not self._halt.is_set():
            try:
                self._sample()
                good_s = clock.monotonic()
            except SampleError as error:
                self.failed += 1
                self.last_error = str(error)
                if self._lost and clock.monotonic() - good_s > self._patience_s:
                    self._lost(f"{self.meter}: {error}")
                    break
            except (MeterLostError, OSError) as error:  # a full disk is for good, too
                self.last_error = str(error)
                if self._lost:
                    self._lost(f"{self.meter}: {error}")
                break
            now_s = clock.monotonic()
            passed = int((now_s - due_s) / self.period_s)
            self.missed += max(passed, 0)
            due_s += self.period_s * (1 + max(passed, 0))
            self._halt.wait(clock.real_s(max(due_s - now_s, 0.0)))

    def _sample(self) -> None:
        before_s = self._clock.monotonic()
        reading = self._read()
        after_s = self._clock.monotonic()
        if self._watches:
            self._watch.look()
        self._sink(self._watch.epoch(0.5 * (before_s + after_s)), reading)
        self.taken += 1

    def finish(self) -> None:
        """Stop after the sample in hand, and close the files."""
        self._halt.set()
        if self.is_alive():
            self.join()
        self._close()

    def to_dict(self) -> dict[str, Any]:
        """For the manifest's `instrumentation`."""
        return {
            "period_s": self.period_s,
            "samples": self.taken,
            "missed": self.missed,
            "failed": self.failed,
            **({"last_error": self.last_error} if self.last_error else {}),
        }
