"""Measured power of servers kept at a steady load, as work and watts: ML.ENERGY's leaderboard.

Closed loops of 8 to 2,048 requests at a time on one to eight H100 or B200: average watts, batch and
throughput. They reach far beyond the campaigns behind the published mixtures (4 requests a second
at most) and are the only public GPU watts of B200s that tell the load, too. What they do not tell
is time: a row is one level.

The work of a row is told as an engine's counters would tell it, and read by the same code as a
measured engine log: iterations are throughput over batch, prompts throughput over output length.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.signal import lfilter

from benchmarks.level_law import LevelLaw, fit_levels
from benchmarks.timing_rows import (
    GPUS,
    ML_ENERGY_MODELS,
    ML_ENERGY_TASKS,
    OUTPUT_CV2,
    PROMPT_TOKENS,
)
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.kv import BLOCK_TOKENS, kv_capacity_blocks
from dcsim.lab.learn.counters import ledger_columns
from dcsim.lab.learn.subjects import Example
from dcsim.lab.ledger_series import POWER_STEP_S, LedgerSeries

STEPS = 160
"""Of each row: 40 s of the same load."""

NOISE = 0.04
NOISE_CORRELATION = 0.5
"""Short-time spread of a steady load as a share of its watts, and its lag-one correlation a step:
the measured Qwen3 runs under a standing load, and ML.ENERGY's 0.1 s series of fixed batches on
H100 (standard deviations of 4 to 8 % at 0.1 s)."""


@dataclass(frozen=True)
class Level:
    """A steady load and the watts of all GPUs of the replica, mean."""

    series: LedgerSeries
    power_w: float
    batch: float
    task: str

    @property
    def per_gpu_w(self) -> float:
        """Watts of one GPU."""
        return self.power_w / self.series.config.gpus


def steady_levels(data: Path, catalogue: Catalogue, gpu: str) -> list[Level]:
    """The rows of a GPU whose model the catalogue has."""
    found = []
    for task in ML_ENERGY_TASKS:
        table = pd.read_csv(data / f"steady_state/mlenergy_{task}.csv")
        for record in table.itertuples():
            model = ML_ENERGY_MODELS.get(record.model_id)
            if model is None or record.data_parallel > 1 or GPUS[record.gpu_model] != gpu:
                continue
            config = catalogue.replica_config(model, gpu, int(record.num_gpus))
            card = catalogue.gpus[gpu]
            held = kv_capacity_blocks(catalogue.models[model], card.hbm_bytes, config.gpus)
            if held == 0:
                continue
            batch, output = record.avg_batch_size, record.avg_output_len
            context = PROMPT_TOKENS[task] + output * (1.0 + OUTPUT_CV2[task]) / 2.0
            tokens_s = record.output_throughput_tokens_per_sec
            at_s = np.arange(STEPS + 1) * POWER_STEP_S
            prompts = np.floor(tokens_s / output * at_s + 0.5)
            kv = min(batch * context / (held * BLOCK_TOKENS), 1.0)
            counters = {
                "running": np.full(len(at_s), batch),
                "waiting": np.zeros(len(at_s)),
                "kv": np.full(len(at_s), kv),
                "prompt_total": prompts * PROMPT_TOKENS[task],
                "generation_total": tokens_s * at_s,
                "iterations": tokens_s / batch * at_s,
            }
            columns = ledger_columns(at_s, counters, at_s, config, catalogue, held)
            found.append(
                Level(
                    LedgerSeries(config, POWER_STEP_S, columns),
                    float(record.avg_power_watts),
                    float(batch),
                    task,
                )
            )
    return found


def laws(
    levels: Sequence[Level], catalogue: Catalogue, leave_out: Collection[str] = ()
) -> dict[bool, LevelLaw]:
    """Laws of dense models and of those with experts (True), but for the models left out."""
    found = {}
    for experts in (False, True):
        rows = [
            one
            for one in levels
            if (catalogue.models[one.series.config.model].n_experts > 1) == experts
            and one.series.config.model not in leave_out
        ]
        gpu = catalogue.gpus[rows[0].series.config.gpu]
        found[experts] = fit_levels(
            gpu.ledger_power.idle_w,
            gpu.nameplate_w,
            [one.series for one in rows],
            [one.per_gpu_w for one in rows],
        )
    return found


def own_law(law: LevelLaw, levels: Sequence[Level], key: str) -> LevelLaw:
    """The law as one configuration needs it: by its median ratio, where it has levels."""
    ratios = []
    for one in levels:
        if one.series.config.key == key:
            above_w = float(law(one.series).mean()) / one.series.config.gpus - law.idle_w
            ratios.append((one.per_gpu_w - law.idle_w) / above_w)
    return replace(law, factor=float(np.median(ratios))) if ratios else law


def example_of(level: Level, seed: int) -> Example:
    """The level as a sequence: its watts with the short-time noise of a steady load."""
    rng = np.random.default_rng(seed)
    fresh = (1 - NOISE_CORRELATION**2) ** 0.5 * rng.standard_normal(len(level.series))
    noise = lfilter([1.0], [1.0, -NOISE_CORRELATION], fresh)
    return Example(level.series, level.power_w * (1.0 + NOISE * noise))


def linear_fit(levels: Sequence[Level], catalogue: Catalogue) -> tuple[float, float, float]:
    """Coefficients of the linear ledger model (weights, compute, memory; W) nearest to levels in
    relative error: where the catalogue's `ledger_power` of the B200 is from."""
    rows, watts = [], []
    for one in levels:
        config, columns = one.series.config, one.series.columns
        held = min(1.0, config.weight_bytes / (config.gpus * config.hbm_bytes_per_gpu))
        traffic = float(columns["memory_util"][4:].mean()) ** 0.5
        rows.append([held, float(columns["compute_util"][4:].mean()), traffic])
        watts.append(one.per_gpu_w)
    idle_w = catalogue.gpus[levels[0].series.config.gpu].ledger_power.idle_w
    measured = np.array(watts)
    found, _ = nnls(np.array(rows) / measured[:, None], (measured - idle_w) / measured)
    return float(found[0]), float(found[1]), float(found[2])
