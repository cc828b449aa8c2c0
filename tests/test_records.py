"""Request record, status codes and event kinds are stated once, as the results format has them."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

from dcsim.records import (
    CLASS_OF,
    ENDED,
    EVENT_CLASSES,
    EVENT_KINDS,
    LATER_COLUMNS,
    RECORD,
    RECORD_FORMAT,
    STATUS_NAMES,
    STORED_COLUMNS,
    UNSERVED,
    Status,
)
from dcsim.report.flags import CLASS_STYLES, KIND_STYLES

ROOT = Path(__file__).parents[1]


def test_a_packed_record_reads_back_by_name() -> None:
    values = (7, 1.5, 0.25, 9.0, 1, -1, 100, 50, 49, 5, 2, 3, 64, 4)
    packed = struct.pack(RECORD_FORMAT, *values)
    (row,) = np.frombuffer(packed, RECORD)
    assert tuple(row.tolist()) == values
    assert (row["id"], row["end_s"], row["status"], row["retries"]) == (7, 9.0, 5, 4)


def test_codes_and_columns_are_those_of_the_results_format() -> None:
    """docs/results-format.md, which is an interface: columns in its order, codes in its words."""
    text = (ROOT / "docs/results-format.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| (`requests/id`.*?) \|", text, re.M)
    named = [name.removeprefix("requests/") for name in re.findall(r"`([^`]+)`", row)]
    assert named == list(STORED_COLUMNS) == list(RECORD.names or ())
    (codes,) = re.findall(r"`status`: (0 completed[^.]*)\.", text)
    for status in Status:
        assert f"{int(status)} {status.name.lower().replace('_', ' ')}" in codes
        assert STATUS_NAMES[status] == status.name.lower()
    assert {"tenant", "retries"} <= LATER_COLUMNS <= STORED_COLUMNS.keys()


def test_a_request_has_ended_or_is_still_here() -> None:
    assert set(Status) - set(ENDED) == {Status.RUNNING, Status.WAITING}
    assert set(ENDED) - set(UNSERVED) == {Status.COMPLETED}


def test_each_kind_of_event_has_one_class_and_a_style() -> None:
    listed = [kind for kinds in EVENT_CLASSES.values() for kind in kinds]
    assert sorted(listed) == sorted(EVENT_KINDS)
    assert CLASS_OF.keys() == set(EVENT_KINDS)
    assert CLASS_STYLES.keys() == EVENT_CLASSES.keys()


def test_each_kind_of_event_has_a_mark_that_no_other_of_its_class_has() -> None:
    assert KIND_STYLES.keys() == set(EVENT_KINDS)
    for kinds in EVENT_CLASSES.values():
        symbols = [KIND_STYLES[kind].symbol for kind in kinds]
        assert len(set(symbols)) == len(symbols)
