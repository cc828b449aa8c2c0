"""What transformers, UPS and power supplies lose, by load."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.curves import LossCurve

FAR = 10.0
"""Share of the rating up to which the last straight line is carried on."""


class LossLine:
    """Loss as a share of the rating, in straight lines between the points of an efficiency curve.

    At a share x of the rating and efficiency e, output x costs x / e, so x (1 / e - 1) is lost.
    The lines at the ends are carried on: down to no load, where a loss remains and is never
    negative, and up into overload.
    """

    def __init__(self, curve: LossCurve) -> None:
        points = np.array(curve.points)
        share = points[:, 0]
        lost = share * (1.0 / points[:, 1] - 1.0)
        slopes = np.diff(lost) / np.diff(share)
        none = max(0.0, lost[0] - slopes[0] * share[0])
        far = max(lost[-1], lost[-1] + slopes[-1] * (FAR - share[-1]))
        self.share = np.concatenate([[0.0], share, [FAR]])
        self.lost = np.concatenate([[none], lost, [far]])

    def loss_w(self, output_w: FloatArray, rating_w: FloatArray) -> FloatArray:
        """Watts lost at each output, both shape (n,)."""
        lost: FloatArray = np.interp(output_w / rating_w, self.share, self.lost)
        return rating_w * lost
