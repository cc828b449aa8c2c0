"""N-1 of paired feeds in words: whether what is left could carry the load, were one lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dcsim.facility.events import duration
from dcsim.report.text import percent, watts, when
from dcsim.scenario.start import Start

Row = Mapping[str, Any]
"""Of the summary's `redundancy`."""


def lost(rows: Sequence[Row]) -> list[Row]:
    """Survivors that could not have carried for good what one loss would have left them, the
    fullest first."""
    judged = [row for row in rows if row["would_carry_w"] is not None]
    return [row for row in judged if row["would_carry_w"] > row["limit_w"]]


def redundancy_line(rows: Sequence[Row], start: Start | None) -> str:
    """One sentence, of the fullest survivor; empty where nothing shares a load by feeds."""
    judged = [row for row in rows if row["would_carry_w"] is not None]
    if not judged:
        return ""
    over = lost(rows)
    worst = (over or judged)[0]
    text = (
        f"N-1 {'NOT kept' if over else 'kept'}: with {worst['node']} lost, {worst['survivor']} "
        f"would have carried {watts(worst['would_carry_w'])} at {when(worst['at_s'], start)}, "
        f"{percent(worst['would_carry_w'] / worst['limit_w'])} of the {watts(worst['limit_w'])} "
        "that it may carry for good"
    )
    if not over:
        return f"{text}, the most of {len(judged):,} survivors."
    more = len(over) - 1
    rest = f"; {more:,} more survivor{'s' * (more != 1)} could not either" if more else ""
    return f"{text}: too much for {duration(worst['over_s'])}{rest}."
