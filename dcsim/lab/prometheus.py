"""The text format of Prometheus: one sample a line, with labels and perhaps a time.

The one parser of live pages and of logs. `prometheus_client` has another, which takes a page as a
whole: it stops at the first bad line without saying which, where a log's reader must name the line
and a page is read for some ten of its thousands of lines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

_REST = r"(?P<labels>\{[^\n]*\})?[ \t]+(?P<value>\S+)"
_LINE = re.compile(rf"(?P<name>[A-Za-z_:][\w:.]*){_REST}(?:[ \t]+(?P<ms>\d{{12,}}))?\s*")
_LABEL = re.compile(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """One sample of a page."""

    name: str
    labels: dict[str, str]
    value: float


class LoggedSample(NamedTuple):
    """One sample of a log, as it is written there."""

    name: str
    labels: dict[str, str]
    value: str
    ms: str | None
    """Milliseconds since 1970, where the line has them."""


def parse_labels(text: str) -> dict[str, str]:
    """The labels in `{name="value",...}`."""
    return dict(_LABEL.findall(text))


def parse_line(line: str) -> LoggedSample | None:
    """The sample in a line; None where it has none."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    return LoggedSample(
        match["name"], parse_labels(match["labels"] or ""), match["value"], match["ms"]
    )


def pattern(names: Iterable[str]) -> re.Pattern[bytes]:
    """Finds the samples of these names in a page: one pass in C, because the streams that share the
    loop must not wait for it."""
    either = "|".join(map(re.escape, names))
    return re.compile(rf"^(?P<name>{either}){_REST}".encode(), re.MULTILINE)


def samples(page: bytes, names: re.Pattern[bytes]) -> list[Sample]:
    """A page's samples of the names of a `pattern`; values that are no finite number are left
    out."""
    values = []
    for name, labels, text in names.findall(page):
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value):
            values.append(Sample(name.decode(), parse_labels(labels.decode()), value))
    return values
