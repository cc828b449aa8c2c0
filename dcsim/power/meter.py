"""What a meter makes of true power, to compare a model with logs. Never part of the facility.

nvidia-smi on an H100 shows the mean of the last second, on an A100 nearly the present value
(arXiv 2312.02741; reference-method.md 4.7).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TRAILING_S = {"h100-sxm-80gb": 1.0}
"""Averaging time by GPU; none for others."""


def as_read(power_w: npt.NDArray[np.float64], gpu: str, step_s: float) -> npt.NDArray[np.float64]:
    """The series as nvidia-smi would show it, shape kept; the window grows at the start."""
    width = round(TRAILING_S.get(gpu, 0.0) / step_s)
    if width <= 1:
        return power_w
    total = np.cumsum(np.concatenate([[0.0], power_w]))
    at = np.arange(1, len(power_w) + 1)
    first = np.maximum(at - width, 0)
    means: npt.NDArray[np.float64] = (total[at] - total[first]) / (at - first)
    return means
