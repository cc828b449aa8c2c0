"""The law of frequency and power: what watts become, and at which frequency a capped GPU goes.

The frequency ratio is a GPU's core clock over its full (maximum) clock. A GPU that is held at a
frequency ratio `r`, and is as busy as it would be without, draws

    rest + (full - rest) x r ** FREQUENCY_EXPONENT

where `full` is what it would draw at full clock. How much less work it then does is the serving
room's business (`IterationModel.at_clock`): computing goes with the clock, reading of memory goes
on at full speed down to some clock and with the clock below it. A power cap is the same law read
the other way, because that is how a board obeys one: its firmware lowers the clock, within
milliseconds, until the watts fit. So the law holds for each iteration by itself, whatever the
power step: an iteration that would draw more than the cap goes at the clock that the cap leaves
it, for all of its time.

Evidence for the exponent conflicts.

- POLCA (Patel et al., ASPLOS 2024) locks A100s serving LLMs at 1.1 GHz of 1.41 GHz and reports
  peak power about a fifth lower, latency a few per cent longer: exponent 1.12.
- Splitwise-sim's rows of a capped H100 (Patel et al., ISCA 2024; copies of measured rows, scaled,
  not measurements) have prompts take 1.3 times as long at half of 700 W, tokens as long as ever:
  the clock that makes computing 1.3 times as long would have to save 60 % of the watts above rest,
  exponent 3.5.
- Physics allows 1 (voltage at its floor, or memory drawing on) to 3 (voltage following the clock).

We take POLCA's: it was measured, on this very use, and of all it saves the fewest watts for the
most time. A prompt of any length then pays more for a given cap than by the other figures, so
latency under a cap is an estimate on the slow side. Other GPUs are taken to behave like the A100.

Power models never see a clock. They are shown the ledger of a GPU that is as busy at full clock,
so that each stays in the range it was made in and no slow-down is counted twice; the law is
applied to what they answer.
"""

from __future__ import annotations

import math
from typing import overload

from dcsim.arrays import FloatArray

POLCA_CLOCK = 1.10 / 1.41
POLCA_PEAK = 0.8
"""Peak power at that clock, of peak power at full clock: "about a fifth" less."""
A100_BOARD_W = 400.0
A100_IDLE_W = 70.12
"""powertrace-sim's idle floor of 63 runs, as in the catalogue."""
FREQUENCY_EXPONENT = math.log(
    (POLCA_PEAK * A100_BOARD_W - A100_IDLE_W) / (A100_BOARD_W - A100_IDLE_W)
) / math.log(POLCA_CLOCK)
"""1.12."""
LOWEST_FREQUENCY_RATIO = 0.2
"""Of the full clock: 288 of 1410 MHz, POLCA's power brake on A100s. Below it there is no clock to
be set; a lower cap still holds: the board then works for a part of the time only."""


@overload
def power_ratio(clock: float) -> float: ...
@overload
def power_ratio(clock: FloatArray) -> FloatArray: ...
def power_ratio(clock: float | FloatArray) -> float | FloatArray:
    """Watts above rest at a share of the full clock, as a share of those at full clock."""
    return clock**FREQUENCY_EXPONENT


def frequency_ratio_under(full_w: float, rest_w: float, cap_w: float) -> float:
    """The highest frequency ratio, up to 1, at which GPUs that would draw `full_w` at full
    frequency draw no more than the cap. It may lie below LOWEST_FREQUENCY_RATIO, and is 0 where
    rest is too much."""
    if full_w <= cap_w:
        return 1.0
    share = max(cap_w - rest_w, 0.0) / max(full_w - rest_w, 1e-9)
    return float(min(share ** (1.0 / FREQUENCY_EXPONENT), 1.0))
