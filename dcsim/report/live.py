"""What is seen while a run goes: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dcsim.engine.frame import Frame
from dcsim.engine.watcher import Watcher
from dcsim.plant import Plant
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


class LiveView(Watcher):
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
        self._plant: Plant  # from `begin` on
        self._warm_up_s = 0.0
        self._capacity_per_s: float | None = None
        self._marks: deque[tuple[float, int]] = deque([(0.0, 0)])

    def begin(
        self, plant: Plant, warm_up_s: float, capacity_per_s: Callable[[], float | None]
    ) -> None:
        """Before the first power step."""
        self._plant = plant
        self._warm_up_s = warm_up_s
        if not self._quiet:
            self._capacity_per_s = capacity_per_s()

    def __enter__(self) -> LiveView:
        self._started = time.perf_counter()
        if not self._quiet and self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
        elif not self._quiet:
            more = {k: n - FLAG_LINES for k, n in self._flags.items() if n > FLAG_LINES}
            if more:
                counts = ", ".join(f"{count} {name}" for name, count in more.items())
                self._line(f"{sum(more.values())} more flags not shown: {counts}")

    def update(self, frame: Frame) -> bool:
        """Look at one power step; draws a few times a second at most. False: go on."""
        if self._steps == 0:
            self._started = time.perf_counter()  # building the site is not playing it
        self._steps += 1
        if self._quiet:
            return False
        self._mark(frame)
        if self._live is None:
            if frame.now_s >= self._next_line_s - 1e-9:
                self._next_line_s += self._total_s / PLAIN_LINES
                self._line(self._plain(frame))
            return False
        if self._steps % LOOK_EVERY:
            return False
        wall_s = time.perf_counter()
        if wall_s - self._shown_at >= REFRESH_S:
            self._shown_at = wall_s
            self._live.update(self._panel(frame), refresh=True)
        return False

    def _nearest(self, frame: Frame) -> tuple[str, float]:
        """The node nearest to its rating, and its load as a share of it; an empty name where
        nothing has a rating."""
        nodes = self._plant.nodes
        share = frame.felt_w / nodes.rating_w
        if np.isnan(share).all():
            return "", math.nan
        node = int(np.nanargmax(share))
        return nodes.name[node], float(share[node])

    def _mark(self, frame: Frame) -> None:
        """Remember how many have arrived, for the rate of the last minute."""
        marks, now_s = self._marks, frame.now_s
        if now_s - marks[-1][0] >= RATE_S / RATE_MARKS:
            marks.append((now_s, frame.arrived))
            while now_s - marks[0][0] > RATE_S:
                marks.popleft()

    def _busy(self, frame: Frame) -> str:
        """Requests and how busy the replicas are with them, as the summary tells it."""
        ledger = frame.ledger
        running, waiting = float(ledger.running.sum()), float(ledger.waiting.sum())
        text = f"{running:,.0f} running ({running / len(ledger.running):,.1f} a replica)"
        text += f", {waiting:,.0f} waiting"
        (from_s, before), (until_s, after) = self._marks[0], self._marks[-1]
        if until_s > from_s:
            per_s = (after - before) / (until_s - from_s)
            text += f"; {number_text(per_s, 3)} requests/s"
            if self._capacity_per_s:
                text += f", {100 * per_s / self._capacity_per_s:.0f} % of its capacity"
        return text

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
            self._line(f"{when(event.time_s, self._start)} {describe_event(event)}")

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _site(self, frame: Frame) -> str:
        """The site's load, and its share of the rating where it has one."""
        load_w, rating_w = float(frame.node_w[0]), float(self._plant.nodes.rating_w[0])
        of_rating = f" of {watts(rating_w)} ({percent(load_w / rating_w)})"
        return f"site {watts(load_w)}{of_rating if math.isfinite(rating_w) else ''}"

    def _plain(self, frame: Frame) -> str:
        return (
            f"{when(frame.now_s, self._start)} {frame.now_s / self._total_s:4.0%} "
            f"{self._site(frame)}, {_nearest_text(*self._nearest(frame))}, {self._busy(frame)}"
        )

    def _panel(self, frame: Frame) -> Table:
        now_s = frame.now_s
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
        grid.add_row("site", self._site(frame).removeprefix("site "))
        node, share = self._nearest(frame)
        style = "red" if share > 1.0 else "yellow" if share > 0.8 else "green"
        grid.add_row("headroom", Text(_nearest_text(node, share), style if node else ""))
        grid.add_row("requests", self._busy(frame))
        last = self._last_flag
        text = (
            "none" if last is None else f"{when(last.time_s, self._start)} {describe_event(last)}"
        )
        count = self._flags.total()
        grid.add_row("last flag", Text(text if count < 2 else f"{text}  ({count} in all)"))
        return grid


def _nearest_text(node: str, share: float) -> str:
    return f"nearest to its limit: {node} {percent(share)}" if node else f"headroom {UNKNOWN}"


def describe_event(event: Any) -> str:
    return (
        f"{event.kind.upper()} {event.node}: {watts(event.load_w)} of {watts(event.limit_w)}, "
        f"{event.message}"
    )
