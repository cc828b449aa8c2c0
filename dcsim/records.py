"""What a run writes down: the record of a request, how a request may end, and kinds of events.

These stand outside the rooms because serving and the facility write them, results store them, and
studies and reports read them. The codes, the column names and the kinds are part of the results
format (docs/results-format.md): new ones follow, none changes.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, NamedTuple, get_args

import numpy as np


class Status(IntEnum):
    """How a request ended, or where it was when the run ended."""

    COMPLETED = 0
    REJECTED = 1
    """Refused on arrival: too long, or the queue was full."""
    FAILED = 2
    """Lost with its replica's power, or no replica was up."""
    RUNNING = 3
    """Still in a batch when the run ended."""
    WAITING = 4
    """Still in a queue when the run ended."""
    TIMED_OUT = 5
    """Waited longer than the engine's queue timeout without being scheduled."""


STATUS_NAMES = tuple(status.name.lower() for status in Status)
"""By code."""
UNSERVED = (Status.REJECTED, Status.FAILED, Status.TIMED_OUT)
"""Ended without an answer."""
ENDED = (Status.COMPLETED, *UNSERVED)
"""Nothing more will happen to the request."""


class Column(NamedTuple):
    """A column of the request record."""

    name: str
    dtype: str
    """In memory, as the record is packed: a numpy type of fixed size, little-endian."""
    stored: str
    """In the results file."""
    later: bool = False
    """Files from before the column was added lack it."""


REQUEST_COLUMNS = (
    Column("id", "<i8", "<i8"),
    Column("arrival_s", "<f8", "<f8"),
    Column("ttft_s", "<f8", "<f8"),
    Column("end_s", "<f8", "<f8"),
    Column("stream", "<i4", "<i4"),
    Column("replica", "<i4", "<i4"),
    Column("prompt_tokens", "<i4", "<i4"),
    Column("output_tokens", "<i4", "<i4"),
    Column("generated_tokens", "<i4", "<i4"),
    Column("status", "<i4", "u1"),
    Column("tenant", "<i4", "<i4", later=True),
    Column("preemptions", "<i4", "<i4", later=True),
    Column("cached_tokens", "<i4", "<i4", later=True),
    Column("retries", "<i4", "<i4", later=True),
)
"""docs/results-format.md says what each means."""
RECORD = np.dtype([(column.name, column.dtype) for column in REQUEST_COLUMNS])
_PACKED = {"<i8": "q", "<f8": "d", "<i4": "i"}
RECORD_FORMAT = "<" + "".join(_PACKED[column.dtype] for column in REQUEST_COLUMNS)
"""The layout of `RECORD` for `struct.pack_into`: one call writes a finished request."""
STORED_COLUMNS = {column.name: column.stored for column in REQUEST_COLUMNS}
LATER_COLUMNS = {column.name for column in REQUEST_COLUMNS if column.later}

EventKind = Literal[
    "warning",
    "overload",
    "trip",
    "cleared",
    "predicted",
    "demand",
    "ramp",
    "continuous",
    "fault",
    "repaired",
    "reclosed",
    "transfer",
    "on-battery",
    "depleted",
    "bypass",
    "cooling-lost",
    "redundancy-lost",
    "dark",
    "restored",
    "limited",
    "braked",
    "released",
]
"""docs/facility.md says when each is raised; the last three come from policies."""
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
EventClass = Literal["outage", "over-limit", "warning", "recovery", "action"]
EVENT_CLASSES: dict[EventClass, tuple[EventKind, ...]] = {
    "outage": ("trip", "dark", "depleted", "fault"),
    "over-limit": ("overload", "demand", "ramp", "continuous", "predicted"),
    "warning": (
        *("warning", "on-battery", "bypass", "redundancy-lost", "cooling-lost", "transfer"),
    ),
    "recovery": ("cleared", "restored", "repaired", "reclosed"),
    "action": ("limited", "braked", "released"),
}
"""Kinds of events by how serious they are; each kind stands in one class."""
CLASS_OF = {kind: label for label, kinds in EVENT_CLASSES.items() for kind in kinds}
