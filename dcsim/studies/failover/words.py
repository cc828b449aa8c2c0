"""What the failover study says of its losses, in sentences."""

from __future__ import annotations

import pandas as pd


def headline(frame: pd.DataFrame, over: tuple[str, float] | None) -> tuple[str, ...]:
    """The answer. `over`: the node above its rating with all in order, and its load by it."""
    always = int((frame["survived"] == 1.0).sum())
    lines = [f"{always} of {len(frame)} losses are survived at every instant of the run."]
    if over is not None:
        node, of_limit = over
        lines.append(
            f"{node} is at {100 * of_limit:.1f} % of its rating with all in order already."
        )
    first = frame.iloc[0]
    if first["survived"] < 1.0:
        why = (
            f"{first['dark_servers']} servers hang from nothing else"
            if first["dark_servers"]
            else f"{first['worst_node']} would carry {100 * first['worst_of_limit']:.0f} % of its "
            "rating"
        )
        lines.append(
            f"Worst: a loss of {first['lost']} is survived {100 * first['survived']:.0f} % of the "
            f"time; {why}."
        )
    return tuple(lines)


def reasons(frame: pd.DataFrame) -> list[str]:
    """Say why the worst losses are not survived, a sentence each."""
    lines = []
    for row in frame[frame["survived"] < 1.0].head(4).to_dict("records"):
        line = f"{row['lost']} lost"
        if row["over_w"] > 0:
            over = f"{row['over_w'] / 1e3:.1f} kW above its rating at worst"
            line += f": {row['worst_node']} is {over}"
        if isinstance(row["trips_node"], str):
            line += f", and opens after {row['trips_after_s']:,.0f} s"
        if row["dark_servers"]:
            line += f"; {row['dark_servers']} servers are dark whatever the load"
        lines.append(line + ".")
    return lines
