"""`dcsim run --watch`: the site on a full screen while it is played.

The tree with a bar against each rating and the course of its load, flags as they come, requests,
speed and time left. `q` (or Ctrl-C) ends the run at the next power step with its results kept,
the space bar pauses, arrows scroll the tree.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dcsim.arrays import FloatArray
from dcsim.engine.frame import Frame
from dcsim.plant import Plant
from dcsim.records import CLASS_OF, EVENT_CLASSES
from dcsim.report.flags import CLASS_STYLES
from dcsim.report.keys import Keys
from dcsim.report.live import LiveView
from dcsim.report.text import UNKNOWN, clock, percent, watts, when
from dcsim.scenario.start import Start

REFRESH_S = 0.2
BAR_CELLS = 22
HISTORY = 40
"""Looks at the loads that the small courses are drawn of."""
OUTAGES = EVENT_CLASSES["outage"]
"""Kinds of events that are shown first and stay in sight."""
TITLE_KINDS = 6
FLAGS_KEPT = 200
MOST_CHILDREN = 12
"""Of more children than this, only those that have been fullest are listed; of servers, one."""
FULLEST = 3
BLOCKS = "▁▂▃▄▅▆▇█"


class WatchView(LiveView):
    """As LiveView, on the whole screen of a terminal; elsewhere it is LiveView."""

    def __init__(
        self,
        name: str,
        total_s: float,
        console: Console,
        quiet: bool = False,
        start: Start | None = None,
    ) -> None:
        super().__init__(total_s, console, quiet, start)
        self._name = name
        self._keys = Keys()
        self._screen = console.is_terminal and not quiet
        self._stop = False
        self._scroll = 0
        self._recent: deque[Any] = deque(maxlen=FLAGS_KEPT)
        self._grave: deque[Any] = deque(maxlen=FLAGS_KEPT)
        self._past: deque[FloatArray] = deque(maxlen=HISTORY)
        self._children: list[list[int]] = []
        self._frame: Frame  # from the first look on

    def begin(
        self, plant: Plant, warm_up_s: float, capacity_per_s: Callable[[], float | None]
    ) -> None:
        """Before the first power step."""
        super().begin(plant, warm_up_s, capacity_per_s)
        self._peak_w = np.zeros(len(plant.nodes))
        self._children = [[] for _ in plant.nodes.name]
        for node, parent in enumerate(plant.nodes.parent.tolist()):
            if parent >= 0:
                self._children[parent].append(node)

    def __enter__(self) -> WatchView:
        if not self._screen:
            super().__enter__()
            return self
        self._started = time.perf_counter()
        self._keys.__enter__()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            super().__exit__(*error)
        finally:
            self._keys.__exit__(*error)

    def stop(self) -> bool:
        """End the run after its next step and keep its results. False where the view is not on a
        screen, and when it was asked before: the user then wants to stop at once."""
        if self._stop or not self._screen:
            return False
        self._stop = True
        return True

    def update(self, frame: Frame) -> bool:
        """As LiveView's; True when the run shall end here."""
        if not self._screen:
            return super().update(frame)
        if self._steps == 0:
            self._started = time.perf_counter()
        self._steps += 1
        self._mark(frame)
        wall_s = time.perf_counter()
        if wall_s - self._shown_at >= REFRESH_S:
            self._shown_at = wall_s
            self._frame = frame
            self._past.append(frame.node_w.copy())
            if frame.now_s > self._warm_up_s:
                self._peak_w = np.fmax(self._peak_w, self._past[-1])
            self._listen()
            self._show()
        return self._stop

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for the end."""
        return self._stop

    def flag(self, event: Any) -> None:
        """Take note of a flag."""
        super().flag(event)
        self._recent.appendleft(event)
        if event.kind in OUTAGES:
            self._grave.appendleft(event)

    def _listen(self) -> None:
        """What the keys ask for; a pause is spent here."""
        paused = False
        while True:
            for key in self._keys.pressed():
                if key in ("q", "Q"):
                    self._stop = True
                elif key == " ":
                    paused = not paused
                elif key in ("up", "k"):
                    self._scroll = max(0, self._scroll - 1)
                elif key in ("down", "j"):
                    self._scroll += 1
            if not paused or self._stop:
                return
            self._show(paused=True)
            time.sleep(REFRESH_S)
            self._started += REFRESH_S

    def _show(self, paused: bool = False) -> None:
        if self._live is not None:
            self._live.update(self._screenful(paused), refresh=True)

    # --- what is drawn -----------------------------------------------------------------------

    def _screenful(self, paused: bool) -> Layout:
        flags = min(10, max(4, self._console.height // 4))
        whole = Layout()
        whole.split_column(
            Layout(self._head(paused), size=4),
            Layout(Panel(_Fitting(self._tree), title="site", title_align="left")),
            Layout(Panel(_Fitting(self._flag_lines), title=self._flag_title(),
                         title_align="left"), size=flags + 2),
        )  # fmt: skip
        return whole

    def _head(self, paused: bool) -> Group:
        now_s = self._frame.now_s
        wall_s = max(1e-9, time.perf_counter() - self._started)
        speed = now_s / wall_s
        done = now_s / self._total_s
        cells = max(10, min(60, self._console.width - 62))
        filled = round(cells * done)
        left = (self._total_s - now_s) / speed if speed else math.nan
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column()
        table.add_column(justify="right")
        state = Text(" PAUSED ", "black on yellow") if paused else Text("")
        table.add_row(
            Text.assemble((self._name, "bold"), "  ", when(now_s, self._start), "  ", state),
            Text("q stop here · space pause · ↑↓ scroll", "dim"),
        )
        table.add_row(
            Text.assemble(("━" * filled, "blue"), ("━" * (cells - filled), "bright_black"),
                          f" {done:4.0%}"),
            Text(f"{speed:,.0f} × real time, {UNKNOWN if math.isnan(left) else clock(left)} left"),
        )  # fmt: skip
        table.add_row(Text(self._site(self._frame), "bold"), "")
        return Group(table, Text(self._busy(self._frame), no_wrap=True, overflow="ellipsis"))

    def _rows(self) -> list[tuple[int, str, str]]:
        """Nodes to list, the lines before their names, and how many their siblings are. By the
        highest loads so far, so that the list holds still."""
        rating_w = self._plant.nodes.rating_w
        share = np.where(rating_w > 0, self._peak_w / rating_w, self._peak_w * 1e-12)
        rows: list[tuple[int, str, str]] = []

        def add(node: int, lead: str, branch: str, count_text: str) -> None:
            rows.append((node, lead + branch, count_text))
            below = lead + {"": "", "├ ": "│ ", "└ ": "  "}[branch]
            children, children_text = self._children[node], ""
            servers = bool(children) and self._plant.nodes.kind[children[0]] == "server"
            if len(children) > (1 if servers else MOST_CHILDREN):
                fullest = sorted(children, key=lambda child: -share[child])
                children_text = f"of {len(children)}"
                children = sorted(fullest[: 1 if servers else FULLEST])
            for child in children:
                add(child, below, "└ " if child == children[-1] else "├ ", children_text)

        add(0, "", "", "")
        return rows

    def _tree(self, width: int, height: int) -> Table:
        table = Table.grid(padding=(0, 1), expand=True)
        if not self._past:
            return table
        rows = self._rows()
        self._scroll = min(self._scroll, max(0, len(rows) - height))
        narrow = width < 90
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, width=10 if narrow else BAR_CELLS)
        table.add_column(justify="right", no_wrap=True, width=8)
        table.add_column(justify="right", no_wrap=True, width=9 if narrow else 21)
        if not narrow:
            table.add_column(no_wrap=True, width=HISTORY // 2)
        load_w, past = self._past[-1], np.stack(self._past)
        for node, lead, count_text in rows[self._scroll : self._scroll + height]:
            rating_w = float(self._plant.nodes.rating_w[node])
            rated = rating_w > 0
            share = float(load_w[node]) / rating_w if rated else math.nan
            style = "red" if share > 1 else "yellow" if share > 0.8 else "green"
            style = style if load_w[node] > 0 else "bright_black"
            name = Text.assemble(
                (lead, "bright_black"),
                self._plant.nodes.name[node].rpartition("/")[2],
                (f"  {count_text}", "dim"),
            )
            cells = [
                name,
                _bar(share, 10 if narrow else BAR_CELLS, style),
                Text(percent(share) if rated else UNKNOWN, style if rated else "dim"),
                Text(watts(float(load_w[node]))
                     + (f" of {watts(rating_w)}" if rated and not narrow else "")),
            ]  # fmt: skip
            if not narrow:
                cells.append(_course(past[:, node], HISTORY // 2))
            table.add_row(*cells)
        return table

    def _flag_title(self) -> str:
        grave = [(kind, self._flags[kind]) for kind in OUTAGES if self._flags[kind]]
        rest = [(kind, n) for kind, n in self._flags.most_common() if kind not in OUTAGES]
        counts = ", ".join(f"{n:,} {kind}" for kind, n in [*grave, *rest][:TITLE_KINDS])
        return f"flags: {counts}" if counts else "flags"

    def _clock(self, time_s: float) -> str:
        return clock(time_s) if self._start is None else self._start.hms(time_s)

    def _flag_lines(self, width: int, height: int) -> Table:
        table = Table.grid(padding=(0, 1), expand=True)
        for size in (11, 10, None):
            table.add_column(no_wrap=True, overflow="ellipsis", width=size)
        recent = list(self._recent)[:height]
        # What took power away stays in sight, however many warnings have come since.
        kept = [event for event in list(self._grave)[: max(1, height // 2)] if event not in recent]
        for event in [*kept, *recent[: height - len(kept)]]:
            style = CLASS_STYLES[CLASS_OF[event.kind]].terminal
            table.add_row(
                Text(self._clock(event.time_s), "dim"),
                Text(event.kind, style),
                Text(f"{event.node}: {watts(event.load_w)} of {watts(event.limit_w)}, "
                     f"{event.message}"),
            )  # fmt: skip
        if not self._recent:
            table.add_row(Text("none yet", "dim"), "", "")
        return table


class _Fitting:
    """Something drawn for the room that it is given."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._make(options.max_width, options.height or options.max_height)


def _bar(share: float, cells: int, style: str) -> Text:
    if math.isnan(share):
        return Text("·" * cells, "bright_black")
    filled = min(cells, round(cells * share))
    return Text.assemble(("█" * filled, style), ("░" * (cells - filled), "bright_black"))


def _course(values: FloatArray, cells: int) -> Text:
    """The last loads as blocks, from their lowest to their highest; flat where they hardly move."""
    last = values[-cells:]
    low, high = float(last.min()), float(last.max())
    if not math.isfinite(low + high) or high - low <= 0.01 * abs(high):
        return Text(BLOCKS[3 if high > 0 else 0] * len(last), "blue")
    place = np.round((last - low) / (high - low) * (len(BLOCKS) - 1)).astype(int)
    return Text("".join(BLOCKS[p] for p in place), "blue")
