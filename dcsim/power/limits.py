"""Power caps and clock limits: watts never above the cap, and how much slower the work then goes.

Pure functions; whoever serves calls them. Published figures behind the slow-down:

- Splitwise (Patel et al., ISCA 2024): in its performance model an H100 held at half its 700 W has
  every prompt time 1.3 times as long and every token time unchanged (`h100-80gb-pcap` rows).
- POLCA (Patel et al., ASPLOS 2024) draws the same line: prompts use the chip to its limit and feel
  a cap at once, decoding waits for memory and hardly does.

Between full power and half, prefill follows a power law through that one point, in the watts above
rest: a GPU that would draw `demand` and may draw `cap` runs at the share
`((cap - idle) / (demand - idle)) ** EXPONENT` of its speed. Decoding gives way only where the cap
is lower than what it draws, by the same law. Other GPUs than the H100 are taken to behave like it,
and below half of the board's power the law is extrapolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
PUBLISHED_CAP_W = 350.0
PUBLISHED_BOARD_W = 700.0
PUBLISHED_IDLE_W = 120.0
"""An H100 at rest (powertrace-sim, 99 runs)."""
PUBLISHED_PREFILL = 1.3
EXPONENT = math.log(PUBLISHED_PREFILL) / math.log(
    (PUBLISHED_BOARD_W - PUBLISHED_IDLE_W) / (PUBLISHED_CAP_W - PUBLISHED_IDLE_W)
)
"""0.284: speed goes with a small power of the watts above rest."""
DECODE_CLOCK_SHARE = 0.1
"""Share of a decode iteration that goes with the clock, the rest with memory. Assumed: small, as
Splitwise's unchanged token times say, but launching and sampling do run on the clock."""


@dataclass(frozen=True, slots=True)
class SlowDown:
    """Factors on the time of computing prompts and of decoding; 1: as without a limit."""

    prefill: float
    decode: float


def capped(gpu_w: Float64, cap_w: Float64 | float) -> Float64:
    """Watts with none above the cap; shapes broadcast. Raises ValueError for a cap that is not
    above 0."""
    if not np.all(np.asarray(cap_w) > 0):
        raise ValueError(f"a power cap must be above 0 W, not {cap_w}")
    return np.minimum(gpu_w, cap_w)


def under_cap(prefill_w: float, decode_w: float, idle_w: float, cap_w: float) -> SlowDown:
    """The slow-down of a GPU that draws `prefill_w` and `decode_w` unlimited in the two phases.

    Raises ValueError for a cap at or under what the GPU draws at rest: no clock is that slow.
    """
    if cap_w <= idle_w:
        raise ValueError(
            f"a cap of {cap_w:g} W is not above the {idle_w:g} W that the GPU draws at rest"
        )
    return SlowDown(_longer(prefill_w, idle_w, cap_w), _longer(decode_w, idle_w, cap_w))


def under_clock(share: float) -> SlowDown:
    """The slow-down at a share of the full clock, above 0 and at most 1: prompts go with the clock,
    decoding with DECODE_CLOCK_SHARE of it. Raises ValueError for another share."""
    if not 0.0 < share <= 1.0:
        raise ValueError(f"a clock limit is a share of the full clock, in (0, 1], not {share:g}")
    return SlowDown(1.0 / share, 1.0 + DECODE_CLOCK_SHARE * (1.0 / share - 1.0))


def _longer(demand_w: float, idle_w: float, cap_w: float) -> float:
    if demand_w <= cap_w:
        return 1.0
    return float(((demand_w - idle_w) / (cap_w - idle_w)) ** EXPONENT)
