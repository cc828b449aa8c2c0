"""Measured runs: a GPU's power log and an engine's, or a client's, as a ledger and its watts.

A run folder holds `manifest.json` (GPU, tensor parallel size, model, and where needed settings and
clocks), a power log, and the engine's log or the requests; see `logs` for their names. Without an
engine's log, work is what a simulator makes of the requests, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import RunFolderError
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.gpus import Gpu
from dcsim.hardware.models import ServedModel
from dcsim.hardware.replicas import replica_config
from dcsim.lab.learn.cleaning import (
    WIDTHS_S,
    find_shift,
    pieces,
    steps_between,
    unexplained,
    warm_up_until,
    without_slips,
)
from dcsim.lab.learn.counters import ledger_columns, prompt_seconds
from dcsim.lab.learn.logs import RunLogs, engine_settings, read_logs, read_manifest
from dcsim.lab.learn.plausible import gpu_named
from dcsim.lab.learn.prompts import Prompts, place_prompts
from dcsim.lab.learn.readers import EngineLog, FirstTokens
from dcsim.lab.learn.simulated import play
from dcsim.lab.ledger_series import POWER_STEP_S, LedgerSeries
from dcsim.lab.sensor import TRAILING_S
from dcsim.ledger import ReplicaConfig
from dcsim.spec.nearest import nearest_few

MAX_GAP_S = 6 * POWER_STEP_S
"""Longer gaps in the power log are not bridged (the published limit, 4 steps, refuses a run with
a gap of 1.07 s)."""
SHORTEST_S = 60.0
SLIP_SHARE = 0.6
"""While the engine works, a sample this far below both neighbours is the meter's slip."""
LEAST_SHIFT_S = 0.3
"""Clocks that agree better by the work's whole course are left alone: a step is 0.25 s."""
FINE_S = np.arange(-0.3, 0.301, 0.05)
"""Tried where it is known when prompts were computed: a meter of moments sees them, or not."""
FINER_SHARE = 0.95
"""A fine shift is believed where it leaves no more of the variance that none leaves."""


@dataclass(frozen=True)
class MeasuredRun:
    """One run, or a stretch of one: its work and, at the same steps, the watts of its GPUs."""

    name: str
    series: LedgerSeries
    power_w: FloatArray
    edges_s: FloatArray = field(default_factory=lambda: np.empty(0))
    """Unix times between which the steps lie, shape (steps + 1,); empty where it has none. A step
    is as long as the meter's interval was; its ledger is that of a whole step."""
    trailing_s: float | None = None
    """Width of the mean that the meter showed; None: as the GPU's is known to."""
    simulated: bool = False
    """Whether the work is a simulator's, no engine having been logged."""
    sampled_s: float = POWER_STEP_S
    """Time between the meter's samples, median."""
    remarks: tuple[str, ...] = ()
    """What cleaning found and did."""


def read_run(folder: Path, catalogue: Catalogue) -> MeasuredRun:
    """Read and align one run folder that has no long gap.

    Raises
    ------
    RunFolderError
        If a file, a column or a model is missing, if power has a long gap, or if the logs do not
        overlap for a minute.
    """
    return _read(folder, catalogue, whole=True)[0]


def read_pieces(folder: Path, catalogue: Catalogue) -> list[MeasuredRun]:
    """Read and clean one run folder: its stretches between long gaps of the power log.

    Raises
    ------
    RunFolderError
        As `read_run`, but for gaps.
    """
    return _read(folder, catalogue, whole=False)


def _read(folder: Path, catalogue: Catalogue, whole: bool) -> list[MeasuredRun]:
    manifest = read_manifest(folder)
    gpu = _gpu(manifest, catalogue, folder)
    model = _model(manifest, catalogue, folder)
    if manifest["tp"] not in gpu.timing.per_message_s:
        raise RunFolderError(
            f"{folder}: the catalogue has no timing of {gpu.name} at tp {manifest['tp']}"
        )
    config = replica_config(model, gpu, manifest["tp"])
    logs = read_logs(folder, manifest, catalogue.gpus)
    at_s, watts = logs.power.at_s, logs.power.watts.sum(axis=1)
    gap_s = float(np.diff(at_s).max())
    if whole and gap_s > MAX_GAP_S:
        raise RunFolderError(f"{folder}: power.csv has a gap of {gap_s:.1f} s")
    remarks = list(logs.remarks)
    work = _work(folder, logs, config, catalogue, remarks)
    at_s, trailing_s = _on_the_works_clock(
        at_s, watts, work, logs.power.field == "instant", catalogue, remarks
    )
    edges_s = steps_between(at_s, work.start_s, work.end_s, POWER_STEP_S)
    series = work.on(edges_s)
    working = np.interp(at_s, edges_s[1:], np.minimum(series.columns["running"], 1.0)) == 1.0
    watts, slips = without_slips(watts, working, SLIP_SHARE)
    if slips:
        remarks.append(f"{slips} slips of the meter under load mended")
    begin_s = warm_up_until(at_s, watts, working)
    first_s = max(at_s[0], edges_s[0])
    if begin_s > first_s:
        remarks.append(f"{begin_s - first_s:.1f} s of the engine's start dropped")
    stretches = pieces(at_s, MAX_GAP_S, SHORTEST_S)
    runs = []
    for number, stretch in enumerate(stretches, 1):
        inside_s = at_s[stretch]
        steps = np.flatnonzero(
            (edges_s[:-1] >= max(inside_s[0], begin_s)) & (edges_s[1:] <= inside_s[-1])
        )
        if len(steps) * POWER_STEP_S < SHORTEST_S:
            continue
        first, last = int(steps[0]), int(steps[-1]) + 1
        runs.append(
            MeasuredRun(
                name=folder.name if len(stretches) == 1 else f"{folder.name}[{number}]",
                series=series.part(first, last),
                power_w=np.interp(edges_s[first + 1 : last + 1], inside_s, watts[stretch]),
                edges_s=edges_s[first : last + 1],
                trailing_s=trailing_s,
                simulated=logs.engine is None,
                sampled_s=float(np.median(np.diff(at_s))),
                remarks=tuple(remarks),
            )
        )
    if not runs:
        raise RunFolderError(
            f"{folder}: the power log and the work share less than a minute without a gap of "
            f"{MAX_GAP_S:g} s"
        )
    return runs


@dataclass(frozen=True)
class _Work:
    """The work of a run, for any steps."""

    start_s: float
    end_s: float
    on: Callable[[FloatArray], LedgerSeries]
    """The ledger on the steps between these times."""
    placed: bool = False
    """Whether it is known to some hundredths of a second when prompts were computed."""


def _work(
    folder: Path,
    logs: RunLogs,
    config: ReplicaConfig,
    catalogue: Catalogue,
    remarks: list[str],
) -> _Work:
    """What the engine's log says, or else the simulator makes of the requests."""
    power_s = logs.power.at_s
    if logs.engine is not None:
        engine, prompts = logs.engine, None
        if logs.first_tokens is not None:
            prompts, remark = logged_prompts(engine, logs.first_tokens, config, catalogue)
            remarks.append(remark)
        at_s = engine.at_s
        start_s, end_s = max(power_s[0], at_s[0]), min(power_s[-1], at_s[-1])
        if end_s - start_s < SHORTEST_S:
            raise RunFolderError(f"{folder}: the power and engine logs share less than a minute")

        def logged(edges_s: FloatArray) -> LedgerSeries:
            columns = ledger_columns(
                at_s, engine.columns, edges_s, config, catalogue, engine.kv_blocks, prompts
            )
            return LedgerSeries(config, POWER_STEP_S, columns)

        return _Work(float(start_s), float(end_s), logged, placed=prompts is not None)
    assert logs.requests is not None
    remarks.append("no engine log: work is simulated from the requests")
    start_s, end_s = min(power_s[0], logs.requests[0].at_s), power_s[-1]
    inside = [request for request in logs.requests if request.at_s < end_s]
    if len(inside) < 2 or end_s - start_s < SHORTEST_S or power_s[0] > logs.requests[-1].at_s:
        raise RunFolderError(f"{folder}: the power log and the requests share less than a minute")
    settings = engine_settings(folder)

    def simulated(edges_s: FloatArray) -> LedgerSeries:
        return play(config, catalogue, edges_s, inside, settings)

    return _Work(float(start_s), float(end_s), simulated)


def logged_prompts(
    engine: EngineLog, first_tokens: FirstTokens, config: ReplicaConfig, catalogue: Catalogue
) -> tuple[Prompts | None, str]:
    """When the engine computed the prompts that its clients timed, as `place_prompts` has it."""
    return place_prompts(
        engine.at_s,
        engine.columns["prompt_total"],
        first_tokens,
        lambda tokens: prompt_seconds(tokens, config, catalogue),
    )


def _on_the_works_clock(
    at_s: FloatArray,
    watts: FloatArray,
    work: _Work,
    momentary: bool,
    catalogue: Catalogue,
    remarks: list[str],
) -> tuple[FloatArray, float | None]:
    """Times of the power log on the clock of the work, and the width of the meter's mean where it
    is not the GPU's known one."""
    edges_s = np.arange(work.start_s, work.end_s, POWER_STEP_S)
    series = work.on(edges_s)
    drawn = series.linear_watts(catalogue)
    if np.std(watts) < 1e-6 or np.std(drawn) < 1e-6:
        return at_s, None
    known = 0.0 if momentary else TRAILING_S.get(series.config.gpu)
    widths_s = WIDTHS_S if known is None else (known,)
    shift = find_shift(at_s, watts, edges_s[1:], drawn, widths_s=widths_s)
    remarks.append(f"clocks: {shift}")
    if shift.sure and abs(shift.shift_s) > LEAST_SHIFT_S:
        remarks.append(f"power log moved by {-shift.shift_s:+.2f} s")
        at_s = at_s - shift.shift_s
    if shift.sure and work.placed:
        finer_s = _finer(at_s, watts, work, shift.trailing_s, catalogue)
        if finer_s:
            remarks.append(f"power log moved by {-finer_s:+.2f} s, where its watts meet prompts")
            at_s = at_s - finer_s
    if momentary:
        return at_s, 0.0
    if known is None and shift.sure and shift.trailing_s:
        remarks.append(f"the meter shows the mean of the last {shift.trailing_s:g} s, as estimated")
        return at_s, shift.trailing_s
    return at_s, None


def _finer(
    at_s: FloatArray, watts: FloatArray, work: _Work, trailing_s: float, catalogue: Catalogue
) -> float:
    """How much later than prompts the watts come that they draw; 0 where that is not clear."""
    inner_s = work.start_s + FINE_S[-1], work.end_s - FINE_S[-1]
    left = []
    for shift_s in FINE_S:
        moved_s = at_s - shift_s
        edges_s = steps_between(moved_s, *inner_s, POWER_STEP_S)
        series = work.on(edges_s)
        column = series.columns
        factors = series.linear_watts(catalogue), column["prefill_tokens"], column["running"] > 0
        shown = np.interp(edges_s[1:], moved_s, watts)
        left.append(unexplained(shown, factors, round(trailing_s / POWER_STEP_S)))
    best, none = int(np.argmin(left)), int(np.argmin(np.abs(FINE_S)))
    if best in (0, len(FINE_S) - 1) or left[best] > FINER_SHARE * left[none]:
        return 0.0
    return float(FINE_S[best])


def _gpu(manifest: dict[str, Any], catalogue: Catalogue, folder: Path) -> Gpu:
    gpu = gpu_named(str(manifest["hardware"]), catalogue.gpus)
    if gpu is not None:
        return gpu
    known = ", ".join(sorted(gpu.split("-")[0].upper() for gpu in catalogue.gpus))
    raise RunFolderError(
        f"{folder}: the catalogue has no GPU {manifest['hardware']}; it has {known}"
    )


def _model(manifest: dict[str, Any], catalogue: Catalogue, folder: Path) -> ServedModel:
    name = str(manifest["model"]).rsplit("/", maxsplit=1)[-1].lower()
    if name not in catalogue.models:
        raise RunFolderError(
            f"{folder}: the catalogue has no model {manifest['model']}; it has "
            + nearest_few(name, catalogue.models)
        )
    return catalogue.models[name]
