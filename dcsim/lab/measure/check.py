"""Whether a run folder is good, and if not, why. `dcsim power train` takes what is good."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import RunFolderError
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.lab.learn.logs import RunLogs, read_logs, read_manifest
from dcsim.lab.learn.readers import EngineLog
from dcsim.lab.learn.runs import MAX_GAP_S, read_run

MIN_COVERAGE = 0.95
"""Of the samples that the period promises."""
SLOWEST_PERIOD_S = 0.1
"""Of power samples: 10 Hz."""
MAX_FAILED_SHARE = 0.01
"""Share of requests; more, and the load was not the planned one."""
MAX_FOREIGN_SHARE = 0.01
"""Share of the engine's tokens that no request of ours explains."""
MAX_DRIFT_S = 0.05
"""By which the wall clock may move against the monotonic one within a part."""
MAX_LATE_MS = 5.0
"""Of the client's loop at the 99th percentile: more distorts the gaps between tokens."""
MAX_LATE_SEND_S = 0.05
READ_ERRORS = (RunFolderError, OSError, ValueError, TypeError, KeyError, IndexError)
"""What a file with anything in it may raise."""
MAX_ENERGY_DIFFERENCE = 0.05
"""By which the GPU's own energy counter may differ from the sampled watts."""


@dataclass
class Verdict:
    """What a check reports. Errors make a folder not good; warnings are for the reader to weigh."""

    folder: Path
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {"good": self.good, **asdict(self), "folder": str(self.folder)}


def check_folder(folder: Path) -> Verdict:
    """Judge one run folder, measured here or imported. Never raises for what is in it."""
    verdict = Verdict(folder)
    catalogue = load_catalogue()
    try:
        manifest = read_manifest(folder)
    except READ_ERRORS as error:
        verdict.errors.append(_reason(folder, error))
        return verdict
    status = manifest.get("status", "complete")
    if status != "complete":
        why = manifest.get("stopped")
        verdict.errors.append(f"it was not finished: {status}" + (f" ({why})" if why else ""))
    logs: RunLogs | None = None
    try:
        logs = read_logs(folder, manifest, catalogue.gpus)
        verdict.warnings += logs.remarks
        _power(verdict, manifest, logs.power.at_s, logs.power.watts.sum(axis=1))
        _telemetry(verdict, folder)
        if logs.engine is None:
            verdict.warnings.append("no log of the engine: training simulates the requests' work")
        else:
            _engine(verdict, manifest, logs.engine)
        _requests(verdict, folder, manifest, logs)
    except READ_ERRORS as error:
        verdict.errors.append(_reason(folder, error))
    try:
        _clocks(verdict, manifest)
        _client(verdict, manifest)
    except READ_ERRORS as error:
        verdict.errors.append(f"manifest.json: {_reason(folder, error)}")
    if verdict.good and logs is not None and logs.engine is not None:
        _train(verdict, folder, catalogue)
    return verdict


def _reason(folder: Path, error: Exception) -> str:
    """A reader's words without the folder's name, which the caller gives."""
    if isinstance(error, KeyError):
        return f"there is no {error} where it should be"
    return str(error).removeprefix(f"{folder}: ")


def _power(verdict: Verdict, manifest: dict[str, Any], at_s: FloatArray, watts: FloatArray) -> None:
    gaps_s = np.diff(at_s)
    if (gaps_s < 0).any():
        verdict.errors.append("power.csv goes back in time")
        return
    step_s, longest_s = float(np.median(gaps_s)), float(gaps_s.max())
    span_s = float(at_s[-1] - at_s[0])
    verdict.figures |= {
        "seconds": span_s,
        "power_samples": float(len(at_s)),
        "power_period_s": step_s,
        "longest_power_gap_s": longest_s,
        "mean_w": float(np.trapezoid(watts, at_s) / span_s) if span_s else float(watts[0]),
    }
    if longest_s > MAX_GAP_S:
        at = float(at_s[int(np.argmax(gaps_s))] - at_s[0])
        verdict.errors.append(f"power.csv has no sample for {longest_s:.2f} s, {at:.1f} s on")
    if step_s > 1.2 * SLOWEST_PERIOD_S:
        verdict.warnings.append(f"power was sampled every {step_s * 1e3:.0f} ms, slower than 10 Hz")
    _coverage(verdict, manifest, "power", len(at_s), span_s)
    if (watts <= 0).any():
        verdict.errors.append(f"power.csv: {int((watts <= 0).sum())} samples are not above 0 W")


def _engine(verdict: Verdict, manifest: dict[str, Any], engine: EngineLog) -> None:
    at_s, columns, restarts = engine.at_s, engine.columns, engine.restarts
    gaps_s = np.diff(at_s)
    longest_s = float(gaps_s.max())
    verdict.figures |= {"engine_samples": float(len(at_s)), "longest_engine_gap_s": longest_s}
    if longest_s > MAX_GAP_S:
        at = float(at_s[int(np.argmax(gaps_s))] - at_s[0])
        verdict.errors.append(f"engine.csv has no sample for {longest_s:.2f} s, {at:.1f} s on")
    _coverage(verdict, manifest, "engine", len(at_s), float(at_s[-1] - at_s[0]))
    reported = _block(manifest, "engine").get("restarts") or []
    times_s = sorted({*restarts, *(float(restart_s) for restart_s in reported)})
    if times_s:
        when = ", ".join(f"{restart_s - float(at_s[0]):.1f} s" for restart_s in times_s[:3])
        verdict.errors.append(
            f"engine.csv: counters fall {len(times_s)} time{'s' * (len(times_s) > 1)} ({when} on):"
            " the engine was started anew"
        )
    fell = _block(manifest, "engine").get("counters_fell")
    if isinstance(fell, int) and fell > 0 and not times_s:
        verdict.errors.append(
            "engine.csv: its counters fell meanwhile: the engine was started anew"
        )
    if "iterations" not in columns:
        verdict.warnings.append("nobody counted iterations: generated tokens over running stand in")
    seen = _block(manifest, "engine").get("columns_seen_by_client") or []
    if seen:
        verdict.warnings.append(f"the engine does not count {', '.join(seen)}: the client's view")
    if manifest.get("measure_format") and _block(manifest, "engine").get("kv_tokens") is None:
        verdict.warnings.append("the KV cache's size is not known: lengths of contexts are a guess")


def _coverage(
    verdict: Verdict, manifest: dict[str, Any], meter: str, samples: int, span_s: float
) -> None:
    instrument = _block(_block(manifest, "instrumentation"), meter)
    period_s = instrument.get("period_s") or instrument.get("median_cadence_s")
    if not isinstance(period_s, int | float) or period_s <= 0 or span_s <= 0:
        return
    share = (samples - 1) / (span_s / period_s)
    verdict.figures[f"{meter}_coverage"] = share
    if share < MIN_COVERAGE:
        verdict.errors.append(
            f"{meter}.csv has {100 * share:.0f} % of the samples that a period of "
            f"{period_s * 1e3:g} ms promises"
        )
    if instrument.get("failed"):
        last = instrument.get("last_error", "no reason noted")
        verdict.warnings.append(f"{meter}: {instrument['failed']} samples failed ({last})")


def _requests(verdict: Verdict, folder: Path, manifest: dict[str, Any], logs: RunLogs) -> None:
    planned = _block(manifest, "probe").get("requests")
    if logs.requests is None and planned != 0:
        if manifest.get("measure_format"):
            verdict.errors.append("no requests.csv")
        else:
            verdict.warnings.append("no requests.csv: nothing can be replayed")
        return
    rows = _rows(folder / "requests.csv")
    requests = logs.requests or []
    prompt, output = (
        sum(request[1] for request in requests),
        sum(request[2] for request in requests),
    )
    verdict.figures |= {"requests": len(requests), "prompt_tokens": prompt, "output_tokens": output}
    failed = _rows(folder / "failures.csv")
    if isinstance(planned, int):
        lost = planned - len(requests)
        if lost and planned:
            words = _reasons(failed)
            text = f"{lost} of {planned} requests were not answered in full{words}"
            (verdict.errors if lost > MAX_FAILED_SHARE * planned else verdict.warnings).append(text)
    if rows and "planned_start" in rows[0]:
        cut = sum(row["planned_output"] != row["output_tokens"] for row in rows)
        if cut:
            verdict.warnings.append(f"{cut} answers have another length than planned")
        late_s = [float(row["start"]) - float(row["planned_start"]) for row in rows]
        if late_s and float(np.quantile(late_s, 0.99)) > MAX_LATE_SEND_S:
            verdict.warnings.append(
                f"requests were sent late: {np.quantile(late_s, 0.99) * 1e3:.0f} ms at the "
                "99th percentile"
            )
    if logs.engine is not None:
        _agreement(verdict, manifest, logs.engine.columns, prompt, output, bool(failed))


def _agreement(
    verdict: Verdict,
    manifest: dict[str, Any],
    engine: dict[str, FloatArray],
    prompt: int,
    output: int,
    failures: bool,
) -> None:
    """What the engine counted, against what the client got."""
    counted = _block(manifest, "engine").get("columns_counted")
    if counted is None and manifest.get("measure_format"):
        return
    for column, ours in (("prompt_total", prompt), ("generation_total", output)):
        if counted is not None and column not in counted:
            continue
        theirs = float(engine[column][-1] - engine[column][0])
        difference = theirs - ours
        if abs(difference) < 0.5:
            continue
        text = f"the engine's {column} grew by {theirs:,.0f}, the requests explain {ours:,}"
        serious = abs(difference) > MAX_FOREIGN_SHARE * max(ours, 100) and not failures
        measured = bool(manifest.get("measure_format"))
        (verdict.errors if serious and measured else verdict.warnings).append(text)


def _reasons(failed: list[dict[str, str]]) -> str:
    """The commonest reason, where there is any."""
    kinds = Counter(row["trouble"] for row in failed).most_common(1)
    return "".join(f" ({count} x {kind})" for kind, count in kinds)


def _telemetry(verdict: Verdict, folder: Path) -> None:
    """Limits that moved, and the GPUs' own energy counters."""
    path = folder / "telemetry.csv"
    if not path.is_file():
        return
    rows = _rows(path)
    for gpu in sorted({row["gpu"] for row in rows}):
        readings = [row for row in rows if row["gpu"] == gpu]
        limits = {row["limit_w"] for row in readings if row["limit_w"]}
        if len(limits) > 1:
            verdict.errors.append(
                f"GPU {gpu}: its power limit was changed meanwhile: {', '.join(sorted(limits))} W"
            )
        _energy(verdict, gpu, readings)


def _energy(verdict: Verdict, gpu: str, rows: list[dict[str, str]]) -> None:
    samples = [
        (float(row["epoch"]), float(row["power_w"]), float(row["energy_j"]))
        for row in rows
        if row["energy_j"]
    ]
    if len(samples) < 3:
        return
    at_s, watts, energy_j = np.array(samples).T
    sampled_j = float(np.trapezoid(watts, at_s))
    counted_j = float(energy_j[-1] - energy_j[0])
    if sampled_j <= 0 or counted_j <= 0:
        return
    difference = sampled_j / counted_j - 1.0
    verdict.figures[f"gpu{gpu}_energy_off"] = difference
    if abs(difference) > MAX_ENERGY_DIFFERENCE:
        verdict.warnings.append(
            f"GPU {gpu}: sampled watts and the GPU's energy counter differ by "
            f"{100 * difference:+.1f} %"
        )


def _clocks(verdict: Verdict, manifest: dict[str, Any]) -> None:
    clock = _block(manifest, "clock")
    for step in clock.get("steps") or []:
        verdict.errors.append(f"the wall clock was set by {step['step_s']:+.3f} s meanwhile")
    drift_s = clock.get("drift_s")
    if isinstance(drift_s, float) and abs(drift_s) > MAX_DRIFT_S and not clock.get("steps"):
        verdict.errors.append(f"the wall clock moved by {drift_s:+.3f} s meanwhile")
    alignments = clock.get("alignment")
    for name, entry in (alignments or {}).items():
        if isinstance(entry, dict) and not entry.get("sure", True):
            if entry.get("needed"):
                verdict.errors.append(f"the clock of {name} is a guess: nothing shows it surely")
            else:
                verdict.warnings.append(f"the clock of {name} could not be confirmed by the logs")


def _client(verdict: Verdict, manifest: dict[str, Any]) -> None:
    late_ms = _block(manifest, "client").get("late_p99_ms")
    if isinstance(late_ms, int | float):
        verdict.figures["client_late_p99_ms"] = float(late_ms)
        if late_ms > MAX_LATE_MS:
            verdict.warnings.append(
                f"the client was late by {late_ms:.1f} ms at the 99th percentile: gaps between "
                "tokens are distorted"
            )


def _train(verdict: Verdict, folder: Path, catalogue: Catalogue) -> None:
    """The word of the reader that training uses."""
    try:
        run = read_run(folder, catalogue)
    except RunFolderError as error:
        reason = _reason(folder, error)
        if "the catalogue has no" in reason:
            verdict.warnings.append(f"training will refuse it: {reason}")
        else:
            verdict.errors.append(reason)
        return
    verdict.warnings += [
        text
        for text in run.remarks
        if text not in verdict.warnings and not text.startswith("clocks:")
    ]


def _block(data: Any, key: str) -> dict[str, Any]:
    block = data.get(key) if isinstance(data, dict) else None
    return block if isinstance(block, dict) else {}


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))
