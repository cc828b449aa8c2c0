"""Run folders as people have them: raw logs, clocks that differ, gaps, no engine log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dcsim.cli.power import app
from dcsim.errors import RunFolderError
from dcsim.lab.bench import replay
from dcsim.lab.learn.cleaning import find_shift, pieces, warm_up_until
from dcsim.lab.learn.eligibility import missing_requirements
from dcsim.lab.learn.evaluate import generate
from dcsim.lab.learn.measured import measured_subjects
from dcsim.lab.learn.refine import refine
from dcsim.lab.learn.runs import MeasuredRun, read_pieces, read_run
from dcsim.lab.learn.train import train
from dcsim.lab.ledger_series import LedgerSeries, TimedRequest
from dcsim.ledger import ReplicaConfig
from dcsim.power.gru import GruPower
from dcsim.power.pack import load
from dcsim.scenario.models import Engine
from tests.lab.learn.folder import BUSY_W, IDLE_W, LOCAL_START, write_run
from tests.lab.learn.made_up import QUICK, made_up_run
from tests.power.bench import CATALOGUE, LLAMA, QWEN, small_pack


def raw(folder: Path, **also: object) -> Path:
    """The folder's logs turned into nvidia-smi's CSV, of two GPUs, and scrapes of vLLM's page; its
    manifest into the least that is needed."""
    lines = ["timestamp, index, uuid, power.draw [W], utilization.gpu [%]"]
    day = LOCAL_START
    before = ""
    for row in (folder / "power.csv").read_text().split()[1:]:
        time, watts = row.split(",")
        day += timedelta(days=time < before)
        before = time
        for gpu, shown in ((0, "60.00"), (1, watts)):
            lines.append(f"{day:%Y/%m/%d} {time}, {gpu}, GPU-{gpu}, {shown} W, 0 %")
    (folder / "smi.csv").write_text("\n".join(lines) + "\n")
    (folder / "power.csv").unlink()
    lines = []
    for row in (folder / "engine.csv").read_text().split()[1:]:
        epoch, *values = row.split(",")
        lines.append(f"# {epoch}")
        for name, value in zip(
            (
                "num_requests_running",
                "num_requests_waiting",
                "kv_cache_usage_perc",
                "prompt_tokens_total",
                "generation_tokens_total",
                "iteration_tokens_total_count",
            ),
            values,
            strict=True,
        ):
            lines.append(f'vllm:{name}{{engine="0",model_name="Qwen/Qwen3-8B"}} {value}')
    (folder / "metrics.prom").write_text("\n".join(lines) + "\n")
    (folder / "engine.csv").unlink()
    told = {"hardware": "NVIDIA A100-SXM4-80GB", "model": "Qwen/Qwen3-8B", "tp": 1, **also}
    (folder / "manifest.json").write_text(json.dumps(told))
    return folder


def test_raw_logs_give_the_same_run(tmp_path: Path) -> None:
    """nvidia-smi's local time, without a zone, and scrapes: the zone follows, and all is alike."""
    write_run(tmp_path / "run")
    wanted = read_run(tmp_path / "run", CATALOGUE)
    found = read_run(raw(tmp_path / "run", gpus=["1"]), CATALOGUE)
    assert found.power_w == pytest.approx(wanted.power_w)
    assert found.edges_s[0] == pytest.approx(wanted.edges_s[0], abs=1e-6)
    for name, column in wanted.series.columns.items():
        assert found.series.columns[name] == pytest.approx(column), name
    assert any("UTC-7 h" in text for text in found.remarks)


def test_the_first_gpus_are_taken_and_that_is_said(tmp_path: Path) -> None:
    """The wrong one here: its watts do not follow the work, and the run is refused."""
    write_run(tmp_path / "run")
    run = read_run(raw(tmp_path / "run"), CATALOGUE)
    assert any("of 2 GPUs the first 1 taken (0)" in text for text in run.remarks)
    assert any("hardly changes" in text for text in missing_requirements(run, CATALOGUE))
    with pytest.raises(RunFolderError, match="no GPU 7; the log has 0, 1"):
        manifest = {**json.loads((tmp_path / "run/manifest.json").read_text()), "gpus": [7]}
        (tmp_path / "run/manifest.json").write_text(json.dumps(manifest))
        read_run(tmp_path / "run", CATALOGUE)


@pytest.mark.parametrize("shift_s", [-6.5, 2.0, 11.0])
def test_clocks_that_differ_are_found_out(shift_s: float, tmp_path: Path) -> None:
    """Bursts that come and go irregularly; the power log's clock is wrong by seconds."""
    rng = np.random.default_rng(3)
    work = np.repeat(rng.integers(0, 2, 60), 20).astype(float)
    at_s = 0.25 * np.arange(len(work))
    watts = IDLE_W + (BUSY_W - IDLE_W) * work + rng.normal(0, 10, len(work))
    found = find_shift(at_s + shift_s, watts, at_s, work)
    assert found.sure
    assert found.shift_s == pytest.approx(shift_s, abs=0.15)
    assert found.trailing_s == 0.0
    assert found.plus_minus_s < 0.1
    noise = find_shift(at_s, rng.normal(0, 10, len(work)), at_s, work)
    assert not noise.sure
    assert "not sure" in str(noise)


def test_a_meters_mean_is_found_out() -> None:
    rng = np.random.default_rng(4)
    work = np.repeat(rng.integers(0, 2, 300), rng.integers(1, 12, 300)).astype(float)
    at_s = 0.25 * np.arange(len(work))
    for steps in (4, 8):
        shown = np.convolve(work, np.ones(steps) / steps)[: len(work)]
        found = find_shift(at_s, 80 + 200 * shown + rng.normal(0, 3, len(work)), at_s, work)
        assert found.trailing_s == steps / 4
        assert found.shift_s == pytest.approx(0.0, abs=0.2)


def test_the_engines_own_start_is_dropped() -> None:
    """Loading and compiling draw power before the first request; the last of it plus 2 s goes."""
    at_s = 0.25 * np.arange(400)
    watts = np.where(at_s < 20, 180.0, IDLE_W)
    working = at_s >= 50
    watts[working] = BUSY_W
    assert warm_up_until(at_s, watts, working) == pytest.approx(21.75, abs=0.3)
    watts[at_s < 20] = IDLE_W
    assert warm_up_until(at_s, watts, working) == at_s[0]
    assert warm_up_until(at_s, watts, at_s >= 0) == at_s[0]


def test_long_gaps_part_a_run(tmp_path: Path) -> None:
    write_run(tmp_path / "run", duration_s=180.0, gap_s=12.0)
    with pytest.raises(RunFolderError, match="gap of"):
        read_run(tmp_path / "run", CATALOGUE)
    # Up to the gap, at 35 s, is too short; after it, long enough.
    (rest,) = read_pieces(tmp_path / "run", CATALOGUE)
    assert rest.name == "run"
    assert len(rest.series) == pytest.approx(4 * (180 - 47), abs=4)
    assert (rest.power_w >= IDLE_W).all()
    assert pieces(np.array([0.0, 1, 2, 50, 51, 52, 53]), 1.5, 2.0) == [slice(0, 3), slice(3, 7)]


def only_requests(folder: Path) -> Path:
    """A run folder whose engine was not logged: watts follow the simulated work of requests."""
    start_s = write_run(folder, duration_s=150.0)
    (folder / "engine.csv").unlink()
    rng = np.random.default_rng(5)
    at_s = np.sort(np.concatenate([rng.uniform(a, a + 8, 12) for a in (5, 40, 70, 120)]))
    rows = [f"{start_s + at:.3f},400,150" for at in at_s]
    (folder / "requests.csv").write_text("start,input_tokens,output_tokens\n" + "\n".join(rows))
    sent = [TimedRequest(float(at), 400, 150) for at in at_s]
    (work,) = replay(QWEN, CATALOGUE, [sent], 150.0, Engine())
    watts = IDLE_W + (BUSY_W - IDLE_W) * work.columns["busy_fraction"]
    lines = (folder / "power.csv").read_text().split()
    told = [f"{row.split(',')[0]},{w:.1f}" for row, w in zip(lines[1:], watts, strict=False)]
    (folder / "power.csv").write_text("\n".join([lines[0], *told]) + "\n")
    return folder


def test_work_is_simulated_where_no_engine_was_logged(tmp_path: Path) -> None:
    folder = only_requests(tmp_path / "run")
    run = read_run(folder, CATALOGUE)
    assert run.simulated
    assert any("simulated from the requests" in text for text in run.remarks)
    column = run.series.columns
    assert column["decode_tokens"].sum() + 48 == pytest.approx(48 * 150, rel=0.02)
    assert np.corrcoef(column["busy_fraction"], run.power_w)[0, 1] > 0.97
    assert missing_requirements(run, CATALOGUE) == []
    (subject,) = measured_subjects([run])
    assert "work simulated from the requests" in subject.source
    (folder / "requests.csv").unlink()
    with pytest.raises(RunFolderError, match=r"no engine\.csv.*and no requests\.csv"):
        read_run(folder, CATALOGUE)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda run: replace(run, sampled_s=2.0), "sampled every 2.00 s; needed is"),
        (lambda run: replace(run, power_w=1000 * run.power_w), "another unit"),
        (lambda run: replace(run, power_w=run.power_w / 1000), "another unit"),
        (lambda run: replace(run, power_w=0 * run.power_w + 200.0), "meter is stuck"),
        (lambda run: replace(run, power_w=np.roll(run.power_w, 10)), "does not follow the work"),
        (
            lambda run: replace(
                run,
                series=LedgerSeries(
                    QWEN, 0.25, {name: 0 * v for name, v in run.series.columns.items()}
                ),
            ),
            "worked for 0 s in all",
        ),
    ],
)
def test_what_cannot_support_a_fit_is_refused(change, told: str) -> None:  # type: ignore[no-untyped-def]
    run = made_up_run(1)
    columns = dict(run.series.columns)
    columns["busy_fraction"] = np.tile(np.repeat([0.0, 1.0], 10), 30)
    columns["memory_util"] = 0.6 * columns["busy_fraction"]
    run = replace(
        run,
        series=replace(run.series, columns=columns),
        power_w=80 + 220 * columns["busy_fraction"],
    )
    assert missing_requirements(run, CATALOGUE) == []
    assert told in "; ".join(missing_requirements(change(run), CATALOGUE))


def shifted(run: MeasuredRun, by_w: float, config: ReplicaConfig = QWEN) -> MeasuredRun:
    """The run on a machine that draws more."""
    return replace(run, series=replace(run.series, config=config), power_w=run.power_w + by_w)


def mean_w(pack, runs: Sequence[MeasuredRun]) -> float:  # type: ignore[no-untyped-def]
    watts = [generate(GruPower(pack, CATALOGUE), run.series, 4).mean() for run in runs]
    return float(np.mean(watts))


def test_refining_learns_the_new_and_keeps_the_rest() -> None:
    """Taught 80 and 300 W, then shown a machine with 60 W more: it follows, and what the pack
    says of another configuration stays the same to the bit."""
    before = train("tiny", measured_subjects([made_up_run(1), made_up_run(2)]), CATALOGUE, QUICK)
    other = small_pack(LLAMA).configs[LLAMA.key]
    hidden = before.hidden
    other = replace(other, head_weight=np.ones((len(other.mean_w), hidden), np.float32))
    before = replace(before, configs={**before.configs, LLAMA.key: other})
    news = [shifted(made_up_run(seed), 60.0) for seed in (3, 4)]
    after = refine(before, "refined", news, CATALOGUE, QUICK)
    unseen = [made_up_run(9)]
    wanted = float(unseen[0].power_w.mean())
    assert mean_w(before, unseen) == pytest.approx(wanted, rel=0.03)
    assert mean_w(after, unseen) == pytest.approx(wanted + 60, rel=0.03)
    assert after.configs[LLAMA.key] is other
    assert np.array_equal(after.weight_hh, before.weight_hh)
    assert after.name == "refined"
    assert "as tiny had it" in after.configs[QWEN.key].source
    few = replace(QUICK, updates=10)
    once, again = (refine(before, "refined", news, CATALOGUE, few) for _ in range(2))
    assert np.array_equal(once.configs[QWEN.key].head_weight, again.configs[QWEN.key].head_weight)


def test_train_takes_all_of_it(tmp_path: Path) -> None:
    """By the command: raw logs and a run without an engine log make a pack and its picture; the
    same command refines it; what cannot be used is told at once, and nothing is written."""

    def run(*arguments: object):  # type: ignore[no-untyped-def]
        return CliRunner().invoke(app, [str(one) for one in ("train", *arguments)])

    write_run(tmp_path / "raw", jitter_w=3.0)
    raw(tmp_path / "raw", gpus=["1"])
    only_requests(tmp_path / "asked")
    folders = (tmp_path / "raw", tmp_path / "asked")
    out = tmp_path / "mine.h5"
    done = run(*folders, "--out", out, "--updates", 20)
    assert done.exit_code == 0, done.output
    assert "raw: zone of the power log taken as UTC-7 h" in done.output
    assert "asked: no engine log: work is simulated from the requests" in done.output
    assert (tmp_path / "mine.png").read_bytes()[1:4] == b"PNG"
    table = load(out).configs[QWEN.key]
    assert table.figures["held_out_runs"] == 2
    assert table.figures["held_out_energy_error_pct"] > 0
    more = tmp_path / "more.h5"
    done = run(tmp_path / "asked", "--from-pack", out, "--out", more, "--updates", 20)
    assert done.exit_code == 0, done.output
    assert "mine learned from it" in done.output
    assert "refined by `dcsim power train --from-pack` with asked" in load(more).notes
    write_run(tmp_path / "still", duration_s=30.0)
    wrong = tmp_path / "wrong.h5"
    done = run(tmp_path / "still", tmp_path / "none", "--out", wrong)
    assert done.exit_code == 2
    assert "still: " in done.output and "none: no such folder" in done.output
    done = run(tmp_path / "raw", "--from-pack", "gru-z100", "--out", wrong)
    assert done.exit_code == 2 and "--from-pack: no pack is called" in done.output
    assert not wrong.exists()
