"""Metrics over time, in any of the forms that people keep them in.

- Scrapes of a /metrics page one after another, each with a time: a line before it that is or holds
  one (`# 1784576425.02`, `# scraped 2026-07-20T19:40:25Z`), or milliseconds at the end of lines.
- A CSV table with a column of times and a column each series, as Prometheus and Grafana export.
- JSON lines, an object each with a time and the metrics.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcsim.errors import LogError
from dcsim.lab.learn.readers.logs import in_time_order, rising
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
from dcsim.lab.prometheus import parse_labels, parse_line
from dcsim.stamps import Clock, stamp


@dataclass(frozen=True)
class MetricKey:
    """Name and labels of one series; hashable."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> MetricKey:
        """From `name{label="value"}`."""
        name, _, labels = text.strip().partition("{")
        return cls.labelled(name.strip(), parse_labels(labels.replace('""', '"')))

    @classmethod
    def labelled(cls, name: str, labels: Mapping[str, str]) -> MetricKey:
        """From a name and labels in any order."""
        return cls(name, tuple(sorted(labels.items())))

    def label(self, name: str) -> str | None:
        """The value of a label; None where it has none."""
        return dict(self.labels).get(name)


Row = tuple[float, dict[MetricKey, float]]
LABELS = (*UUIDS, *HOSTS, *INDICES, "engine", "model_name", "model", "job", "pod", "container")
"""Columns of a table that name a series; other columns do where they hold words."""


def in_order(rows: list[Row], path: Path, clock: Clock, remarks: list[str]) -> list[Row]:
    """The rows with times that rise, past midnight too; late ones in their place, which `remarks`
    then tell. Raises LogError where times fall by more."""
    if not rows:
        return rows
    rows = in_time_order(rows, remarks)
    at_s = rising(np.array([when for when, _ in rows]), path, clock)
    return [(when, values) for when, (_, values) in zip(at_s.tolist(), rows, strict=True)]


def tracks(rows: list[Row], names: Collection[str], silent: bool = False) -> dict[str, list[Track]]:
    """The series of these metrics over time, by metric; of the last part of a name after a
    colon. `silent`: with the samples that have no value."""
    points: dict[MetricKey, dict[float, float]] = {}
    for at_s, values in rows:
        for key, value in values.items():
            if key.name.rpartition(":")[2] in names and (silent or math.isfinite(value)):
                points.setdefault(key, {})[at_s] = value
    by_name: dict[str, list[Track]] = {}
    for key, series in points.items():
        track = Track(dict(key.labels), np.array(list(series)), np.array(list(series.values())))
        by_name.setdefault(key.name.rpartition(":")[2], []).append(track)
    return by_name


def rows_of(path: Path, metrics: Collection[str]) -> tuple[list[Row], Times]:
    """Time and values of each moment, only of series whose name holds one of `metrics`.

    Raises LogError.
    """
    lines = lines_of(path)
    first = next((line for line in lines if line.strip()), "")
    times = Times(path)
    if first.lstrip().startswith("{"):
        return _json(lines, times, metrics, path), times
    # A scrape's lines hold commas only within braces.
    outside = re.sub(r"\{[^}]*\}", "", first)
    if "," in outside and not first.startswith("#"):
        return _table(path, times, metrics), times
    return _scrapes(lines, times, metrics, path), times


def _scrapes(lines: list[str], times: Times, metrics: Collection[str], path: Path) -> list[Row]:
    rows: list[Row] = []
    for at, line in enumerate(lines, 1):
        when = _time_in(line)
        if when is not None:
            rows.append((times.read(when, at), {}))
            continue
        if not line.strip() or line.startswith("#"):
            continue
        sample = parse_line(line)
        if sample is None:
            if at == len(lines):
                break  # cut short
            raise LogError(f"{path}:{at}: expected `name{{labels}} value`, not {line[:60]!r}")
        if not any(metric in sample.name for metric in metrics):
            continue
        value = number(sample.value)
        if value is None:
            raise LogError(f"{path}:{at}: expected a number, not {sample.value!r}")
        if sample.ms:
            at_s = times.read(sample.ms, at)
            if not rows or rows[-1][0] != at_s:
                rows.append((at_s, {}))
        if not rows:
            raise LogError(
                f"{path}:{at}: no time before this sample; write one before each scrape, such as "
                "`# 1784576425.02`"
            )
        rows[-1][1][MetricKey.labelled(sample.name, sample.labels)] = value
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
            phrase = " ".join(words[start:stop])
            moment = stamp(phrase)
            if moment is not None and moment[1] != "relative":
                return phrase
    return None


def _table(path: Path, times: Times, metrics: Collection[str]) -> list[Row]:
    rows = cells_of(path)
    header = rows[0][1]
    when = time_column(header)
    if when is None:
        raise LogError(f"{path}: no column of times ({', '.join(TIME_COLUMNS)})")
    keys = {
        at: MetricKey.parse(name)
        for at, name in enumerate(header)
        if any(metric in name for metric in metrics)
    }
    body = list(filled(path, rows))
    label_columns = [
        (at, name)
        for at, name in enumerate(header)
        if at != when
        and at not in keys
        and (name in LABELS or all(number(row[at]) is None for _, row in body))
    ]
    moments: list[Row] = []
    for line, row in body:
        values = {}
        labels = tuple(sorted((name, row[at]) for at, name in label_columns if row[at]))
        for at, key in keys.items():
            value = number(row[at])
            if value is None:
                raise LogError(f"{path}:{line}: expected a number, not {row[at]!r}")
            if not math.isnan(value):
                values[MetricKey(key.name, key.labels or labels)] = value
        at_s = times.read(row[when], line)
        if moments and moments[-1][0] == at_s:
            moments[-1][1].update(values)  # a row each GPU
        else:
            moments.append((at_s, values))
    return moments


def _json(lines: list[str], times: Times, metrics: Collection[str], path: Path) -> list[Row]:
    rows: list[Row] = []
    for at, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            if at == len(lines):
                break
            raise LogError(f"{path}:{at}: not JSON ({error})") from error
        if not isinstance(entry, dict):
            raise LogError(f"{path}:{at}: expected an object with a time and metrics")
        flat = dict(entry)
        for value in entry.values():
            flat |= value if isinstance(value, dict) else {}
        when = next((str(flat[key]) for key in flat if key.lower() in TIME_COLUMNS), None)
        if when is None:
            raise LogError(f"{path}:{at}: no time ({', '.join(TIME_COLUMNS)})")
        values = {
            MetricKey.parse(key): float(value)
            for key, value in flat.items()
            if isinstance(value, (int, float)) and any(metric in key for metric in metrics)
        }
        rows.append((times.read(when, at), values))
    return rows
