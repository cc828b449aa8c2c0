"""Learning: metrics against closed forms, mixtures, targets, and a training run of seconds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.pack_subjects import quantiles_of_mixture
from dcsim.errors import RunFolderError
from dcsim.hardware.timing import timing_of
from dcsim.lab.learn.evaluate import evaluate
from dcsim.lab.learn.isolated import isolated
from dcsim.lab.learn.measured import measured_subjects
from dcsim.lab.learn.metrics import acf, compare
from dcsim.lab.learn.pooled import pooled
from dcsim.lab.learn.runs import read_run
from dcsim.lab.learn.states import Mixture, fit_mixture, fit_states
from dcsim.lab.learn.synthetic import synthetic_work
from dcsim.lab.learn.train import persistence_of, train
from dcsim.lab.learn.transfer import rank_transfer
from dcsim.lab.learn.true_power import true_watts
from dcsim.lab.ledger_series import LedgerSeries
from dcsim.lab.sensor import apply_sensor
from dcsim.ledger import GpuState
from dcsim.power.gru import GruPower
from dcsim.power.pack import any_key, save
from tests.lab.learn.made_up import QUICK, made_up_run
from tests.power.bench import CATALOGUE, QWEN


def series_of(**columns: np.ndarray) -> LedgerSeries:
    """A series with these columns, zero elsewhere."""
    steps = len(next(iter(columns.values())))
    zero = {name: np.zeros(steps) for name in made_up_run(0).series.columns}
    zero["state"] += float(GpuState.DECODE)
    return LedgerSeries(QWEN, 0.25, {**zero, **columns})


def test_acf_of_an_autoregression() -> None:
    """AR(1) with coefficient r has autocorrelation r^k."""
    rng = np.random.default_rng(0)
    x = np.zeros(200_000)
    noise = rng.standard_normal(len(x))
    for i in range(1, len(x)):
        x[i] = 0.9 * x[i - 1] + noise[i]
    assert acf(x, 20) == pytest.approx(0.9 ** np.arange(1, 21), abs=0.03)


def test_metrics_by_hand() -> None:
    rng = np.random.default_rng(1)
    measured = 200 + 50 * np.sin(np.arange(4000) / 30) + rng.normal(0, 5, 4000)
    same = compare(measured, measured)
    assert same["ks"] == same["nrmse"] == same["energy_error_pct"] == 0.0
    assert (same["acf_r2"], same["acf_mae"]) == (1.0, 0.0)
    noise = compare(rng.normal(0, 1, 4000) + 200, measured)
    assert noise["acf_mae"] == pytest.approx(np.abs(acf(measured)).mean(), abs=0.03)
    more = compare(1.1 * measured, measured)
    assert more["energy_error_pct"] == pytest.approx(10)
    assert more["acf_r2"] == pytest.approx(1.0)
    assert more["p95_error_pct"] == pytest.approx(10)
    shifted = compare(measured + 20, measured)
    assert shifted["nrmse"] == pytest.approx(20 / (measured.max() - measured.min()))
    halves = compare(np.repeat([0.0, 1.0], 500), np.repeat([0.5, 2.0], 500))
    assert halves["ks"] == pytest.approx(0.5)


def test_mixture_quantile_and_posterior() -> None:
    mixture = Mixture(np.array([0.3, 0.7]), np.array([100.0, 300.0]), np.array([5.0, 20.0]))
    share = np.array([0.05, 0.3, 0.5, 0.9])
    assert mixture.cdf(mixture.quantile(share)) == pytest.approx(share, abs=1e-4)
    posterior = mixture.posterior(np.array([100.0, 300.0]))
    assert posterior.sum(axis=1) == pytest.approx(1.0)
    assert posterior[0, 0] > 0.999 and posterior[1, 1] > 0.999
    rng = np.random.default_rng(2)
    sample = np.where(rng.random(8000) < 0.3, rng.normal(100, 5, 8000), rng.normal(300, 20, 8000))
    fitted = fit_mixture(sample, seed=0, states=2)
    assert fitted.mean_w == pytest.approx([100, 300], abs=2)
    assert fitted.std_w == pytest.approx([5, 20], rel=0.1)
    assert fitted.weight == pytest.approx([0.3, 0.7], abs=0.02)


@pytest.mark.filterwarnings("error")
def test_a_meter_that_shows_few_values_gives_few_states() -> None:
    """Two levels, and two samples in between: no state without samples, and no warning."""
    watts = np.repeat([80.0, 190.0, 300.0], [200, 2, 198])
    fitted = fit_mixture(watts, seed=0)
    assert 2 <= len(fitted.mean_w) <= 3
    assert fitted.mean_w[0] == pytest.approx(80, abs=2)
    assert fitted.mean_w[-1] == pytest.approx(300, abs=2)
    assert fitted.weight.sum() == pytest.approx(1)
    assert len(fit_mixture(np.full(100, 80.0), seed=0).mean_w) == 1


WORKING = [
    (317, 7.0, 70), (324, 4.2, 240), (333, 4.0, 290), (339, 3.5, 370), (365, 14.6, 36),
    (408, 9.4, 15), (431, 5.0, 8), (461, 10.8, 20), (492, 8.6, 25), (510, 10.9, 30),
]  # fmt: skip
"""Mean, spread, samples: as an A100 that serves a 14B model."""


def test_lonely_samples_make_no_state_of_all_watts() -> None:
    """Rest, work and spikes, and four samples between: what is drawn from the states lies between
    rest and work as rarely as it was measured there."""
    rng = np.random.default_rng(4)
    watts = np.concatenate(
        [
            rng.normal(88, 0.7, 299),
            *(rng.normal(mean, std, count) for mean, std, count in WORKING),
            [96.0, 98.0, 100.0, 152.0],
        ]
    )
    between = np.array([110.0, 290.0])
    share = {}
    for name, fitted in (("ten", fit_mixture(watts)), ("more", fit_states(watts))):
        assert fitted.mean() == pytest.approx(watts.mean(), rel=0.005)
        share[name] = float(np.diff(fitted.cdf(between))[0])
    assert share["ten"] > 0.005  # what this is about
    assert share["more"] < 0.002
    assert 10 < len(fit_states(watts).mean_w) <= 14
    assert len(fit_states(watts[watts > 200]).mean_w) == 10


def test_carried_over_watts_have_the_levels_and_the_order() -> None:
    """A third of the time idle: idle moments get the idle states, higher soon after work; working
    moments the others, in the linear model's order. Work far beyond it gets the board limit."""
    mixture = Mixture(
        np.array([0.15, 0.15, 0.4, 0.3]),
        np.array([70.0, 85.0, 250.0, 350.0]),
        np.array([1.0, 1.0, 10.0, 10.0]),
    )
    levels = quantiles_of_mixture(mixture)
    steps = 6000
    busy = np.tile(np.repeat([1.0, 0.0], [80, 40]), steps // 120)
    util = np.random.default_rng(3).uniform(0.1, 0.7, steps) * busy
    work = series_of(busy_fraction=busy, memory_util=util)
    (watts,) = rank_transfer([work], [work], levels, CATALOGUE, np.random.default_rng(4))
    idle = busy == 0
    assert watts[idle].mean() == pytest.approx(77.5, abs=0.5)
    assert watts[~idle].mean() == pytest.approx((0.4 * 250 + 0.3 * 350) / 0.7, rel=0.01)
    assert np.quantile(watts[~idle], 0.3) == pytest.approx(
        Mixture(np.array([4, 3]) / 7, mixture.mean_w[2:], mixture.std_w[2:]).quantile(
            np.array([0.3])
        )[0],
        rel=0.01,
    )
    assert np.corrcoef(util[~idle], watts[~idle])[0, 1] > 0.8
    since = np.tile(np.arange(1, 41), steps // 120)
    assert watts[idle][since <= 15].min() > watts[idle][since > 25].max()
    heavy = series_of(busy_fraction=np.ones(400), memory_util=np.ones(400))
    (top,) = rank_transfer([heavy], [work], levels, CATALOGUE, np.random.default_rng(5))
    assert top.min() > 340
    assert top.max() == 400.0  # the board limit


def test_work_beyond_what_was_seen_draws_as_the_prior_says() -> None:
    """The highest level seen, times what the prior says of the work over its 99 % quantile seen."""
    mixture = Mixture(np.array([0.5, 0.5]), np.array([70.0, 300.0]), np.array([1.0, 0.01]))
    levels = quantiles_of_mixture(mixture)
    util = np.linspace(0.1, 0.7, 1001)
    seen = series_of(busy_fraction=np.ones(1001), memory_util=util)
    heavy = series_of(busy_fraction=np.ones(9), memory_util=np.full(9, 0.8))

    def prior(series: LedgerSeries) -> np.ndarray:
        return 100.0 + 100.0 * series.columns["memory_util"]

    (watts,) = rank_transfer([heavy], [seen], levels, CATALOGUE, np.random.default_rng(5), prior)
    expected = 300.0 * 180.0 / prior(seen)[990]
    assert watts == pytest.approx(np.full(9, expected), rel=1e-3)


def test_imagined_work_covers_what_an_engine_can_do() -> None:
    """Queues, a full cache, prefill and decode flat out; utilisations within the roofline's
    efficiency for these models on this GPU."""
    timing = timing_of(CATALOGUE.models["qwen3-8b"], CATALOGUE.gpus["a100-sxm-80gb"])
    made = synthetic_work(QWEN, CATALOGUE, 0.25, 4000, seed=1)
    column = made.columns
    assert len(made) == 4000
    assert (column["waiting"] > 500).mean() > 0.03
    assert column["kv_fraction"].max() > 0.9
    assert 0.6 < column["compute_util"].max() <= timing.eff_flops / timing.factor + 1e-9
    assert 0.5 < column["memory_util"].max() <= timing.eff_bandwidth / timing.factor + 1e-9
    assert 0.05 < (column["busy_fraction"] == 0).mean() < 0.4
    resting = column["state"] == GpuState.IDLE
    for name in ("running", "waiting", "prefill_tokens", "decode_tokens", "memory_util"):
        assert (column[name][resting] == 0).all()
    again = synthetic_work(QWEN, CATALOGUE, 0.25, 4000, seed=1)
    assert all(np.array_equal(column[name], again.columns[name]) for name in column)


def test_meter_is_a_trailing_mean() -> None:
    watts = np.array([0.0, 0, 0, 0, 100, 100, 100, 100, 100])
    read = apply_sensor(watts, "h100-sxm-80gb", 0.25)
    assert read == pytest.approx([0, 0, 0, 0, 25, 50, 75, 100, 100])
    assert np.array_equal(apply_sensor(watts, "a100-sxm-80gb", 0.25), watts)


def test_training_learns_and_repeats_itself(tmp_path: Path) -> None:
    """A few seconds of training find the two levels of a made-up GPU, on a run not seen."""
    subjects = measured_subjects([made_up_run(1), made_up_run(2)])
    losses: list[float] = []
    pack = train("tiny", subjects, CATALOGUE, QUICK, progress=lambda _, loss: losses.append(loss))
    assert len(losses) == QUICK.updates
    assert np.mean(losses[-20:]) < 0.85 * np.mean(losses[:20])
    unseen = made_up_run(7)
    found = evaluate(GruPower(pack, CATALOGUE), unseen, seeds=4)["250ms"]
    assert found["energy_error_pct"] < 3
    assert found["nrmse"] < 0.2
    assert found["ks"] < 0.2
    for name in ("a.h5", "b.h5"):
        save(train("tiny", subjects, CATALOGUE, replace(QUICK, updates=10)), tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_too_short_a_run_is_refused() -> None:
    run = made_up_run(1)
    short = replace(
        run,
        series=replace(run.series, columns={k: v[:40] for k, v in run.series.columns.items()}),
        power_w=run.power_w[:40],
    )
    with pytest.raises(ValueError, match="64 steps in a row"):
        train("tiny", measured_subjects([short]), CATALOGUE, QUICK)


def test_reading_runs_names_what_is_missing(tmp_path: Path, data: Path) -> None:
    source = data / "measured" / "vllm_runs" / "qwen3-8b_a100_tp1_poisson2.5"
    run = read_run(source, CATALOGUE)
    assert run.series.config.key == "qwen3-8b/a100-sxm-80gb/tp1"
    tokens = run.series.columns["decode_tokens"].sum() + run.series.columns["prefill_tokens"].sum()
    assert tokens == pytest.approx(66356 + 42672, rel=0.03)  # the manifest's own totals
    for name in ("manifest.json", "power.csv", "engine.csv"):
        folder = tmp_path / name
        shutil.copytree(source, folder, copy_function=shutil.copyfile)
        (folder / name).unlink()
        if name == "engine.csv":  # the requests would do in its place
            (folder / "requests.csv").unlink()
        with pytest.raises(RunFolderError, match=f"no {name}"):
            read_run(folder, CATALOGUE)
    folder = tmp_path / "other-gpu"
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "hardware": "TPU"}))
    with pytest.raises(RunFolderError, match="no GPU TPU"):
        read_run(folder, CATALOGUE)


def test_true_watts_behind_the_meter() -> None:
    """Watts that follow the work, shown by an H100's meter and found again: the truth, which the
    meter hid within its second, comes back within a few watts, and shows as was shown."""
    rng = np.random.default_rng(5)
    config = replace(QWEN, gpu="h100-sxm-80gb")
    made = []
    for seed in (1, 2):
        run = made_up_run(seed, steps=2000)
        busy = run.series.columns["busy_fraction"] * rng.uniform(0.2, 1.0, 2000)
        columns = {**run.series.columns, "busy_fraction": busy}
        made.append(replace(run.series, config=config, columns=columns))
    truth = [120 + 300 * series.columns["busy_fraction"] for series in made]
    noise = [watts + rng.normal(0, 2, 2000) for watts in truth]
    read = [apply_sensor(watts, config.gpu, 0.25) for watts in noise]
    found = true_watts(made, read)
    for watts, wanted, told in zip(found, noise, read, strict=True):
        assert np.abs(apply_sensor(watts, config.gpu, 0.25) - told).mean() < 0.5
        assert np.sqrt(((watts - wanted) ** 2).mean()) < 4
        assert np.sqrt(((told - wanted) ** 2).mean()) > 15  # what ignoring the meter would cost
    a100 = [replace(series, config=QWEN) for series in made]
    assert all(np.array_equal(x, y) for x, y in zip(true_watts(a100, read), read, strict=True))


def test_pooled_campaigns_weigh_alike() -> None:
    """A short run of one campaign counts as much as many long ones of another; within a campaign,
    configurations do."""
    short, long = made_up_run(1, steps=400), made_up_run(2, steps=3000)
    (one,) = measured_subjects([short])
    (other,) = measured_subjects([long])
    subjects = [replace(one, campaign="a"), *[replace(other, campaign="b")] * 3]
    found = pooled(QWEN.gpu, subjects, CATALOGUE, QUICK)
    for examples in (found.sequences, found.out_of_range or ()):
        weights = [example.weight * len(example.series) for example in examples]
        assert weights == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6])


def test_luck_of_the_unseen_lasts_as_measured_in_time() -> None:
    """One run measured in time, off by a whole watt and else a fresh draw every step; constructed
    ones hardly move. The table for the unseen takes neither the offset nor the constructed."""
    rng = np.random.default_rng(6)
    quick = [1.0 + rng.standard_normal(4000)]
    slow = [np.repeat(rng.standard_normal(40), 100) for _ in range(3)]
    known = measured_subjects([made_up_run(1)])[0]
    (run,) = known.sequences
    made = replace(run, timed=False)
    unseen = replace(known, sequences=[run, made, made, made], weight_jitter=1.0)
    found = persistence_of(unseen, [*quick, *slow])
    assert found.at(np.arange(1, 5)) == pytest.approx(np.zeros(4), abs=0.05)
    # Its own table keeps the offset: it knows no other machine. Constructed alone, they must do.
    assert persistence_of(known, quick).at(np.array([1, 8])) == pytest.approx([0.5, 0.5], abs=0.1)
    alone = persistence_of(replace(unseen, sequences=[made, made, made]), slow)
    assert alone.at(np.array([1]))[0] > 0.9


def test_pooled_states_serve_a_configuration_never_seen() -> None:
    """Two sizes of a made-up model teach `any`; a third, unseen, gets watts a GPU like theirs."""
    runs = [made_up_run(1), made_up_run(2)]
    subjects = measured_subjects(runs)
    twice = measured_subjects(
        [
            replace(
                run,
                series=replace(run.series, config=replace(QWEN, tensor_parallel=2)),
                power_w=2 * run.power_w,
            )
            for run in runs
        ]
    )
    both = [*subjects, *twice]
    pack = train("tiny", [*both, pooled(QWEN.gpu, both, CATALOGUE, QUICK)], CATALOGUE, QUICK)
    assert any_key(QWEN.gpu) in pack.configs
    unseen = made_up_run(7)
    four = replace(QWEN, tensor_parallel=4)
    run = replace(unseen, series=replace(unseen.series, config=four), power_w=4 * unseen.power_w)
    model = GruPower(pack, CATALOGUE, extrapolate=True)
    found = evaluate(model, run, seeds=3)["250ms"]
    assert found["energy_error_pct"] < 8
    assert model.provenance(four).evidence == "extrapolated"
    assert "in common" in model.provenance(four).source


def test_a_training_leaves_pytorch_as_it_was() -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with isolated(7):
        assert torch.get_num_threads() == 1
        first = torch.rand(2)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    with isolated(7):
        assert torch.equal(torch.rand(2), first)
