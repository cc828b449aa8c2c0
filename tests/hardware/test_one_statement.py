"""What training sees of work is what the simulator plays: one roofline, one count of FLOPs and
bytes."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.arrays import FloatArray
from dcsim.errors import CatalogueError
from dcsim.hardware import load_catalogue
from dcsim.hardware.kv import kv_capacity_tokens
from dcsim.hardware.roofline import IterationModel
from dcsim.lab.bench import replay
from dcsim.lab.learn.counters import ledger_columns, prompt_seconds
from dcsim.lab.learn.synthetic import synthetic_work
from dcsim.ledger import GpuState
from dcsim.scenario.models import Engine

CATALOGUE = load_catalogue()
STEP_S = 0.25


def fitting() -> list[tuple[str, str, int]]:
    """Every GPU, model and tensor parallel size of the catalogue whose weights fit."""
    return [
        (name, gpu.name, size)
        for gpu in CATALOGUE.gpus.values()
        for name, model in CATALOGUE.models.items()
        for size in gpu.timing.per_message_s
        if kv_capacity_tokens(model, gpu.hbm_bytes, size) > 10_000
    ]


def test_training_sees_the_times_that_are_played() -> None:
    """Of decodes, whose batch and context the columns tell, for the whole catalogue."""
    known = fitting()
    assert len(known) > 100
    for name, card, size in known:
        model, gpu = CATALOGUE.model(name), CATALOGUE.gpu(card)
        played = IterationModel(model, gpu, size, 512)
        config = CATALOGUE.replica_config(name, card, size)
        column = synthetic_work(config, CATALOGUE, STEP_S, 400, 1).columns
        capacity = kv_capacity_tokens(model, gpu.hbm_bytes, size)
        decodes = (column["state"] == GpuState.DECODE) & (column["kv_fraction"] < 1.0)
        assert decodes.any()
        for step in np.flatnonzero(decodes):
            batch, context = int(column["running"][step]), column["kv_fraction"][step] * capacity
            took_s = STEP_S * column["busy_fraction"][step] / column["iterations"][step]
            expected_s = played.decode_s[batch] + played.context_s * (context + batch)
            assert took_s == pytest.approx(expected_s, rel=1e-9), (name, card, size, batch)
        tokens = np.array([100.0, 5000.0])
        alone_s = [played.mixed_s(0, 0, n, n * n / 2, 1.5 * n, 1) for n in tokens.tolist()]
        assert prompt_seconds(tokens, config, CATALOGUE) == pytest.approx(alone_s, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "card", "size"),
    [
        ("llama-3-70b", "h100-sxm-80gb", 8),
        ("qwen3-30b-a3b", "h100-sxm-80gb", 1),  # experts
        ("gpt-oss-20b", "a100-sxm-80gb", 1),  # experts, layers that slide
    ],
)
def test_an_engines_counters_give_the_ledger_that_was_played(
    name: str, card: str, size: int
) -> None:
    """A played run, told as an engine's counters would tell it, and read as a measured log."""
    config = CATALOGUE.replica_config(name, card, size)
    prompt, output, count = 1500, 200, 60
    requests = [(1.0 + 0.8 * i, prompt, output) for i in range(count)]
    (series,) = replay(config, CATALOGUE, [requests], 70.0, Engine())
    played = series.columns
    prefill = np.cumsum(played["prefill_tokens"])
    edges_s: FloatArray = np.arange(len(series) + 1, dtype=np.float64) * STEP_S
    counters = {
        "running": played["running"],
        "waiting": played["waiting"],
        "kv": played["kv_fraction"],
        "prompt_total": prefill,
        "generation_total": np.cumsum(played["decode_tokens"]) + prefill / prompt,
        "iterations": np.cumsum(played["iterations"]),
    }
    counters = {key: np.concatenate([[0.0], values]) for key, values in counters.items()}
    model, gpu = CATALOGUE.model(name), CATALOGUE.gpu(card)
    blocks = kv_capacity_tokens(model, gpu.hbm_bytes, size) // 16
    read = ledger_columns(edges_s, counters, edges_s, config, CATALOGUE, blocks)
    for column, within in (("compute_util", 0.01), ("memory_util", 0.01), ("busy_fraction", 0.01)):
        assert read[column].sum() == pytest.approx(played[column].sum(), rel=within), column


def test_a_replicas_constants_are_the_catalogues() -> None:
    """By the data sheet 3.35 TB/s, 80 GB and 700 W, and 70.6 billion weights of two bytes."""
    config = CATALOGUE.replica_config("llama-3-70b", "h100-sxm-80gb", 8)
    assert config.key == "llama-3-70b/h100-sxm-80gb/tp8" and config.gpus == 8
    assert config.peak_flops_per_gpu == CATALOGUE.gpu(config.gpu).peak_flops
    assert config.hbm_bandwidth_per_gpu == pytest.approx(3.35e12)
    assert (config.hbm_bytes_per_gpu, config.gpu_nameplate_w) == (80e9, 700.0)
    assert config.weight_bytes == pytest.approx(2 * 70.6e9, rel=1e-3)
    with pytest.raises(CatalogueError, match="no GPU 'h100-sxm-80g' in the catalogue"):
        CATALOGUE.replica_config("llama-3-70b", "h100-sxm-80g", 8)
