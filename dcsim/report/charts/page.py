"""A chart as the page's script takes it: `assets/chart.js` draws it with plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from dcsim.report.charts.model import Chart


def to_json(chart: Chart) -> dict[str, Any]:
    """The chart's fields by name, parts with their class as `type`; what is empty is left out,
    numbers have six digits, and unknown ones are null."""
    plain: dict[str, Any] = _plain(chart)
    return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        parts = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        parts = {name: part for name, part in parts.items() if part not in (None, "", [])}
        return {"type": type(value).__name__, **parts}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return value
