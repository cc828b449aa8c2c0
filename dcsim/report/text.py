"""Numbers as a facility engineer reads them; what is unknown is a dash, never a zero."""

from __future__ import annotations

import math

from dcsim.scenario.start import Start

UNKNOWN = "-"


def watts(value: float | None) -> str:
    """`603.2 kW`, `1.572 MW`: a hundred watts count in a rack, a kilowatt in a contract."""
    return _scaled(value, "W")


def watt_hours(value: float | None) -> str:
    """`546.7 kWh`."""
    return _scaled(value, "Wh")


def percent(value: float | None) -> str:
    """`100.5 %` from 1.005."""
    return UNKNOWN if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def seconds(value: float | None) -> str:
    """`93 ms` or `2.87 s`."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{1e3 * value:.0f} ms" if value < 1.0 else f"{value:.2f} s"


def rate(per_s: float | None) -> str:
    """`3.14` of a second."""
    return UNKNOWN if per_s is None else f"{per_s:.2f}"


def number(value: float | None) -> str:
    """`1,234` or `12.3`."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


def plural_kind(kind: str, count: int = 2) -> str:
    """Kinds of nodes: `rack`, `racks`, `utilities`, `UPS`."""
    if count == 1:
        return {"ups": "UPS", "pdu": "PDU", "rpp": "RPP", "rack-pdu": "rack PDU"}.get(kind, kind)
    names = {"ups": "UPS", "pdu": "PDUs", "rpp": "RPPs", "rack-pdu": "rack PDUs",
             "branch": "branches", "utility": "utilities", "switchgear": "switchgears"}  # fmt: skip
    return names.get(kind, f"{kind}s")


def clock(time_s: float) -> str:
    """`13:05:30`, with days before it from the second on."""
    whole = int(time_s)
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}d {text}" if days else text


def when(time_s: float, start: Start | None) -> str:
    """A time of the run; where its start is known, with the clock: `00:45:00 (19:45:00)`."""
    return clock(time_s) + ("" if start is None else f" ({start.at(time_s)})")


def _scaled(value: float | None, unit: str) -> str:
    if value is None or math.isnan(value):
        return UNKNOWN
    for size, prefix, more in ((1e9, "G", 1), (1e6, "M", 1), (1e3, "k", 0)):
        # Half a unit below, so that none is told as 1,000.0 of it.
        if abs(value) >= 0.99995 * size:
            scaled = value / size
            return f"{scaled:,.{_digits(scaled) + more}f} {prefix}{unit}"
    return f"{value:.0f} {unit}"


def _digits(value: float) -> int:
    return 2 if abs(value) < 10 else 1
