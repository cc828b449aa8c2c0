"""How near generated power comes to measured power (definitions of reference-method.md 1.7)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
ACF_LAGS = 50


def acf(power_w: Float64, lags: int = ACF_LAGS) -> Float64:
    """Autocorrelation at lags 1 to `lags`: biased, centred, over that at lag 0."""
    centred = power_w - power_w.mean()
    whole = float(centred @ centred)
    if whole == 0.0:
        return np.zeros(lags)
    return np.array([centred[:-lag] @ centred[lag:] / whole for lag in range(1, lags + 1)])


def compare(generated_w: Float64, measured_w: Float64, step_s: float) -> dict[str, float]:
    """Figures of one generated series against the measured one, same steps.

    `ks` distance of the distributions; `acf_r2` over lags 1 to 50, and `acf_mae`, the mean
    absolute error there (R2 means little where the measured ACF is nearly flat, as under steady
    load); `nrmse` by the measured range, at the step and (`nrmse_1s`) at 1 s means; `p95_error`
    and `p99_error` (absolute shares) and `energy_error` (signed share).
    """
    grid = np.sort(np.concatenate([generated_w, measured_w]))
    distance = np.abs(
        np.searchsorted(np.sort(generated_w), grid, side="right") / len(generated_w)
        - np.searchsorted(np.sort(measured_w), grid, side="right") / len(measured_w)
    )
    found, wanted = acf(generated_w), acf(measured_w)
    spread = float(((wanted - wanted.mean()) ** 2).sum())
    per_second = max(1, round(1.0 / step_s))
    figures = {
        "ks": float(distance.max()),
        "acf_r2": 1.0 - float(((found - wanted) ** 2).sum()) / spread if spread else float("nan"),
        "acf_mae": float(np.abs(found - wanted).mean()),
        "nrmse": _nrmse(generated_w, measured_w),
        "nrmse_1s": _nrmse(_means(generated_w, per_second), _means(measured_w, per_second)),
        "energy_error": float(generated_w.sum() / measured_w.sum() - 1.0),
    }
    for percent in (95, 99):
        wanted_w = float(np.percentile(measured_w, percent))
        found_w = float(np.percentile(generated_w, percent))
        figures[f"p{percent}_error"] = abs(found_w / wanted_w - 1.0)
    return figures


def _nrmse(generated_w: Float64, measured_w: Float64) -> float:
    error = float(np.sqrt(((generated_w - measured_w) ** 2).mean()))
    return error / float(measured_w.max() - measured_w.min())


def _means(power_w: Float64, width: int) -> Float64:
    whole = len(power_w) // width * width
    return power_w[:whole].reshape(-1, width).mean(axis=1)
