"""What a run adds to the rows of its limits: clock times, and how long a run would judge them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dcsim.results.warm_up import WarmUp
from dcsim.scenario.start import Start


def complete(rows: Iterable[dict[str, Any]], start: Start | None, warm_up: WarmUp) -> None:
    """Add `highest_at` and `needs_run_s` to rows of `summary["limits"]`.

    `needs_run_s` is the length of the shortest run that has one whole window after its warm-up;
    None where the limit was judged, or is no demand window.
    """
    clock_s = 0.0 if start is None else float(start.time_of_day_s)
    for row in rows:
        at_s = row["highest_at_s"]
        row["highest_at"] = None if start is None or at_s is None else start.iso(at_s)
        row["needs_run_s"] = (
            warm_up.shortest_run_s(row["window_s"], clock_s if row["windows"] == "clock" else None)
            if row["kind"] == "demand" and row["share"] is None
            else None
        )
