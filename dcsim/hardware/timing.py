"""The timing constants that hold for one served model on one GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dcsim.hardware.gpus import Evidence, Gpu
from dcsim.hardware.models import ServedModel


@dataclass(frozen=True, slots=True)
class Timing:
    """Constants of one served model on one GPU, as the iteration model uses them."""

    eff_flops: float
    eff_bandwidth: float
    per_message_s: dict[int, float]
    per_token_sample_s: float
    first_token_overhead_s: float
    base_overhead_s: float
    quantised_stream: float
    overlap: float
    routing: float
    factor: float
    evidence: Evidence


PRIOR_QUANTISED_STREAM = 0.7763
"""Published for Llama-3.1 405B in FP8 on H100 (powertrace-sim, release powertrace_v1)."""


def timing_of(model: ServedModel, gpu: Gpu) -> Timing:
    """The GPU's refined constants, else the published ones, and the model family's correction."""
    prior, fit = gpu.timing, gpu.timing_fit
    if fit is None:
        return Timing(
            prior.eff_flops,
            prior.eff_bandwidth,
            prior.per_message_s,
            prior.per_token_sample_s,
            prior.first_token_overhead_s,
            prior.base_overhead_s,
            PRIOR_QUANTISED_STREAM,
            math.inf,
            1.0,
            1.0,
            "extrapolated" if gpu.timing_evidence == "extrapolated" else "fitted",
        )
    correction = fit.corrections.get(model.family)
    if gpu.timing_evidence == "extrapolated" and fit.rows == 0:
        evidence: Evidence = "extrapolated"
    elif correction is not None and model.name in correction.models:
        evidence = "measured"
    else:
        evidence = "fitted"
    return Timing(
        fit.eff_flops,
        fit.eff_bandwidth,
        {size: seconds * fit.message_scale for size, seconds in prior.per_message_s.items()},
        fit.per_token_sample_s,
        fit.first_token_overhead_s,
        prior.base_overhead_s,
        fit.quantised_stream,
        fit.overlap,
        fit.routing,
        correction.factor if correction is not None else 1.0,
        evidence,
    )
