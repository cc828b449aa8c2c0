"""How near generated power comes to measured power (docs/reference/method.md, Measured
campaigns)."""

from __future__ import annotations

import numpy as np
import scipy  # not scipy.stats, which is loaded where it is first used

from dcsim.arrays import FloatArray

ACF_LAGS = 50


def acf(power_w: FloatArray, lags: int = ACF_LAGS) -> FloatArray:
    """Autocorrelation at lags 1 to `lags`: biased, centred, over that at lag 0."""
    centred = power_w - power_w.mean()
    whole = float(centred @ centred)
    if whole == 0.0:
        return np.zeros(lags)
    return np.array([centred[:-lag] @ centred[lag:] / whole for lag in range(1, lags + 1)])


def compare(generated_w: FloatArray, measured_w: FloatArray) -> dict[str, float]:
    """Figures of one generated series against the measured one, same steps.

    As published: `energy_error_pct`, `p95_error_pct` and `p99_error_pct`, absolute; `ks`, the
    distance of the distributions; `acf_r2` over lags 1 to 50 of the series (NaN where it is no
    longer than that); `nrmse`, by the measured range. Beside them `energy_bias_pct`, signed, and
    `acf_mae`, the mean absolute error of the ACF: R2 means little where the measured ACF is nearly
    flat, as under steady load.
    """
    bias = float(generated_w.sum() / measured_w.sum() - 1.0)
    figures = {
        "energy_error_pct": 100.0 * abs(bias),
        "energy_bias_pct": 100.0 * bias,
        "ks": float(scipy.stats.ks_2samp(generated_w, measured_w, method="asymp").statistic),
        "acf_r2": float("nan"),
        "acf_mae": float("nan"),
        "nrmse": nrmse(generated_w, measured_w),
    }
    if len(measured_w) > ACF_LAGS:
        generated, measured = acf(generated_w), acf(measured_w)
        spread = float(((measured - measured.mean()) ** 2).sum())
        if spread:
            figures["acf_r2"] = 1.0 - float(((generated - measured) ** 2).sum()) / spread
        figures["acf_mae"] = float(np.abs(generated - measured).mean())
    for percent in (95, 99):
        ratio = float(np.percentile(generated_w, percent) / np.percentile(measured_w, percent))
        figures[f"p{percent}_error_pct"] = 100.0 * abs(ratio - 1.0)
    return figures


def nrmse(generated_w: FloatArray, measured_w: FloatArray) -> float:
    """Root mean square error over the measured range."""
    error = float(np.sqrt(((generated_w - measured_w) ** 2).mean()))
    return error / float(measured_w.max() - measured_w.min())


def block_means(power_w: FloatArray, width: int) -> FloatArray:
    """Means of `width` steps each along the first axis; what is left over is dropped."""
    whole = len(power_w) // width * width
    means: FloatArray = power_w[:whole].reshape(-1, width, *power_w.shape[1:]).mean(axis=1)
    return means
