"""What a GPU's sensor shows of true power, to compare a model with logs. Never part of the
facility.

nvidia-smi on an H100 shows the mean of the last second, on an A100 nearly the present value
(arXiv:2312.02741; docs/reference/method.md, What nvidia-smi shows).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import spsolve

from dcsim.arrays import FloatArray

TRAILING_S = {"h100-sxm-80gb": 1.0}
"""Averaging time by GPU; none for others."""


def trailing_mean(values: FloatArray, width: int) -> FloatArray:
    """The mean of the last `width` values, shape kept; the window grows at the start."""
    if width <= 1:
        return values
    total = np.cumsum(np.concatenate([[0.0], values]))
    at = np.arange(1, len(values) + 1)
    first = np.maximum(at - width, 0)
    means: FloatArray = (total[at] - total[first]) / (at - first)
    return means


def apply_sensor(
    power_w: FloatArray, gpu: str, step_s: float, trailing_s: float | None = None
) -> FloatArray:
    """The series as nvidia-smi would show it, shape kept.

    `trailing_s` is the sensor's averaging time where it is not the one that the GPU is known for.
    """
    return trailing_mean(power_w, _width(gpu, step_s, trailing_s))


def invert_sensor(
    shown_w: FloatArray,
    prior_w: FloatArray,
    gpu: str,
    step_s: float,
    doubt: float = 0.05,
    trailing_s: float | None = None,
) -> FloatArray:
    """True watts that the sensor would have shown as `shown_w`, shape kept.

    A mean hides what happened within it; of all series that explain it, the one near `prior_w`
    (what the work says) is taken: least squares on the shown watts, plus `doubt` times those on
    the prior, `doubt` being the variance of the sensor's error over that of the prior's.
    """
    width = _width(gpu, step_s, trailing_s)
    if width <= 1:
        return shown_w
    count = len(shown_w)
    rows = [np.arange(max(0, i - width + 1), i + 1) for i in range(count)]
    mean = csr_matrix(
        (
            np.concatenate([np.full(len(row), 1.0 / len(row)) for row in rows]),
            (np.repeat(np.arange(count), [len(row) for row in rows]), np.concatenate(rows)),
        ),
        shape=(count, count),
    )
    normal = (mean.T @ mean + doubt * identity(count)).tocsc()
    rest = spsolve(normal, mean.T @ (shown_w - mean @ prior_w))
    true_w: FloatArray = prior_w + rest
    return true_w


def _width(gpu: str, step_s: float, trailing_s: float | None) -> int:
    """Steps that the sensor averages over."""
    return round((TRAILING_S.get(gpu, 0.0) if trailing_s is None else trailing_s) / step_s)
