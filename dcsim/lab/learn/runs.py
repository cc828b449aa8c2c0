"""Measured runs: a GPU's power log and an engine's, or a client's, as a ledger and its watts.

A run folder holds `manifest.json` (GPU, tensor parallel size, model, and where needed settings and
clocks), a power log, and the engine's log or the requests; see `logs` for their names. Without an
engine's log, work is what a simulator makes of the requests, and that is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
from dcsim.lab.learn.counters import POWER_STEP_S, ledger_columns, prompt_seconds
from dcsim.lab.learn.logs import RunLogs, engine_settings, read_logs, read_manifest
from dcsim.lab.learn.plausible import gpu_named
from dcsim.lab.learn.prompts import Prompts, place_prompts
from dcsim.lab.learn.readers import EngineLog, FirstTokens
from dcsim.ledger import ReplicaConfig, WorkLedger
from dcsim.power.linear_ledger import LinearLedger
from dcsim.power.meter import TRAILING_S
from dcsim.scenario.models import Engine

MAX_GAP_STEPS = 6
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
class LedgerSeries:
    """A ledger over time of one replica: every column of `WorkLedger`, shape (steps,)."""

    config: ReplicaConfig
    step_s: float
    columns: dict[str, FloatArray]

    def __len__(self) -> int:
        return len(self.columns["running"])

    def ledger(self) -> WorkLedger:
        """All steps at once, as if they were replicas: for models without memory."""
        columns: dict[str, Any] = dict(self.columns)
        columns["state"] = columns["state"].astype(np.int64)
        return WorkLedger(step_s=self.step_s, **columns)

    def at(self, step: int) -> WorkLedger:
        """One step, for one replica."""
        columns: dict[str, Any] = {name: c[step : step + 1] for name, c in self.columns.items()}
        columns["state"] = columns["state"].astype(np.int64)
        return WorkLedger(step_s=self.step_s, **columns)

    def part(self, start: int, stop: int) -> LedgerSeries:
        """Some consecutive steps."""
        columns = {name: values[start:stop] for name, values in self.columns.items()}
        return replace(self, columns=columns)


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


Asked = tuple[float, int, int]
"""arrival_s, prompt tokens, output tokens."""
Simulate = Callable[[ReplicaConfig, Sequence[Asked], float, Engine], LedgerSeries]
"""Plays requests on a configuration for so many seconds, from second 0 in steps of 0.25 s."""


def read_run(folder: Path, catalogue: Catalogue, simulate: Simulate | None = None) -> MeasuredRun:
    """Read and align one run folder that has no long gap.

    Raises RunFolderError when a file, a column or a model is missing, when power has a long
    gap, or when the logs do not overlap for a minute.
    """
    found = read_pieces(folder, catalogue, simulate, whole=True)
    return found[0]


def read_pieces(
    folder: Path,
    catalogue: Catalogue,
    simulate: Simulate | None = None,
    *,
    whole: bool = False,
) -> list[MeasuredRun]:
    """Read and clean one run folder: its stretches between long gaps of the power log.

    Without an engine's log `simulate` makes the work. Raises RunFolderError; for a gap, too,
    where the run is wanted `whole`.
    """
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
    if whole and gap_s > MAX_GAP_STEPS * POWER_STEP_S:
        raise RunFolderError(f"{folder}: power.csv has a gap of {gap_s:.1f} s")
    remarks = list(logs.remarks)
    work = _work(folder, logs, config, model, gpu, simulate, remarks)
    if logs.engine is None:
        remarks.append("no engine log: work is simulated from the requests")
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
    if begin_s > max(at_s[0], edges_s[0]):
        remarks.append(f"{begin_s - max(at_s[0], edges_s[0]):.1f} s of the engine's start dropped")
    stretches = pieces(at_s, MAX_GAP_STEPS * POWER_STEP_S, SHORTEST_S)
    found = []
    for number, stretch in enumerate(stretches, 1):
        steps = np.flatnonzero(
            (edges_s[:-1] >= max(at_s[stretch][0], begin_s)) & (edges_s[1:] <= at_s[stretch][-1])
        )
        if len(steps) * POWER_STEP_S < SHORTEST_S:
            continue
        first, last = int(steps[0]), int(steps[-1]) + 1
        found.append(
            MeasuredRun(
                name=folder.name if len(stretches) == 1 else f"{folder.name}[{number}]",
                series=series.part(first, last),
                power_w=np.interp(edges_s[first + 1 : last + 1], at_s[stretch], watts[stretch]),
                edges_s=edges_s[first : last + 1],
                trailing_s=trailing_s,
                simulated=logs.engine is None,
                sampled_s=float(np.median(np.diff(at_s))),
                remarks=tuple(remarks),
            )
        )
    if not found:
        raise RunFolderError(
            f"{folder}: the power log and the work share less than a minute without a gap of "
            f"{MAX_GAP_STEPS * POWER_STEP_S:g} s"
        )
    return found


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
    model: ServedModel,
    gpu: Gpu,
    simulate: Simulate | None,
    remarks: list[str],
) -> _Work:
    """What the engine's log tells, or else the simulator makes of the requests."""
    power_s = logs.power.at_s
    if logs.engine is not None:
        engine, prompts = logs.engine, None
        if logs.first_tokens is not None:
            prompts, found = logged_prompts(engine, logs.first_tokens, config, model, gpu)
            remarks.append(found)
        at_s = engine.at_s
        start_s, end_s = max(power_s[0], at_s[0]), min(power_s[-1], at_s[-1])
        if end_s - start_s < SHORTEST_S:
            raise RunFolderError(f"{folder}: the power and engine logs share less than a minute")

        def logged(edges_s: FloatArray) -> LedgerSeries:
            columns = ledger_columns(
                at_s, engine.columns, edges_s, config, model, gpu, engine.kv_blocks, prompts
            )
            return LedgerSeries(config, POWER_STEP_S, columns)

        return _Work(float(start_s), float(end_s), logged, placed=prompts is not None)
    assert logs.requests is not None
    if simulate is None:
        raise RunFolderError(
            f"{folder}: no engine.csv, and nothing here simulates the requests' work"
        )
    start_s, end_s = min(power_s[0], logs.requests[0][0]), power_s[-1]
    inside = [one for one in logs.requests if one[0] < end_s]
    if len(inside) < 2 or end_s - start_s < SHORTEST_S or power_s[0] > logs.requests[-1][0]:
        raise RunFolderError(f"{folder}: the power log and the requests share less than a minute")
    settings = engine_settings(folder)

    def simulated(edges_s: FloatArray) -> LedgerSeries:
        return play(simulate, config, edges_s, inside, settings)

    return _Work(float(start_s), float(end_s), simulated)


def logged_prompts(
    engine: EngineLog,
    first_tokens: FirstTokens,
    config: ReplicaConfig,
    model: ServedModel,
    gpu: Gpu,
) -> tuple[Prompts | None, str]:
    """When the engine computed the prompts that its clients timed, as `place_prompts` has it."""
    return place_prompts(
        engine.at_s,
        engine.columns["prompt_total"],
        first_tokens,
        lambda tokens: prompt_seconds(tokens, model, gpu, config),
    )


def play(
    simulate: Simulate,
    config: ReplicaConfig,
    edges_s: FloatArray,
    requests: Sequence[Asked],
    settings: Engine,
) -> LedgerSeries:
    """What a simulator makes of requests, in order of their times on the clock of `edges_s`, on the
    steps between those. It begins with the first request, also where that was sent before them."""
    ahead = max(0, math.ceil((edges_s[0] - requests[0][0]) / POWER_STEP_S))
    before = edges_s[0] - POWER_STEP_S * np.arange(ahead, 0, -1)
    asked = asked_on(np.concatenate([before, edges_s]), requests)
    steps = ahead + len(edges_s) - 1
    return simulate(config, asked, steps * POWER_STEP_S, settings).part(ahead, steps)


def asked_on(edges_s: FloatArray, requests: Sequence[Asked]) -> list[Asked]:
    """The requests, whose times are on the clock of `edges_s`, in seconds of a simulation whose
    even steps are those steps. What came before them comes at 0."""
    steps = np.arange(len(edges_s)) * POWER_STEP_S
    at_s = np.array([one[0] for one in requests])
    after = np.maximum(at_s - edges_s[-1], 0.0)
    placed = np.interp(at_s, edges_s, steps) + after
    return [(float(at), one[1], one[2]) for at, one in zip(placed, requests, strict=True)]


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
    drawn = ledger_watts(series, catalogue)
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


def ledger_watts(series: LedgerSeries, catalogue: Catalogue) -> FloatArray:
    """The linear ledger model on a series, shape (steps,)."""
    model = LinearLedger(catalogue, phases=False)  # packs were trained on the law of means
    model.reset([series.config] * len(series), series.step_s, np.random.SeedSequence(0))
    return model.step(series.ledger())


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
        factors = ledger_watts(series, catalogue), column["prefill_tokens"], column["running"] > 0
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
            + ", ".join(sorted(catalogue.models))
        )
    return catalogue.models[name]
