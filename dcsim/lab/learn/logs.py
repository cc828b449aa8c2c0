"""The files of a run folder: found by name or by content, read strictly, put on one clock.

What is missing or malformed is said, by file and line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from dcsim.arrays import FloatArray
from dcsim.errors import LogError, RunFolderError
from dcsim.hardware.gpus import Gpu
from dcsim.lab.learn.plausible import gpu_named, plausible
from dcsim.lab.learn.readers import (
    EngineLog,
    FirstTokens,
    PowerLog,
    detect_format,
    engine_log,
    power_log,
    request_log,
    text_of,
)
from dcsim.lab.learn.readers.detect import LogKind
from dcsim.lab.ledger_series import TimedRequest
from dcsim.scenario.models import Engine
from dcsim.stamps import Clock

REQUIRED = ("hardware", "model", "tp")
NAMES: dict[LogKind, str] = {
    "power": "power.csv",
    "engine": "engine.csv",
    "requests": "requests.csv",
}
"""Files go by these names, or by any: then what they hold tells."""
ALTERNATIVES: dict[LogKind, str] = {
    "power": "nvidia-smi's or DCGM's log of watts",
    "engine": "vLLM's log of metrics",
    "requests": "table with start, input_tokens and output_tokens",
}
ZONE_S = 900.0
"""Zones differ by multiples of this."""


@dataclass(frozen=True)
class RunLogs:
    """The logs of one run, times in unix seconds."""

    power: PowerLog
    engine: EngineLog | None
    requests: list[TimedRequest] | None
    """Unix seconds, prompt and output tokens, in order of time."""
    first_tokens: FirstTokens | None
    """Of those requests, where the client timed them."""
    remarks: tuple[str, ...]
    """What had to be decided."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json, with the keys of REQUIRED."""
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: no such folder")
    if not (folder / "manifest.json").is_file():
        raise RunFolderError(f"{folder}: no manifest.json")
    try:
        manifest = json.loads(text_of(folder / "manifest.json"))
    except LogError as error:
        raise RunFolderError(str(error)) from error
    except ValueError as error:
        raise RunFolderError(f"{folder}: manifest.json is not JSON ({error})") from error
    if not isinstance(manifest, dict):
        raise RunFolderError(f"{folder}: manifest.json holds no object")
    missing = [key for key in REQUIRED if key not in manifest]
    if missing:
        raise RunFolderError(f"{folder}: manifest.json lacks {', '.join(missing)}")
    if not isinstance(manifest["tp"], int) or manifest["tp"] < 1:
        raise RunFolderError(
            f"{folder}: manifest.json: tp is {manifest['tp']!r}, not a whole number"
        )
    for key in ("clock", "files", "server"):
        if not isinstance(manifest.get(key, {}), dict):
            raise RunFolderError(f"{folder}: manifest.json: {key} holds no object")
    return manifest


def engine_settings(folder: Path) -> Engine:
    """Limits of the serving engine from the manifest's `server`; where silent, our defaults."""
    server = read_manifest(folder).get("server", {})
    known = ("max_num_seqs", "max_num_batched_tokens", "max_model_len", "enable_chunked_prefill")
    try:
        return Engine.model_validate({key: server[key] for key in known if key in server})
    except ValidationError as error:
        raise RunFolderError(f"{folder}: manifest.json: server: {error}") from error


def find_file(folder: Path, manifest: dict[str, Any], kind: LogKind) -> Path | None:
    """The file of that kind: named in the manifest's `files`, of the usual name, or the only one
    whose content is of it. Raises RunFolderError where several are."""
    named = manifest.get("files", {}).get(kind)
    if named is not None:
        if not (folder / str(named)).is_file():
            raise RunFolderError(f"{folder}: manifest.json: files.{kind}: there is no {named}")
        return folder / str(named)
    if (folder / NAMES[kind]).is_file():
        return folder / NAMES[kind]
    usual = set(NAMES.values()) | {"manifest.json"}
    others = [
        file
        for file in sorted(folder.iterdir())
        if file.is_file() and file.name not in usual and detect_format(file) == kind
    ]
    if len(others) > 1:
        raise RunFolderError(
            f"{folder}: {' and '.join(file.name for file in others)} are both of {kind}; name one "
            f"in manifest.json's files.{kind}"
        )
    return others[0] if others else None


def read_logs(folder: Path, manifest: dict[str, Any], gpus: Mapping[str, Gpu]) -> RunLogs:
    """Power, held against the board among `gpus` that the manifest names, and what is there of
    engine and requests. Raises RunFolderError."""
    remarks: list[str] = []
    files = {kind: find_file(folder, manifest, kind) for kind in NAMES}
    power_file, engine_file, requests_file = (files[kind] for kind in NAMES)
    if power_file is None:
        raise RunFolderError(f"{folder}: no power.csv, nor another {ALTERNATIVES['power']}")
    if engine_file is None and requests_file is None:
        raise RunFolderError(
            f"{folder}: no engine.csv, nor another {ALTERNATIVES['engine']}; and no requests.csv, "
            "from which the simulator could tell the work"
        )
    clock = manifest.get("clock", {})
    try:
        sent = None if requests_file is None else request_log(requests_file)
        engine = None if engine_file is None else engine_log(engine_file)
        power = power_log(power_file, _number(clock, "power_interval_s"))
        power = _chosen(power, manifest, folder, remarks)
        silent = np.isnan(power.watts).any(axis=1)
        power, doubtful = plausible(power, gpu_named(str(manifest.get("hardware", "")), gpus))
        remarks += doubtful
    except LogError as error:
        placed = str(error) if str(power_file) in str(error) else f"{power_file}: {error}"
        raise RunFolderError(str(error) if "/" in str(error) else placed) from error
    requests = first_tokens = None
    if sent is not None:
        if sent.failed:
            remarks.append(f"{sent.failed} requests without an answer left out")
        requests = sent.requests or None
        first_tokens = sent.first_tokens if len(sent.first_tokens.tokens) else None
    if engine is None and requests is None:
        raise RunFolderError(f"{requests_file}: every request failed, and there is no engine.csv")
    if engine is not None and not (engine.columns["kv"] > 0).any():
        raise RunFolderError(f"{engine_file}: kv is 0 throughout; contexts cannot be told")
    if engine is not None and engine.clock != "unix":
        raise RunFolderError(
            f"{engine_file}: times are {engine.clock}, not unix time or with a zone"
        )
    if engine is not None:
        remarks += engine.remarks
        if float(np.max(engine.columns["kv"])) > 1.5:
            raise RunFolderError(
                f"{engine_file}: kv is a share of the cache from 0 to 1, and goes up to "
                f"{float(np.max(engine.columns['kv'])):.4g}: percent?"
            )
    remarks += power.remarks
    around = _around(engine, requests)
    at_s = _unix(power.at_s, power.clock, clock, around, folder, remarks)
    known = ~np.isnan(power.watts).any(axis=1)
    if known.sum() < 2:
        raise RunFolderError(f"{power_file}: fewer than two samples of power")
    if silent.any():
        remarks.append(f"{int(silent.sum())} samples without watts left out")
    if len(power.at_s) != len(np.unique(at_s)):
        fresh = np.diff(at_s, prepend=-np.inf) > 0
        remarks.append(f"{int((~fresh).sum())} samples with a time already told left out")
        known &= fresh
    power = PowerLog(at_s[known], power.gpus, power.watts[known], "unix", power.layout, power.field)
    return RunLogs(power, engine, requests, first_tokens, tuple(remarks))


def read_requests(folder: Path) -> list[TimedRequest]:
    """Unix seconds, prompt and output tokens of each request, in order of time."""
    file = find_file(folder, read_manifest(folder), "requests")
    if file is None:
        raise RunFolderError(f"{folder}: no requests.csv")
    try:
        requests = request_log(file).requests
    except LogError as error:
        raise RunFolderError(str(error)) from error
    if not requests:
        raise RunFolderError(f"{file}: every request failed")
    return requests


def _chosen(
    power: PowerLog, manifest: dict[str, Any], folder: Path, remarks: list[str]
) -> PowerLog:
    """The GPUs of the replica: those that the manifest names, else all where there are as many,
    else the first. Raises LogError, RunFolderError."""
    count = manifest["tp"]
    named = manifest.get("gpus") or manifest.get("server", {}).get("active_gpu_uuids")
    if named is not None and not isinstance(named, list):
        raise RunFolderError(f"{folder}: manifest.json: gpus is {named!r}, not a list")
    if named is not None and ("gpus" in manifest or set(map(str, named)) <= set(power.gpus)):
        if len(named) != count:
            raise RunFolderError(
                f"{folder}: manifest.json names {len(named)} GPUs, but tp is {count}"
            )
        return power.select([str(name) for name in named])
    if len(power.gpus) < count:
        raise RunFolderError(
            f"{folder}: watts of {len(power.gpus)} GPUs ({', '.join(power.gpus)}), but tp is "
            f"{count}"
        )
    if len(power.gpus) > count:
        remarks.append(
            f"of {len(power.gpus)} GPUs the first {count} taken "
            f"({', '.join(power.gpus[:count])}); others: `gpus` in manifest.json"
        )
    return power.select(power.gpus[:count])


def _around(engine: EngineLog | None, requests: list[TimedRequest] | None) -> float:
    """The middle of the run, in unix seconds."""
    if engine is not None:
        return 0.5 * float(engine.at_s[0] + engine.at_s[-1])
    assert requests is not None
    return 0.5 * (requests[0].at_s + requests[-1].at_s)


def _unix(
    at_s: FloatArray,
    kind: Clock,
    clock: dict[str, Any],
    around_s: float,
    folder: Path,
    remarks: list[str],
) -> FloatArray:
    """Unix times of the power log, by the manifest's `clock` where it tells, else by the only zone
    in which the logs lie over each other."""
    if kind == "unix":
        return at_s
    if kind == "relative":
        start_s = _number(clock, "power_start_epoch_s")
        if start_s is None:
            raise RunFolderError(
                f"{folder}: the power log has no times of its own: manifest.json needs "
                "clock.power_start_epoch_s"
            )
        return at_s + start_s
    if kind == "day":
        try:
            day = datetime.strptime(str(clock["power_first_timestamp"])[:10], "%Y/%m/%d")
            at_s = at_s + day.replace(tzinfo=UTC).timestamp()
        except (KeyError, ValueError) as error:
            raise RunFolderError(
                f"{folder}: the power log has times of day only: manifest.json needs "
                "clock.power_first_timestamp, such as 2026/07/20 12:40:24.937"
            ) from error
    behind_s = _number(clock, "local_utc_offset_s")
    if behind_s is None:
        middle_s = 0.5 * float(at_s[0] + at_s[-1])
        behind_s = ZONE_S * round((middle_s - around_s) / ZONE_S)
        if abs(behind_s) > 14 * 3600.0:
            raise RunFolderError(
                f"{folder}: the power log lies {abs(middle_s - around_s) / 3600:.0f} hours from "
                "the engine's or the requests'; no zone is that far off"
            )
        remarks.append(
            f"zone of the power log taken as UTC{behind_s / 3600:+g} h, where the logs meet; "
            "state `clock.local_utc_offset_s` in manifest.json to be sure"
        )
    return at_s - behind_s


def _number(table: dict[str, Any], key: str) -> float | None:
    value = table.get(key)
    return float(value) if isinstance(value, (int, float)) else None
