"""What cables and transformers are taken to be, where only their ratings are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.curves import LossCurve

CABLE = {"r_ohm_per_km": 0.208, "x_ohm_per_km": 0.08, "c_nf_per_km": 261.0}
"""Aluminium, 4 x 150 mm2: the standard type NAYY 4x150 SE of pandapower's library."""
CABLE_A = 270.0
"""Continuous rating of one such cable, same source."""
SHORT_CIRCUIT_PERCENT = ((630e3, 4.0), (1250e3, 5.0), (2500e3, 6.0), (6300e3, 7.0), (25e6, 8.0))
"""Least short-circuit impedance by rated power in VA, IEC 60076-5, table 1."""
NO_LOAD_LOSS = 0.5 * 0.5 * (1 / 0.9953 - 1)
"""Without a loss curve: share of the rating. At half load 99.53 % efficient (10 CFR 431.196), half
of the loss there taken as no-load loss, which is where a transformer's efficiency is highest."""
LOAD_LOSS = 4.0 * NO_LOAD_LOSS
"""And the load loss at full load: the other half, times four for twice the load."""
MAGNETISING_PERCENT = 0.5
"""No-load current, assumed."""
IMPEDANCE = {
    "cables": "parallel aluminium cables of 4 x 150 mm2 (0.208 + j0.080 ohm/km, 270 A each), as "
    "many as the rating needs",
    "cable ratings": "max_i_ka is the node's rating; unknown ratings are NaN",
    "transformers": "short-circuit impedance after IEC 60076-5 table 1, losses of the node's loss "
    "curve or else of 10 CFR 431.196, no-load current 0.5 %, Dyn5, no tap changer",
    "phases": "a balanced net: loads of single-phase nodes are taken as three-phase",
}
"""Written into every net."""


def cable(rating_w: float | None, peak_w: float, kv: float) -> dict[str, Any]:
    """Parameters of a line for `pandapower.create_line_from_parameters`, but for its length.

    As many cables in parallel as the rating needs, or the peak where that is unknown; loading
    is told in parts of the rating.
    """
    amperes = (rating_w or peak_w) / (math.sqrt(3) * kv * 1e3)
    parallel = max(1, math.ceil(amperes / CABLE_A))
    max_i_ka = amperes / parallel / 1e3 if rating_w else math.nan
    return {**CABLE, "max_i_ka": max_i_ka, "parallel": parallel}


def transformer(
    rated_va: float, high_kv: float, low_kv: float, curve: LossCurve | None
) -> dict[str, Any]:
    """Parameters for `pandapower.create_transformer_from_parameters`."""
    percent = next((vk for size, vk in SHORT_CIRCUIT_PERCENT if rated_va <= size), 8.0)
    no_load, full = NO_LOAD_LOSS, LOAD_LOSS
    if curve is not None:
        no_load, full = split(curve)
    return {
        "sn_mva": rated_va / 1e6,
        "vn_hv_kv": high_kv,
        "vn_lv_kv": low_kv,
        "vk_percent": percent,
        "vkr_percent": full * 100.0,
        "pfe_kw": no_load * rated_va / 1e3,
        "i0_percent": max(MAGNETISING_PERCENT, no_load * 100.0),
        "shift_degree": 150.0,
    }


def split(curve: LossCurve) -> tuple[float, float]:
    """No-load loss and load loss at full load, as shares of the rating: the least-squares
    a + b x^2 of a loss curve."""
    share, lost = (values[1:] for values in line(curve))
    terms = np.stack([np.ones_like(share), share**2], axis=1)
    (no_load, full), *_ = np.linalg.lstsq(terms, lost, rcond=None)
    return max(0.0, float(no_load)), max(0.0, float(full))


def line(curve: LossCurve) -> tuple[FloatArray, FloatArray]:
    """Output and loss, both as shares of the rating, from no load on: in straight lines between
    the points of the curve, the first of which goes on down to no load."""
    points = np.array(curve.points)
    share = points[:, 0]
    lost = share * (1.0 / points[:, 1] - 1.0)
    none = max(0.0, lost[0] - share[0] * (lost[1] - lost[0]) / (share[1] - share[0]))
    return np.concatenate([[0.0], share]), np.concatenate([[none], lost])
