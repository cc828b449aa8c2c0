"""How busy a fleet was, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

BINDS = {
    "ttft": "time to first token",
    "tpot": "time per output token",
    "max_num_seqs": "max_num_seqs",
    "kv": "KV cache",
    "prefill": "prompts fill the iterations",
}
"""What may keep a replica from serving more, by its name in the summary."""


def slo_text(slo: Mapping[str, Any]) -> str:
    """A target of `summary["serving"]`, such as `TTFT p95 2 s, 100 ms a token (default)`."""
    part = f"{100.0 * slo['share']:g}"
    parts = []
    if slo["ttft_s"] is not None:
        parts.append(f"TTFT p{part} {slo['ttft_s']:g} s")
    if slo["tpot_s"] is not None:
        percentile = f"p{part} " if slo["promised"] else ""
        parts.append(f"TPOT {percentile}{1e3 * slo['tpot_s']:g} ms")
    return ", ".join(parts) + ("" if slo["promised"] else " (default)")


def number_text(value: float, digits: int = 4) -> str:
    """So many significant digits, in full and with thousands parted: `11,560`, `3.146`, `0.02`."""
    rounded = float(f"{value:.{digits}g}")
    if not rounded or not math.isfinite(rounded):
        return f"{rounded:g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:,.{places}f}"
    return text.rstrip("0").rstrip(".") if places else text


def busy_text(row: Mapping[str, Any]) -> str:
    """A row of `summary["serving"]` in words."""
    running, share = row["running_mean"], row["share_of_capacity"]
    parts = []
    if running is not None:
        parts.append(f"{running:,.1f} requests running a replica")
    if share is None:
        parts.append("share of what it can serve unknown")
    else:
        what = "its capacity"
        if row["capacity_per_s"] is not None and row["slo"] is not None:
            what = (
                f"the {number_text(row['capacity_per_s'])} requests/s that it can serve within "
                f"{slo_text(row['slo'])}"
            )
        parts.append(f"{100 * share:.0f} % of {what}")
    return ", ".join(parts)
