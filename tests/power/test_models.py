"""The power-model contract, for all models (invariants 8 to 10), and each one's numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dcsim.errors import ConfigurationError, PackError
from dcsim.lab.learn.evaluate import evaluate
from dcsim.lab.learn.runs import read_run
from dcsim.ledger import GpuState
from dcsim.loading.rooms import check_power
from dcsim.plant import Plant
from dcsim.power import build
from dcsim.power.baseline_tables import MeanRow, look_up_table, mean_table
from dcsim.power.constant import board_limit
from dcsim.power.gru import GruPower
from dcsim.power.linear_ledger import LinearLedger
from dcsim.power.look_up import LookUpPower
from dcsim.power.mean import MeanPower
from dcsim.power.model import PowerModel
from dcsim.scenario.models import Power
from tests.engine.sites import site
from tests.power.bench import CATALOGUE, LLAMA, QWEN, ledger, small_pack

SEED = np.random.SeedSequence(5)


def models() -> list[PowerModel]:
    return [
        board_limit(),
        MeanPower({c.key: MeanRow(90.0 * c.tensor_parallel, 10, "a test") for c in (LLAMA, QWEN)}),
        LookUpPower(CATALOGUE),
        LinearLedger(CATALOGUE),
        GruPower(small_pack(LLAMA, QWEN), CATALOGUE),
    ]


@pytest.mark.parametrize("model", models(), ids=lambda m: m.name)
def test_contract(model: PowerModel) -> None:
    """Invariants 8 and 9: one number a replica, none for those that are off, none above what
    the boards can draw, and the same again after a reset."""
    configs = [LLAMA, QWEN] * 6
    ceiling_w = np.array([c.tensor_parallel * c.gpu_nameplate_w for c in configs])
    runs = []
    for _ in range(2):
        model.reset(configs, 0.25, SEED)
        steps = []
        for step in range(30):
            state = np.full(12, int(GpuState.DECODE))
            state[3] = GpuState.OFF
            watts = model.step(ledger(12, seed=step, state=state))
            assert watts.shape == (12,)
            assert watts[3] == 0.0
            rest = np.delete(np.arange(12), 3)
            assert (watts[rest] > 0).all()
            assert (watts <= 1.05 * ceiling_w + 1e-9).all()
            steps.append(watts.copy())
        runs.append(np.array(steps))
    assert np.array_equal(runs[0], runs[1])
    for config in (LLAMA, QWEN):
        assert model.provenance(config).source


@pytest.mark.parametrize("model", models(), ids=lambda m: m.name)
def test_the_future_does_not_reach_back(model: PowerModel) -> None:
    """Invariant 10: two histories that part at step 10 agree before it."""
    histories = []
    for other in (0, 1000):
        model.reset([QWEN] * 4, 0.25, SEED)
        watts = [
            model.step(ledger(4, seed=step + (other if step >= 10 else 0))).copy()
            for step in range(20)
        ]
        histories.append(np.array(watts))
    assert np.array_equal(histories[0][:10], histories[1][:10])


def test_a_batch_is_its_members_alone() -> None:
    """State probabilities of a replica do not depend on who else is stepped."""
    pack = small_pack(LLAMA, QWEN)
    configs = [LLAMA, QWEN, LLAMA, QWEN, QWEN]
    together = GruPower(pack, CATALOGUE)
    together.reset(configs, 0.25, SEED)
    alone = [GruPower(pack, CATALOGUE) for _ in configs]
    for model, config in zip(alone, configs, strict=True):
        model.reset([config], 0.25, SEED)
    for step in range(12):
        work = ledger(5, seed=step)
        whole = together.probabilities(work)
        assert whole.sum(axis=1) == pytest.approx(1.0)
        for i, model in enumerate(alone):
            single = {name: values[i : i + 1] for name, values in work.columns().items()}
            assert model.probabilities(ledger(1, **single))[0] == pytest.approx(whole[i], abs=1e-5)


def test_stepping_leaves_the_threads_of_blas_as_they_were() -> None:
    """Inside a step one thread, outside it the number that the user chose; the same watts."""
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    watts, inside = [], []
    for count in (1, 2):
        with threadpool_limits(count, user_api="blas"):
            model = GruPower(small_pack(QWEN), CATALOGUE)
            model.reset([QWEN] * 3000, 0.25, SEED)
            step = model._network._cell.step
            model._network._cell.step = lambda step=step: [inside.append(threads()), step()]  # type: ignore
            watts.append(model.step(ledger(3000)).copy())
            assert threads() == {count}
    assert inside == [{1}, {1}]
    assert np.array_equal(watts[0], watts[1])


def test_drawn_watts_follow_the_mixture_at_every_step() -> None:
    """Energy is unbiased: over many replicas with equal work the mean is the mixture's, and the
    share of each state its probability, although draws are correlated in time."""
    count = 20_000
    pack = small_pack(QWEN)
    model, oracle = GruPower(pack, CATALOGUE), GruPower(pack, CATALOGUE)
    model.reset([QWEN] * count, 0.25, SEED)
    oracle.reset([QWEN], 0.25, SEED)
    series = []
    for step in range(12):
        one = ledger(1, seed=step)
        same = {n: np.repeat(getattr(one, n), count) for n in one.__slots__ if n != "step_s"}
        watts = model.step(ledger(count, **same))
        weight = oracle.probabilities(one)[0]
        states = pack.configs[QWEN.key]
        mean_w = float(weight @ states.mean_w)
        spread_w = math.sqrt(float(weight @ (states.std_w**2 + (states.mean_w - mean_w) ** 2)))
        assert watts.mean() == pytest.approx(mean_w, abs=5 * spread_w / math.sqrt(count))
        assert watts.std() == pytest.approx(spread_w, rel=0.05)
        series.append(watts.copy())
    # Under constant work neighbouring draws are alike.
    model.reset([QWEN] * count, 0.25, SEED)
    first = model.step(ledger(count, **same)).copy()
    for _ in range(5):
        first = model.step(ledger(count, **same)).copy()
    second = model.step(ledger(count, **same))
    assert np.corrcoef(first, second)[0, 1] > 0.5


def test_linear_ledger_by_hand() -> None:
    """A100, 8 GPUs, busy all the time, at stated utilisations: the formula worked out."""
    model = LinearLedger(CATALOGUE)
    model.reset([LLAMA], 0.25, SEED)
    one = np.ones(1)
    work = ledger(1, busy_fraction=one, compute_util=0.1 * one, memory_util=0.49 * one)
    held = 141107412992.0 / (8 * 80e9)
    per_gpu = (
        70.11875 + 92.78833803668266 * held + 298.4377286661376 * 0.1 + 250.8363419047241 * 0.7
    )
    assert model.step(work)[0] == pytest.approx(8 * per_gpu)
    idle = ledger(1, busy_fraction=0 * one, compute_util=0 * one, memory_util=0 * one)
    assert model.step(idle)[0] == pytest.approx(8 * 70.11875)
    assert model.provenance(LLAMA).evidence == "fitted"
    assert model.provenance(QWEN).evidence == "extrapolated"


def test_look_up_by_hand() -> None:
    """8 A100s: half of the step busy, of it a quarter of the tokens in prompts of 1024."""
    rows, _ = look_up_table()
    one, table = np.ones(1), rows[8]
    work = ledger(
        1,
        busy_fraction=0.5 * one,
        iterations=one,
        prefill_tokens=1024 * one,
        decode_tokens=3 * 1024 * one,
        kv_fraction=0 * one,
    )
    working = 0.25 * table.peak[3] + 0.75 * table.average[0]
    idle = table.average.min()
    model = LookUpPower(CATALOGUE)
    model.reset([LLAMA], 0.25, SEED)
    assert model.step(work)[0] == pytest.approx(3200 * (idle + 0.5 * (working - idle)))
    assert model.provenance(LLAMA).evidence == "extrapolated"
    # A step that holds a tenth of such an iteration draws what the whole one does.
    part = replace(
        work,
        iterations=0.1 * one,
        prefill_tokens=102.4 * one,
        decode_tokens=307.2 * one,
    )
    assert model.step(part)[0] == pytest.approx(model.step(work)[0])
    # A full cache of 8 x 72 GB less the weights is beyond the last row, which then holds.
    full = ledger(1, busy_fraction=one, prefill_tokens=0 * one, kv_fraction=one)
    assert model.step(full)[0] == pytest.approx(3200 * table.average[-1])


def test_mean_is_measured_and_refuses_what_was_not() -> None:
    model = MeanPower()
    model.reset([LLAMA], 0.25, SEED)
    row = mean_table()[LLAMA.key]
    assert model.step(ledger(1))[0] == row.watts
    assert 8 * 70 < row.watts < 8 * 400
    assert "llama-3-70b_A100_tp8" in model.provenance(LLAMA).source
    with pytest.raises(
        ConfigurationError,
        match=r"no measured mean of .*/tp2; there are llama-3-70b/a100-sxm-80gb/tp4, .* others",
    ):
        model.reset([replace(LLAMA, tensor_parallel=2)], 0.25, SEED)


def test_shipped_means_are_those_of_the_data(data: Path) -> None:
    folder = data / "measured" / "vllm_runs" / "qwen3-14b_a100_tp1_poisson2.5"
    run = read_run(folder, CATALOGUE)
    assert mean_table()[run.series.config.key].watts == pytest.approx(run.power_w.mean(), abs=0.01)


def test_unknown_configuration_is_refused_or_labelled() -> None:
    pack = small_pack(LLAMA)
    with pytest.raises(PackError, match=r"no states for qwen3-8b.*it has llama-3-70b"):
        GruPower(pack, CATALOGUE).reset([QWEN], 0.25, SEED)
    model = GruPower(pack, CATALOGUE, extrapolate=True)
    model.reset([QWEN], 0.25, SEED)
    found = model.provenance(QWEN)
    assert found.evidence == "extrapolated"
    assert LLAMA.key in found.source
    watts = [model.step(ledger(1, seed=seed)).item() for seed in range(50)]
    levels = np.array([80.0, 200.0, 320.0])  # an eighth of LLAMA's, on one GPU
    assert np.abs(np.array(watts)[:, None] - levels).min(axis=1).mean() < 15


def test_another_step_length_is_refused() -> None:
    with pytest.raises(PackError, match="250 ms"):
        GruPower(small_pack(QWEN), CATALOGUE).reset([QWEN], 1.0, SEED)


def test_build_picks_by_name() -> None:
    for name in ("label", "board-limit", "mean", "lut", "ledger", "gru"):
        model = build(Power(model=name), [LLAMA], CATALOGUE)
        assert model.name == name
    assert build(Power(), [LLAMA], CATALOGUE).pack == "gru-a100"


@pytest.mark.parametrize(
    ("run", "pack"),
    [
        ("qwen3-8b_a100_tp1_poisson2.5", "gru-a100"),
        ("qwen3-14b_a100_tp1_poisson2.5", "gru-a100"),
        ("qwen3-8b_h100_tp1_poisson4", "gru-h100"),
    ],
)
def test_measured_runs(run: str, pack: str, data: Path) -> None:
    """The linear model misses the runs by what was measured when the project began (first
    figures: +1.0, -3.6 and +11.2 %, features roughly rebuilt); the shipped pack, which has seen
    them, is near in energy, distribution and correlation."""
    measured = read_run(data / "measured" / "vllm_runs" / run, CATALOGUE)
    linear = evaluate(LinearLedger(CATALOGUE), measured, seeds=1)
    assert abs(linear["1s"]["energy_bias_pct"]) < 12
    assert linear["1s"]["nrmse"] < 0.14
    found = evaluate(
        build(Power(pack=pack), [measured.series.config], CATALOGUE),
        measured,
        seeds=2,
    )["250ms"]
    assert found["energy_error_pct"] < 3
    assert found["ks"] < 0.16
    assert found["acf_mae"] < 0.06
    if run.startswith("qwen3-8b"):  # the 14B run is steady: its ACF is flat, and R2 chance
        assert found["acf_r2"] > 0.8


def test_a_mean_that_nobody_measured_is_told_before_the_run() -> None:
    for parallel, told in ((8, []), (2, ["servers.0.power.model"])):
        scenario = site(parallel=parallel, power="{model: mean}", engine="{max_model_len: 4096}")
        problems = list(check_power(Plant.build(scenario)))
        assert [problem.dotted for problem in problems] == told
        assert all("no measured mean of llama-3-70b" in problem.message for problem in problems)


def test_the_old_name_of_the_board_limit_is_read_and_told() -> None:
    """Files of version 0.1.0 that say `nameplate` keep their watts."""
    with pytest.warns(FutureWarning, match="read as `board-limit`"):
        assert Power.model_validate({"model": "nameplate"}).model == "board-limit"
