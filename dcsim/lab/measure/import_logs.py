"""Logs that others took, as a run folder: read, put on one clock, written as `folder` would."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import LogError, MeasureError, RunFolderError, UnreadableError
from dcsim.files import open_bytes
from dcsim.hardware.catalogue import load_catalogue
from dcsim.lab.learn.cleaning import Shift
from dcsim.lab.learn.logs import RunLogs, read_logs
from dcsim.lab.learn.readers import EngineLog, detect_format, engine_log
from dcsim.lab.measure import align, foreign
from dcsim.lab.measure.benchmarks import BenchmarkRequests, read_benchmark
from dcsim.lab.measure.counts import engine_lines
from dcsim.lab.measure.engine import BLOCK_TOKENS, COLUMNS, COUNTERS, null_block_share
from dcsim.lab.measure.folder import stamp, write_lines, write_manifest
from dcsim.lab.sensor import TRAILING_S

ZONE_S = 900.0
SEARCH_S = 20.0


@dataclass(frozen=True)
class ImportRequest:
    """What to import, and what the logs do not say."""

    hardware: str
    model: str
    tensor_parallel: int
    power: tuple[Path, ...] = ()
    engine: tuple[Path, ...] = ()
    requests: Path | None = None
    server_power: Path | None = None
    gpus: tuple[str, ...] = ()
    """As the power log names them; none: the first `tensor_parallel`."""
    local_utc_offset_s: float | None = None
    """Of the logs' local times; None: found out."""
    search_s: float = SEARCH_S
    """By how much clocks may differ."""


@dataclass
class ImportReport:
    """What became of the clocks."""

    notes: list[str] = field(default_factory=list)
    alignment: dict[str, Any] = field(default_factory=dict)
    restarts: list[float] = field(default_factory=list)
    """When the engine was started anew, on its own clock."""


def import_logs(request: ImportRequest, out: Path) -> ImportReport:
    """Write the run folder `out` from logs.

    The engine's clock is the one that counts, without its log the client's; watts are moved onto
    it where the match is sure. Raises MeasureError for what cannot be read, with `out` untouched,
    and OSError.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MeasureError(f"{out} is not empty")
    if not request.power and request.server_power is None:
        raise MeasureError("nothing to import: give --power or --server-power")
    if request.power and not request.engine and request.requests is None:
        raise MeasureError("nothing tells what the GPUs did: give --engine or --requests")
    report = ImportReport()
    try:
        bench = None
        if request.requests is not None and foreign.is_json(_existing(request.requests)):
            bench = read_benchmark(request.requests)
        with tempfile.TemporaryDirectory() as staging:
            place = Path(staging)
            offset_s = _stage(request, place, bench, report)
            logs = _read(request, place, offset_s) if request.power else None
        server = None
        if request.server_power is not None:
            server = foreign.read_spl(_existing(request.server_power))
        out.mkdir(parents=True, exist_ok=True)
        _Folder(request, out, offset_s, report).write(logs, bench, server)
    except UnreadableError as error:
        raise MeasureError(f"{error.filename}: {error.strerror}") from None
    return report


# --- reading -------------------------------------------------------------------------------------


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise MeasureError(f"{path}: no such file")
    return path


def unpack(path: Path, copy: Path) -> None:
    """The file's bytes as text has them. Raises MeasureError for what is no text."""
    with open_bytes(path) as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target)


def _stage(
    request: ImportRequest, place: Path, bench: BenchmarkRequests | None, report: ImportReport
) -> float | None:
    """All logs under the names and in the layouts that the reader of run folders knows. Returns
    the offset of local times, where it is given or follows from the benchmark's date."""
    offset_s = request.local_utc_offset_s
    if request.engine and foreign.is_json(_existing(request.engine[0])):
        series = [item for path in request.engine for item in foreign.range_query(_existing(path))]
        at_s, columns, restarts, notes = foreign.engine_of(series, request.engine)
        report.restarts += restarts
        report.notes += notes
        write_lines(place / "engine.csv", engine_lines(at_s, columns))
    elif request.engine:
        unpack(_only(request.engine, "engine"), place / "engine.csv")
    if request.power and foreign.is_json(_existing(request.power[0])):
        series = [item for path in request.power for item in foreign.range_query(_existing(path))]
        at_s, gpus, watts, notes = foreign.power_of(series, request.power[0])
        report.notes += notes
        if request.gpus:
            gpus, watts = _choose_gpus(request.gpus, gpus, watts, request.power[0])
        lines = ["epoch," + ",".join(f"gpu{i}" for i in range(len(gpus)))]
        for at, row in zip(at_s.tolist(), watts.tolist(), strict=True):
            lines.append(
                f"{at:.4f},"
                + ",".join(("" if np.isnan(value) else f"{value:.15g}") for value in row)
            )
        write_lines(place / "power.csv", lines)
    elif request.power:
        path = _only(request.power, "power")
        with open_bytes(path) as file:
            start = file.read(5)
        if start == b"Time,":
            raise MeasureError(
                f"{path}: this is a wall meter's log, not GPU watts: import it with --server-power"
            )
        unpack(path, place / "power.csv")
    if bench is not None:
        if not bench.unix and offset_s is None:
            offset_s = _zone(bench, place)
        moved_s = 0.0 if bench.unix else -(offset_s or 0.0)
        write_lines(place / "requests.csv", _bench_lines(bench, moved_s))
    elif request.requests is not None:
        unpack(_existing(request.requests), place / "requests.csv")
    return offset_s


def _only(paths: Sequence[Path], kind: str) -> Path:
    if len(paths) > 1:
        raise MeasureError(f"--{kind}: several files are for answers of Prometheus' only")
    return _existing(paths[0])


def _choose_gpus(
    names: Sequence[str], gpus: list[str], watts: FloatArray, path: Path
) -> tuple[list[str], FloatArray]:
    absent = [name for name in names if name not in gpus]
    if absent:
        raise MeasureError(f"{path}: no GPU {', '.join(absent)}; it has {', '.join(gpus)}")
    return list(names), watts[:, [gpus.index(name) for name in names]]


def _zone(bench: BenchmarkRequests, place: Path) -> float | None:
    """The zone of the benchmark's date, where the engine's log, in unix time, shows it."""
    if not (place / "engine.csv").is_file():
        return None
    try:
        engine = engine_log(place / "engine.csv")
    except LogError as error:
        raise MeasureError(str(error)) from None
    middle_s = 0.5 * float(bench.start_s[0] + bench.end_s[-1])
    return ZONE_S * round((middle_s - 0.5 * float(engine.at_s[0] + engine.at_s[-1])) / ZONE_S)


def _bench_lines(bench: BenchmarkRequests, moved_s: float) -> list[str]:
    rows = zip(
        (bench.start_s + moved_s).tolist(),
        bench.input_tokens.tolist(),
        bench.output_tokens.tolist(),
        bench.ttft_s.tolist(),
        (bench.end_s + moved_s).tolist(),
        strict=True,
    )
    lines = [
        f"{a:.6f},{p},{o},{'' if np.isnan(ttft) else f'{ttft:.6f}'},{end:.6f}"
        for a, p, o, ttft, end in rows
    ]
    return ["start,input_tokens,output_tokens,ttft,end", *lines]


def _read(request: ImportRequest, place: Path, offset_s: float | None) -> RunLogs:
    clock = {} if offset_s is None else {"local_utc_offset_s": offset_s}
    manifest: dict[str, Any] = {"tp": request.tensor_parallel, "clock": clock}
    manifest["hardware"] = request.hardware
    json_power = request.power and foreign.is_json(request.power[0])
    if request.gpus and not json_power:
        manifest["gpus"] = list(request.gpus)
    names = {"power.csv": request.power, "engine.csv": request.engine}
    names["requests.csv"] = () if request.requests is None else (request.requests,)
    try:
        for name, kind in (("power.csv", "power"), ("engine.csv", "engine")):
            if (place / name).is_file() and detect_format(place / name) not in (kind, None):
                raise MeasureError(
                    f"{names[name][0]}: this is a log of {detect_format(place / name)}"
                )
        return read_logs(place, manifest, load_catalogue().gpus)
    except RunFolderError as error:
        text = str(error).replace(f"{place}: ", "").replace(f"{place}/", "")
        for name, paths in names.items():
            text = text.replace(name, str(paths[0])) if paths else text
        raise MeasureError(text.replace("manifest.json", "the command line")) from None


# --- one clock, one folder -----------------------------------------------------------------------


class _Folder:
    """The run folder that is written, and its one clock: the engine's, without its log the
    client's."""

    def __init__(
        self, request: ImportRequest, out: Path, offset_s: float | None, report: ImportReport
    ) -> None:
        self._request, self._out, self._report = request, out, report
        self._given_offset_s = offset_s
        self._offset_s = offset_s or 0.0

    def write(
        self,
        logs: RunLogs | None,
        bench: BenchmarkRequests | None,
        server: tuple[FloatArray, FloatArray] | None,
    ) -> None:
        """All that was read; the manifest last."""
        report = self._report
        clock = {"local_utc_offset_s": self._offset_s, "alignment": report.alignment}
        manifest = {**_manifest(self._request), "clock": clock}
        gpus: tuple[FloatArray, FloatArray] | None = None
        if logs is not None:
            report.restarts += logs.engine.restarts if logs.engine is not None else []
            report.notes += [text for text in logs.remarks if text not in report.notes]
            gpus = self._write_logs(logs, bench)
            clock["power_first_timestamp"] = self._stamp(gpus[0][0], "%Y/%m/%d %H:%M:%S")
        if report.restarts:
            manifest["engine"] = {"restarts": sorted(report.restarts)}
        if server is not None:
            self._write_server(*server, gpus)
        if bench is not None and bench.failed:
            report.notes.append(f"{bench.failed} requests of the benchmark failed and are left out")
        write_manifest(self._out, manifest)

    def _stamp(self, at_s: float, form: str = "%H:%M:%S") -> str:
        return stamp(float(at_s), self._offset_s, form)

    def _align(
        self, name: str, shift: Shift | None, *, needed: bool = False, sign: float = 1.0
    ) -> float:
        """Report how two clocks lie; returns what to add to the times of the log `name`, which
        `shift` is of, or, with a `sign` of -1, the other one."""
        entry = align.alignment_entry(shift, needed)
        moved_s = entry["moved_s"] = sign * float(entry["moved_s"])
        self._report.alignment[name] = entry
        what = name.replace("_", " ")
        words = str(entry.get("words", entry.get("why", ""))).replace("watts come", f"{what}:")
        move = f"moved by {moved_s:+.2f} s" if moved_s else "left"
        self._report.notes.append(f"{words}; {move}")
        return moved_s

    def _write_logs(
        self, logs: RunLogs, bench: BenchmarkRequests | None
    ) -> tuple[FloatArray, FloatArray]:
        """power.csv, engine.csv, requests.csv; returns all GPUs' watts on the work's clock."""
        request, out = self._request, self._out
        client: tuple[FloatArray, FloatArray] | None = None
        if bench is not None:
            start_s = np.array([row[0] for row in logs.requests or ()])
            ends_s = start_s + (bench.end_s - bench.start_s)
            client = align.running_signal(start_s, ends_s, request.search_s)
        moved_s = 0.0
        work = client
        if logs.engine is not None:
            work = align.work_signal(logs.engine.at_s, logs.engine.columns)
            write_lines(
                out / "engine.csv", engine_lines(logs.engine.at_s, engine_columns(logs.engine))
            )
            if bench is not None and client is not None:
                engine_s, running = logs.engine.at_s, logs.engine.columns["running"]
                shift = align.find_lag(engine_s, running, *client, request.search_s)
                # The engine's log is not moved: the requests go the other way.
                moved_s = self._align("requests", shift, needed=not bench.unix, sign=-1.0)
        at_s, watts = logs.power.at_s, logs.power.watts
        total_w = watts.sum(axis=1)
        if work is not None and len(work[0]):
            mean_s = 0.0 if logs.power.field == "instant" else _trailing_s(request.hardware)
            shift = align.find_lag(at_s, total_w, *work, request.search_s, mean_s)
            at_s = at_s + self._align("power", shift)
        lines = ["t," + ",".join(f"gpu{i}" for i in range(watts.shape[1]))]
        for at, row in zip(at_s.tolist(), watts.tolist(), strict=True):
            lines.append(f"{self._stamp(at)}," + ",".join(f"{value:.3f}" for value in row))
        write_lines(out / "power.csv", lines)
        if logs.requests is not None:
            if bench is None:
                lines = [f"{at + moved_s:.6f},{p},{o}" for at, p, o in logs.requests]
                lines = ["start,input_tokens,output_tokens", *lines]
            else:
                moved_s += float(logs.requests[0][0] - bench.start_s[0])
                lines = _bench_lines(bench, moved_s)
            write_lines(out / "requests.csv", lines)
        return at_s, total_w

    def _write_server(
        self, at_s: FloatArray, watts: FloatArray, gpus: tuple[FloatArray, FloatArray] | None
    ) -> None:
        """server_power.csv, on the clock of the GPUs' watts."""
        if gpus is None:
            at_s = at_s - self._offset_s
        else:
            gpu_at_s, gpu_w = gpus
            offset_s = self._given_offset_s
            if offset_s is None:
                offset_s = ZONE_S * round(float(np.mean(at_s) - np.mean(gpu_at_s)) / ZONE_S)
            at_s = at_s - offset_s
            ends_s = gpu_at_s + 0.5 * float(np.median(np.diff(gpu_at_s)))
            shift = align.find_lag(at_s, watts, ends_s, gpu_w, self._request.search_s)
            at_s = at_s + self._align("server_power", shift)
        rows = zip(at_s.tolist(), watts.tolist(), strict=True)
        lines = ["epoch,ac_w", *(f"{a:.4f},{w:.6g}" for a, w in rows)]
        write_lines(self._out / "server_power.csv", lines)


def _trailing_s(hardware: str) -> float:
    """Over which the meter of a GPU averages, where that is known; else nothing."""
    short = hardware.lower().split("-")[0]
    return next((s for name, s in TRAILING_S.items() if name.split("-")[0] == short), 0.0)


def engine_columns(engine: EngineLog) -> dict[str, FloatArray]:
    """As `record` writes them: counters from 0, an idle engine with one block."""
    columns = {name: engine.columns[name] for name in COLUMNS if name in engine.columns}
    for name in COUNTERS:
        if name in columns:
            columns[name] = columns[name] - columns[name][0]
    if "kv" in columns and engine.kv_blocks is not None:
        idle_kv = float(columns["kv"].min())
        columns["kv"] = columns["kv"] + null_block_share(idle_kv, BLOCK_TOKENS * engine.kv_blocks)
    return columns


def _manifest(request: ImportRequest) -> dict[str, Any]:
    files = [*request.power, *request.engine]
    files += [path for path in (request.requests, request.server_power) if path is not None]
    return {
        "status": "complete",
        "hardware": request.hardware,
        "model": request.model,
        "tp": request.tensor_parallel,
        "brought_from": [
            {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in files
        ],
        "versions": {"dcsim": version("dcsim")},
    }
