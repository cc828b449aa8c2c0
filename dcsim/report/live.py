"""What is seen while a run goes: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dcsim.arrays import FloatArray, IntArray
from dcsim.report.text import UNKNOWN, percent, watts, when
from dcsim.results.shares import number_text
from dcsim.scenario.start import Start

REFRESH_S = 0.25
LOOK_EVERY = 16
"""Steps between two looks at the wall clock, which would cost more than the rest."""
PLAIN_LINES = 10
"""Progress lines of a run whose output is no terminal."""
FLAG_LINES = 10
"""Flags of each kind printed in full there; further ones are only counted, so that a flood of
warnings hides no trip."""
BAR_CELLS = 30
RATE_S = 60.0
"""Simulated time over which the rate of arrivals is told."""
RATE_MARKS = 12
"""Counts kept of it."""


class LiveView:
    """Progress of one run, on `console` (stderr, so that results can be piped).

    Shows the simulated clock, speed, site load, the node nearest to its limit, requests, how busy
    replicas are with them and the last flag. `quiet` shows nothing. Keeps the first flag of each
    kind in `first_flags`.
    """

    def __init__(
        self,
        total_s: float,
        console: Console,
        quiet: bool = False,
        start: Start | None = None,
    ) -> None:
        self.first_flags: dict[str, Any] = {}
        self._total_s = total_s
        self._console = console
        self._start = start
        self._quiet = quiet
        self._live: Live | None = None
        self._started = time.perf_counter()
        self._shown_at = 0.0
        self._steps = 0
        self._flags: Counter[str] = Counter()
        self._last_flag: Any = None
        self._next_line_s = total_s / PLAIN_LINES
        self._node_w: FloatArray | None = None
        self._replicas = 0
        self._capacity_per_s: float | None = None
        self._marks: deque[tuple[float, int]] = deque([(0.0, 0)])

    def begin(
        self,
        names: Sequence[str],
        kinds: Sequence[str],
        parent_index: IntArray,
        rating_w: FloatArray,
        measured_from_s: float = 0.0,
    ) -> None:
        """Told of the site before the first step."""

    def serving(self, replicas: int, capacity_per_s: float | None) -> None:
        """Told how many replicas there are, and how many requests/s they can serve within the SLO;
        None: unknown."""
        self._replicas, self._capacity_per_s = replicas, capacity_per_s

    def loads(self, node_w: FloatArray) -> None:
        """Shown the loads of a power step, shape (nodes,), before `update`; reused by the next."""
        self._node_w = node_w

    def __enter__(self) -> LiveView:
        self._started = time.perf_counter()
        if not self._quiet and self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif not self._quiet:
            more = {k: n - FLAG_LINES for k, n in self._flags.items() if n > FLAG_LINES}
            if more:
                told = ", ".join(f"{count} {name}" for name, count in more.items())
                self._line(f"{sum(more.values())} more flags not shown: {told}")

    def update(
        self,
        now_s: float,
        site_w: float,
        site_limit_w: float,
        worst: tuple[str, float],
        running: int,
        waiting: int,
        arrived: int = 0,
    ) -> bool:
        """Look at one power step; draws a few times a second at most. False: go on."""
        if self._steps == 0:
            self._started = time.perf_counter()  # building the site is not playing it
        self._steps += 1
        if self._quiet:
            return False
        self._mark(now_s, arrived)
        if self._live is None:
            if now_s >= self._next_line_s - 1e-9:
                self._next_line_s += self._total_s / PLAIN_LINES
                self._line(self._plain(now_s, site_w, site_limit_w, worst, running, waiting))
            return False
        if self._steps % LOOK_EVERY:
            return False
        wall = time.perf_counter()
        if wall - self._shown_at >= REFRESH_S:
            self._shown_at = wall
            panel = self._panel(now_s, site_w, site_limit_w, worst, running, waiting)
            self._live.update(panel, refresh=True)
        return False

    def _mark(self, now_s: float, arrived: int) -> None:
        """Remember how many have arrived, for the rate of the last minute."""
        marks = self._marks
        if now_s - marks[-1][0] >= RATE_S / RATE_MARKS:
            marks.append((now_s, arrived))
            while now_s - marks[0][0] > RATE_S:
                marks.popleft()

    def _busy(self, running: int, waiting: int) -> str:
        """Requests and how busy the replicas are with them, as the summary tells it."""
        told = f"{running:,.0f} running"
        if self._replicas:
            told += f" ({running / self._replicas:,.1f} a replica)"
        told += f", {waiting:,.0f} waiting"
        (from_s, before), (until_s, after) = self._marks[0], self._marks[-1]
        if until_s > from_s:
            per_s = (after - before) / (until_s - from_s)
            told += f"; {number_text(per_s, 3)} requests/s"
            if self._capacity_per_s:
                told += f", {100 * per_s / self._capacity_per_s:.0f} % of its capacity"
        return told

    def stop(self) -> bool:
        """Whether the view can end the run early and keep its results; these lines cannot."""
        return False

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for the end."""
        return False

    def flag(self, event: Any) -> None:
        """Take note of a flag."""
        self._flags[event.kind] += 1
        self._last_flag = event
        if event.kind != "cleared":
            self.first_flags.setdefault(event.kind, event)
        if not self._quiet and self._live is None and self._flags[event.kind] <= FLAG_LINES:
            self._line(f"{when(event.time_s, self._start)} {_told(event)}")

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _plain(
        self,
        now_s: float,
        site_w: float,
        site_limit_w: float,
        worst: tuple[str, float],
        running: int,
        waiting: int,
    ) -> str:
        return (
            f"{when(now_s, self._start)} {now_s / self._total_s:4.0%} site {watts(site_w)}"
            f"{_of(site_w, site_limit_w)}, {_nearest(worst)}, "
            f"{self._busy(running, waiting)}"
        )

    def _panel(
        self,
        now_s: float,
        site_w: float,
        site_limit_w: float,
        worst: tuple[str, float],
        running: int,
        waiting: int,
    ) -> Table:
        done = now_s / self._total_s
        wall_s = time.perf_counter() - self._started
        speed = now_s / wall_s
        filled = round(BAR_CELLS * done)
        bar = "█" * filled + "░" * (BAR_CELLS - filled)
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column()
        left_s = (self._total_s - now_s) / speed if speed else float("nan")
        grid.add_row(
            "clock",
            f"{when(now_s, self._start)} {bar} {done:4.0%}  {speed:,.0f} x, {left_s:.0f} s left",
        )
        grid.add_row("site", watts(site_w) + _of(site_w, site_limit_w))
        style = "red" if worst[1] > 1.0 else "yellow" if worst[1] > 0.8 else "green"
        grid.add_row("headroom", Text(_nearest(worst), style if worst[0] else ""))
        grid.add_row("requests", self._busy(running, waiting))
        last = self._last_flag
        told = "none" if last is None else f"{when(last.time_s, self._start)} {_told(last)}"
        count = self._flags.total()
        grid.add_row("last flag", Text(told if count < 2 else f"{told}  ({count} in all)"))
        return grid


def _of(load_w: float, limit_w: float) -> str:
    return f" of {watts(limit_w)} ({percent(load_w / limit_w)})" if math.isfinite(limit_w) else ""


def _nearest(worst: tuple[str, float]) -> str:
    node, share = worst
    return f"nearest to its limit: {node} {percent(share)}" if node else f"headroom {UNKNOWN}"


def _told(event: Any) -> str:
    return (
        f"{event.kind.upper()} {event.node}: {watts(event.load_w)} of {watts(event.limit_w)}, "
        f"{event.message}"
    )
