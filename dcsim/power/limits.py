"""Clock limits and power caps: what watts become, and how much slower the work then goes.

The law. A GPU whose core clock is held at a share `r` of its full clock, and which is as busy as
it would be without, draws

    idle + (full - idle) x r ** CLOCK_EXPONENT

where `full` is what it would draw at full clock. How much less work it then does is the serving
room's business (`IterationModel.at_clock`): computing goes with the clock, reading of memory does
not. A power cap is the same law read the other way, because that is how a board obeys one: its
firmware lowers the clock until the watts fit.

Evidence for the exponent conflicts.

- POLCA (Patel et al., ASPLOS 2024) locks A100s serving LLMs at 1.1 GHz of 1.41 GHz and reports
  peak power about a fifth lower, latency a few per cent longer: exponent 1.12.
- Splitwise-sim's rows of a capped H100 (Patel et al., ISCA 2024; copies of measured rows, scaled,
  not measurements) have prompts take 1.3 times as long at half of 700 W, tokens as long as ever:
  the clock that makes computing 1.3 times as long would have to save 60 % of the watts above rest,
  exponent 3.5.
- Physics allows 1 (voltage at its floor, or memory drawing on) to 3 (voltage following the clock).

We take POLCA's: it was measured, on this very use, and of all it saves the fewest watts for the
most time, so a plan that holds with it holds with the others. Other GPUs are taken to behave like
the A100.

Power models never see a clock. They are shown the ledger of a GPU that is as busy at full clock
(`restated`), so that each stays in the range it was made in and no slow-down is counted twice; the
law is applied to what they answer.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dcsim.ledger import WorkLedger

Float64 = npt.NDArray[np.float64]
POLCA_CLOCK = 1.10 / 1.41
POLCA_PEAK = 0.8
"""Peak power at that clock, of peak power at full clock: "about a fifth" less."""
A100_BOARD_W = 400.0
A100_IDLE_W = 70.12
"""powertrace-sim's idle floor of 63 runs, as in the catalogue."""
CLOCK_EXPONENT = math.log(
    (POLCA_PEAK * A100_BOARD_W - A100_IDLE_W) / (A100_BOARD_W - A100_IDLE_W)
) / math.log(POLCA_CLOCK)
"""1.12."""
LOWEST_CLOCK = 0.2
"""Of the full clock: 288 of 1410 MHz, POLCA's power brake on A100s. Below it there is no clock to
be set; a cap still holds, by the board's own means."""


def capped(gpu_w: Float64, cap_w: Float64 | float) -> Float64:
    """Watts with none above the cap; shapes broadcast. Raises ValueError for a cap that is not
    above 0."""
    if not np.all(np.asarray(cap_w) > 0):
        raise ValueError(f"a power cap must be above 0 W, not {cap_w}")
    return np.minimum(gpu_w, cap_w)


def clocked(full_w: Float64, idle_w: Float64, clock: Float64 | float) -> Float64:
    """Watts at a share of the full clock, of GPUs that would draw `full_w` at full clock, equally
    busy. What is drawn up to `idle_w` does not follow the clock."""
    above_w = np.maximum(full_w - idle_w, 0.0)
    lower_w: Float64 = full_w - (1.0 - np.power(clock, CLOCK_EXPONENT)) * above_w
    return lower_w


def clock_under(full_w: Float64, idle_w: Float64, cap_w: Float64 | float) -> Float64:
    """The highest clock, a share in [LOWEST_CLOCK, 1], at which such GPUs draw no more than the
    cap; LOWEST_CLOCK where there is none."""
    above_w = np.maximum(full_w - idle_w, 1e-9)
    room = np.clip((cap_w - idle_w) / above_w, 0.0, 1.0)
    clock = np.maximum(np.power(room, 1.0 / CLOCK_EXPONENT), LOWEST_CLOCK)
    return np.where(full_w <= cap_w, 1.0, clock)


def pace(compute_util: Float64, busy: Float64, clock: Float64, eff_flops: Float64) -> Float64:
    """How fast work went at a clock, as a share of how fast it would have gone at full clock.

    Computing took q = util / (eff x clock) / busy of the busy time, and would have taken q x clock
    of it. Exact where computing and reading follow each other; where one hides behind the other
    and reading takes longer, a little too slow.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = compute_util / (eff_flops * clock * busy)
    share = np.where(busy > 0.0, np.clip(share, 0.0, 1.0), 0.0)
    found: Float64 = 1.0 - share * (1.0 - clock)
    return found


def restated(ledger: WorkLedger, speed: Float64) -> WorkLedger:
    """The ledger of GPUs that are as busy at full clock as these were at `speed` (see `pace`)."""
    return WorkLedger(
        step_s=ledger.step_s,
        running=ledger.running,
        waiting=ledger.waiting,
        prefill_tokens=ledger.prefill_tokens / speed,
        decode_tokens=ledger.decode_tokens / speed,
        iterations=ledger.iterations / speed,
        busy_fraction=ledger.busy_fraction,
        kv_fraction=ledger.kv_fraction,
        compute_util=ledger.compute_util / speed,
        memory_util=ledger.memory_util / speed,
        state=ledger.state,
    )
