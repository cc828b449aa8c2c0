"""Metrics over time, in any of the forms that people keep them in.

- Scrapes of a /metrics page one after another, each with a time: a line before it that is or holds
  one (`# 1784576425.02`, `# scraped 2026-07-20T19:40:25Z`), or milliseconds at the end of lines.
- A CSV table with a column of times and a column each series, as Prometheus and Grafana export.
- JSON lines, an object each with a time and the metrics.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsim.errors import LogError
from dcsim.lab.learn.readers.logs import rising
from dcsim.lab.learn.readers.series import HOSTS, INDICES, UUIDS, Track
from dcsim.lab.learn.readers.text import (
    TIME_COLUMNS,
    Times,
    cells_of,
    filled,
    lines_of,
    number,
    time_column,
)
from dcsim.stamps import Clock, stamp

_SAMPLE = re.compile(
    r"(?P<name>[A-Za-z_:][\w:.]*)(?P<labels>\{.*\})?\s+(?P<value>\S+)(\s+(?P<ms>\d{12,}))?\s*"
)
_LABEL = re.compile(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class MetricKey:
    """Name and labels of one series; hashable."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> MetricKey:
        """From `name{label="value"}`."""
        name, _, labels = text.strip().partition("{")
        return cls(name.strip(), tuple(sorted(_LABEL.findall(labels.replace('""', '"')))))

    def label(self, *names: str) -> str | None:
        """The value of the first of these labels that it has."""
        told = dict(self.labels)
        return next((told[name] for name in names if name in told), None)


Row = tuple[float, dict[MetricKey, float]]
LABELS = (*UUIDS, *HOSTS, *INDICES, "engine", "model_name", "model", "job", "pod", "container")
"""Columns of a table that name a series; other columns do where they hold words."""


def in_order(rows: list[Row], path: Path, clock: Clock) -> list[Row]:
    """The rows with times that rise, past midnight too. Raises LogError where they fall."""
    if not rows:
        return rows
    at_s = rising(np.array([when for when, _ in rows]), path, clock)
    return [(when, values) for when, (_, values) in zip(at_s.tolist(), rows, strict=True)]


def tracks(rows: list[Row], names: Collection[str], silent: bool = False) -> dict[str, list[Track]]:
    """The series of these metrics over time, by metric; of the last part of a name after a
    colon. `silent`: with the samples that have no value."""
    found: dict[MetricKey, tuple[list[float], list[float]]] = {}
    for at_s, values in rows:
        for series, value in values.items():
            if series.name.rpartition(":")[2] in names and (silent or math.isfinite(value)):
                times, told = found.setdefault(series, ([], []))
                if times and times[-1] == at_s:
                    told[-1] = value
                else:
                    times.append(at_s)
                    told.append(value)
    by_name: dict[str, list[Track]] = {}
    for series, (times, told) in found.items():
        track = Track(dict(series.labels), np.array(times), np.array(told))
        by_name.setdefault(series.name.rpartition(":")[2], []).append(track)
    return by_name


def rows_of(path: Path, wanted: tuple[str, ...]) -> tuple[list[Row], Times]:
    """Time and values of each moment, only of series whose name holds one of `wanted`.

    Raises LogError.
    """
    lines = lines_of(path)
    first = next((line for line in lines if line.strip()), "")
    times = Times(path)
    if first.lstrip().startswith("{"):
        return _json(lines, times, wanted, path), times
    # A scrape's lines hold commas only within braces.
    outside = re.sub(r"\{[^}]*\}", "", first)
    if "," in outside and not first.startswith("#"):
        return _table(path, times, wanted), times
    return _scrapes(lines, times, wanted, path), times


def _scrapes(lines: list[str], times: Times, wanted: tuple[str, ...], path: Path) -> list[Row]:
    rows: list[Row] = []
    for at, line in enumerate(lines, 1):
        when = _time_in(line)
        if when is not None:
            rows.append((times.read(when, at), {}))
            continue
        if not line.strip() or line.startswith("#"):
            continue
        found = _SAMPLE.fullmatch(line)
        if found is None:
            if at == len(lines):
                break  # cut short
            raise LogError(f"{path}:{at}: expected `name{{labels}} value`, not {line[:60]!r}")
        if not any(name in found["name"] for name in wanted):
            continue
        value = number(found["value"])
        if value is None:
            raise LogError(f"{path}:{at}: expected a number, not {found['value']!r}")
        if found["ms"]:
            own = times.read(found["ms"], at)
            if not rows or rows[-1][0] != own:
                rows.append((own, {}))
        if not rows:
            raise LogError(
                f"{path}:{at}: no time before this sample; write one before each scrape, such as "
                "`# 1784576425.02`"
            )
        rows[-1][1][MetricKey.parse(found["name"] + (found["labels"] or ""))] = value
    return rows


def _time_in(line: str) -> str | None:
    """The time in a line that holds one beside words of a comment; HELP and TYPE have none."""
    text = line.lstrip("#=- \t").rstrip("#=- \t\r\n")
    if not text or line.startswith(("# HELP", "# TYPE", "# EOF")):
        return None
    if stamp(text) is not None:
        return text
    if not line.startswith(("#", "=", "-")):
        return None
    words = text.split()
    for start in range(len(words)):
        for stop in (start + 2, start + 1):
            some = " ".join(words[start:stop])
            told = stamp(some)
            if told is not None and told[1] != "relative":
                return some
    return None


def _table(path: Path, times: Times, wanted: tuple[str, ...]) -> list[Row]:
    try:
        rows = cells_of(path)
    except csv.Error as error:
        raise LogError(f"{path}: not CSV ({error})") from error
    header = rows[0][1]
    when = time_column(header)
    if when is None:
        raise LogError(f"{path}: no column of times ({', '.join(TIME_COLUMNS)})")
    series = {
        at: MetricKey.parse(name)
        for at, name in enumerate(header)
        if any(w in name for w in wanted)
    }
    body = list(filled(path, rows))
    plain = [
        (at, name)
        for at, name in enumerate(header)
        if at != when
        and at not in series
        and (name in LABELS or all(number(row[at]) is None for _, row in body))
    ]
    found: list[Row] = []
    for line, row in body:
        values = {}
        labels = tuple(sorted((name, row[at]) for at, name in plain if row[at]))
        for at, one in series.items():
            value = number(row[at])
            if value is None:
                raise LogError(f"{path}:{line}: expected a number, not {row[at]!r}")
            if not math.isnan(value):
                values[MetricKey(one.name, one.labels or labels)] = value
        at_s = times.read(row[when], line)
        if found and found[-1][0] == at_s:
            found[-1][1].update(values)  # a row each GPU
        else:
            found.append((at_s, values))
    return found


def _json(lines: list[str], times: Times, wanted: tuple[str, ...], path: Path) -> list[Row]:
    found: list[Row] = []
    for at, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            told = json.loads(line)
        except ValueError as error:
            if at == len(lines):
                break
            raise LogError(f"{path}:{at}: not JSON ({error})") from error
        if not isinstance(told, dict):
            raise LogError(f"{path}:{at}: expected an object with a time and metrics")
        flat = {
            **told,
            **{k: v for v0 in told.values() if isinstance(v0, dict) for k, v in v0.items()},
        }
        when = next((str(flat[key]) for key in flat if key.lower() in TIME_COLUMNS), None)
        if when is None:
            raise LogError(f"{path}:{at}: no time ({', '.join(TIME_COLUMNS)})")
        values = {
            MetricKey.parse(key): float(value)
            for key, value in flat.items()
            if isinstance(value, (int, float)) and any(name in key for name in wanted)
        }
        found.append((times.read(when, at), values))
    return found
