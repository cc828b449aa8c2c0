"""The files of a run folder, read strictly: what is missing or malformed is said, by file."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from dcsim.scenario.models import Engine

Float64 = npt.NDArray[np.float64]
REQUIRED = ("hardware", "model", "tp", "clock")
CLOCK = ("power_first_timestamp", "local_utc_offset_s")
ENGINE = ("epoch", "running", "waiting", "kv", "prompt_total", "generation_total")
"""Columns of engine.csv that the ledger needs; `iterations` is used where present."""


class RunError(ValueError):
    """A run folder that cannot support a fit, and what is missing."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """manifest.json, with the keys of REQUIRED and CLOCK."""
    text = _text(folder, "manifest.json")
    try:
        manifest = json.loads(text)
    except ValueError as error:
        raise RunError(f"{folder}: manifest.json is not JSON ({error})") from error
    if not isinstance(manifest, dict):
        raise RunError(f"{folder}: manifest.json holds no object")
    missing = [key for key in REQUIRED if key not in manifest]
    if missing:
        raise RunError(f"{folder}: manifest.json lacks {', '.join(missing)}")
    clock = manifest["clock"]
    absent = [key for key in CLOCK if not isinstance(clock, dict) or key not in clock]
    if absent:
        raise RunError(f"{folder}: manifest.json lacks clock.{', clock.'.join(absent)}")
    if not isinstance(manifest["tp"], int):
        raise RunError(f"{folder}: manifest.json: tp is {manifest['tp']!r}, not a whole number")
    return manifest


def engine_settings(folder: Path) -> Engine:
    """Limits of the serving engine from the manifest's `server`; where silent, our defaults."""
    server = read_manifest(folder).get("server", {})
    if not isinstance(server, dict):
        raise RunError(f"{folder}: manifest.json: server holds no object")
    known = ("max_num_seqs", "max_num_batched_tokens", "max_model_len", "enable_chunked_prefill")
    try:
        return Engine.model_validate({key: server[key] for key in known if key in server})
    except ValidationError as error:
        raise RunError(f"{folder}: manifest.json: server: {error}") from error


def read_engine(folder: Path) -> dict[str, Float64]:
    """Columns of engine.csv, times not falling."""
    header, rows = _rows(folder, "engine.csv")
    for column in ENGINE:
        if column not in header:
            raise RunError(f"{folder}: engine.csv has no column {column}")
    table = np.array([_numbers(folder, "engine.csv", line, row, len(header)) for line, row in rows])
    columns = {name: table[:, i] for i, name in enumerate(header)}
    if (np.diff(columns["epoch"]) < 0).any():
        raise RunError(f"{folder}: engine.csv goes back in time")
    if not (columns["kv"] > 0).any():
        raise RunError(f"{folder}: engine.csv: kv is 0 throughout; contexts cannot be told")
    return columns


REQUESTS = ("start", "input_tokens", "output_tokens")
"""Columns of requests.csv: unix seconds at which the client sent, prompt and output tokens."""


def read_requests(folder: Path) -> list[tuple[float, int, int]]:
    """Unix seconds, prompt and output tokens of each request, in order of time."""
    header, rows = _rows(folder, "requests.csv")
    for column in REQUESTS:
        if column not in header:
            raise RunError(f"{folder}: requests.csv has no column {column}")
    at = [header.index(column) for column in REQUESTS]
    found = []
    for line, row in rows:
        if len(row) != len(header):
            raise RunError(
                f"{folder}: requests.csv:{line}: expected {len(header)} values, found {len(row)}"
            )
        start_s, prompt, output = _numbers(folder, "requests.csv", line, [row[i] for i in at], 3)
        if prompt < 1 or output < 1:
            raise RunError(f"{folder}: requests.csv:{line}: a request has at least one token each")
        found.append((start_s, int(prompt), int(output)))
    return sorted(found)


def read_power(folder: Path, manifest: dict[str, Any]) -> tuple[Float64, Float64]:
    """Unix seconds, and watts over all GPUs, of power.csv: `t` in local wall time, which may
    pass midnight, and a column `gpu...` each."""
    header, rows = _rows(folder, "power.csv")
    gpus = [i for i, name in enumerate(header) if name.startswith("gpu")]
    if "t" not in header or not gpus:
        raise RunError(f"{folder}: power.csv needs columns t and gpu0, not {', '.join(header)}")
    clock = manifest["clock"]
    try:
        day = datetime.strptime(clock["power_first_timestamp"], "%Y/%m/%d %H:%M:%S.%f")
        behind_s = float(clock["local_utc_offset_s"])
    except (TypeError, ValueError) as error:
        raise RunError(f"{folder}: manifest.json: clock is not readable ({error})") from error
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    at_s, watts = np.empty(len(rows)), np.empty(len(rows))
    column = header.index("t")
    for i, (line, row) in enumerate(rows):
        if len(row) != len(header):
            raise RunError(
                f"{folder}: power.csv:{line}: expected {len(header)} values, found {len(row)}"
            )
        try:
            hours, minutes, seconds = row[column].split(":")
            at_s[i] = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        except ValueError as error:
            raise RunError(
                f"{folder}: power.csv:{line}: expected a time such as 12:40:24.937, not "
                f"{row[column]!r}"
            ) from error
        watts[i] = sum(_numbers(folder, "power.csv", line, [row[j] for j in gpus], len(gpus)))
    at_s += midnight.timestamp() - behind_s
    at_s += 86400.0 * np.cumsum(np.diff(at_s, prepend=at_s[0]) < -43200)  # past midnight
    return at_s, watts


def _text(folder: Path, name: str) -> str:
    file = folder / name
    if not file.is_file():
        raise RunError(f"{folder}: no {name}")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{folder}: {name} is not text ({error})") from error


def _rows(folder: Path, name: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a CSV file, and its rows with their line numbers; two rows at least."""
    try:
        rows = [
            (line, row) for line, row in enumerate(csv.reader(_text(folder, name).split("\n")), 1)
        ]
    except csv.Error as error:
        raise RunError(f"{folder}: {name} is not CSV ({error})") from error
    filled = [(line, [cell.strip() for cell in row]) for line, row in rows if row]
    if len(filled) < 3:
        raise RunError(f"{folder}: {name} has no samples")
    return filled[0][1], filled[1:]


def _numbers(folder: Path, name: str, line: int, row: list[str], count: int) -> list[float]:
    """The cells of a row as finite numbers."""
    if len(row) != count:
        raise RunError(f"{folder}: {name}:{line}: expected {count} values, found {len(row)}")
    values = []
    for cell in row:
        try:
            value = float(cell)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise RunError(f"{folder}: {name}:{line}: expected a number, not {cell!r}")
        values.append(value)
    return values
