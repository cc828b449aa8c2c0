"""The stepping cell against PyTorch's own, and the features against their definitions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.ledger import ReplicaConfig, WorkLedger
from dcsim.power.cell import Cell
from dcsim.power.features import FEATURES, FeatureMaker
from tests.power.bench import CATALOGUE, LLAMA, QWEN, ledger, small_pack


@pytest.mark.parametrize("count", [1, 7, 240])
def test_cell_is_pytorchs(count: int) -> None:
    torch = pytest.importorskip("torch", reason="the cell is compared with PyTorch's GRUCell")
    pack = small_pack(QWEN)
    cell = Cell(pack, count)
    oracle = torch.nn.GRUCell(len(FEATURES), pack.hidden)
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(oracle, name).copy_(torch.from_numpy(getattr(pack, name)))
    rng = np.random.default_rng(count)
    hidden = torch.zeros(count, pack.hidden)
    with torch.inference_mode():
        for _ in range(25):
            features = rng.normal(0, 2, (count, len(FEATURES))).astype(np.float32)
            cell.inputs[:] = features.T
            stepped = cell.step().T
            scaled = (features - pack.feature_mean) / pack.feature_std
            hidden = oracle(torch.from_numpy(scaled), hidden)
            assert stepped == pytest.approx(hidden.numpy(), abs=1e-5)
    assert float(hidden.abs().max()) > 0.1  # else nothing was compared


def test_cell_by_hand() -> None:
    """PyTorch's documented formulas in float64: r, z, n, then h = (1 - z) n + z h."""
    pack = small_pack(QWEN, seed=8)
    cell = Cell(pack, 3)
    rng = np.random.default_rng(8)
    hidden = np.zeros((3, pack.hidden))

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    for _ in range(10):
        features = rng.normal(0, 2, (3, len(FEATURES))).astype(np.float32)
        cell.inputs[:] = features.T
        scaled = (features.astype(float) - pack.feature_mean) / pack.feature_std
        reset_i, update_i, new_i = np.split(scaled @ pack.weight_ih.T + pack.bias_ih, 3, axis=1)
        reset_h, update_h, new_h = np.split(hidden @ pack.weight_hh.T + pack.bias_hh, 3, axis=1)
        update = sigmoid(update_i + update_h)
        new = np.tanh(new_i + sigmoid(reset_i + reset_h) * new_h)
        hidden = (1 - update) * new + update * hidden
        stepped = cell.step().T
        assert stepped == pytest.approx(hidden, abs=1e-5)
    assert np.array_equal(cell.hidden_and_one, np.vstack([cell.hidden, np.ones(3)]))


def one(features: np.ndarray, name: str) -> float:
    """A named feature of the only replica."""
    return float(features[FEATURES.index(name), 0])


def features_of(config: ReplicaConfig, work: WorkLedger) -> np.ndarray:
    return FeatureMaker([config], CATALOGUE)(work).copy()


def test_features_by_hand() -> None:
    """Llama 3 70B on 8 A100: 141.1 GB of weights in 640 GB."""
    value = {
        "running": 16.0,
        "waiting": 3.0,
        "prefill_tokens": 29.0,
        "decode_tokens": 10.0,
        "busy_fraction": 0.5,
        "kv_fraction": 0.25,
        "compute_util": 0.1,
        "memory_util": 0.32,
    }
    found = features_of(LLAMA, ledger(1, **{k: np.array([v]) for k, v in value.items()}))
    held = 141107412992.0 / 640e9
    assert one(found, "busy") == 0.5
    assert one(found, "memory_util") == pytest.approx(math.sqrt(0.5 * 0.32))
    assert one(found, "log_running") == pytest.approx(math.log(17) / math.log(257))
    assert one(found, "log_waiting") == pytest.approx(math.log(4) / math.log(257))
    assert one(found, "prefill_share") == pytest.approx(29 / 40)
    assert one(found, "weight_fraction") == pytest.approx(held)
    watts = 92.78833803668266 * held * 0.5 + 298.4377286661376 * 0.1 + 250.8363419047241 * 0.4
    assert one(found, "ledger_level") == pytest.approx(watts / (400 - 70.11875))


def test_an_idle_engine_has_no_features_but_its_weights() -> None:
    zero = {n: np.zeros(1) for n in WorkLedger.__slots__ if n not in ("step_s", "state")}
    found = features_of(QWEN, ledger(1, **zero))
    assert np.flatnonzero(found).tolist() == [FEATURES.index("weight_fraction")]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10.0))
def test_features_do_not_depend_on_the_hardwares_size(seed: int, factor: float) -> None:
    """GPUs that are larger in all respects at equal utilisation look alike: the network sees
    shares, not watts, bytes or FLOP/s."""
    work = ledger(1, seed=seed)
    larger = replace(
        QWEN,
        peak_flops_per_gpu=factor * QWEN.peak_flops_per_gpu,
        hbm_bandwidth_per_gpu=factor * QWEN.hbm_bandwidth_per_gpu,
        hbm_bytes_per_gpu=factor * QWEN.hbm_bytes_per_gpu,
        weight_bytes=factor * QWEN.weight_bytes,
    )
    assert features_of(larger, work) == pytest.approx(features_of(QWEN, work), rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_features_stay_in_reach(seed: int) -> None:
    """Whatever a ledger may hold, features stay within what standardising can bear."""
    rng = np.random.default_rng(seed)
    count = 50
    work = ledger(
        count,
        seed,
        running=rng.integers(0, 2049, count).astype(np.float64),
        waiting=rng.integers(0, 1_000_000, count).astype(np.float64),
        prefill_tokens=rng.uniform(0, 1e6, count),
        compute_util=rng.uniform(0, 1, count),
        memory_util=rng.uniform(0, 1, count),
    )
    found = FeatureMaker([LLAMA] * count, CATALOGUE)(work)
    assert np.isfinite(found).all()
    assert (found >= 0).all() and (found <= 2.5).all()
