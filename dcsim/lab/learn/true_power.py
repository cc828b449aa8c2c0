"""What GPUs drew, from what their meter showed and what they did.

An H100's meter shows the mean of the last second (`dcsim.lab.sensor`). A network that learns the
shown watts learns the meter; one that learns the true watts can feed a facility, and its watts can
be shown as the meter would. The true watts are found per configuration in two steps: a linear fit
of the shown watts to the work as the meter sees it (on the measured Qwen3-8B H100 run it leaves
5 W of 340 W range, and four times as much without the mean), then the series nearest to that fit
which explains what was shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.lab.ledger_series import LedgerSeries
from dcsim.lab.sensor import TRAILING_S, apply_sensor, invert_sensor

RIDGE = 1e-3
"""Of the fit, so that columns that never vary do no harm."""


def true_watts(
    work: Sequence[LedgerSeries],
    shown_w: Sequence[FloatArray],
    trailing_s: Sequence[float | None] | None = None,
) -> list[FloatArray]:
    """True watts of series of one configuration, shapes kept; equal to those shown where the meter
    shows the present value. Never under the least that was shown. `trailing_s` are the meters'
    averaging times where they are not the GPU's known one."""
    config, step_s = work[0].config, work[0].step_s
    known = TRAILING_S.get(config.gpu, 0.0)
    widths = [known if width is None else width for width in trailing_s or [None] * len(work)]
    if not any(widths):
        return list(shown_w)
    columns = [_columns(series) for series in work]
    seen = np.concatenate(
        [
            np.stack([apply_sensor(c, config.gpu, step_s, width) for c in matrix.T], axis=1)
            for matrix, width in zip(columns, widths, strict=True)
        ]
    )
    watts = np.concatenate(shown_w)
    centre, level = seen.mean(axis=0), float(watts.mean())
    scaled = seen - centre
    normal = scaled.T @ scaled + RIDGE * len(watts) * np.eye(scaled.shape[1])
    weight = np.linalg.solve(normal, scaled.T @ (watts - level))
    least = float(np.quantile(watts, 0.001))
    true_w = []
    for matrix, shown, width in zip(columns, shown_w, widths, strict=True):
        prior_w = level + (matrix - centre) @ weight
        found_w = invert_sensor(shown, prior_w, config.gpu, step_s, trailing_s=width)
        true_w.append(np.maximum(found_w, least))
    return true_w


def _columns(series: LedgerSeries) -> FloatArray:
    """What watts may follow linearly, shape (steps, columns)."""
    given = series.columns
    busy, prefill = given["busy_fraction"], given["prefill_tokens"]
    return np.stack(
        [
            busy,
            given["compute_util"],
            np.sqrt(busy * given["memory_util"]),
            np.log1p(given["running"]) / np.log(257),
            prefill / (prefill + given["decode_tokens"] + 1.0),
        ],
        axis=1,
    )
