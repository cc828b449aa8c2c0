"""What leaves the loop at the end of each power step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dcsim.arrays import FloatArray
from dcsim.facility.events import FacilityEvent
from dcsim.ledger import WorkLedger


@dataclass(frozen=True, slots=True)
class Frame:
    """A power step that has ended. Its arrays cannot be written to, and hold until the next step:
    copy what you keep."""

    now_s: float
    """End of the power step, in simulated seconds."""
    server_w: FloatArray
    """Mean watts of each server over the step, shape (servers,)."""
    node_w: FloatArray
    """Mean load of each node over the step, with losses and cooling, shape (nodes,)."""
    felt_w: FloatArray
    """The same as ratings feel it, shape (nodes,): what a UPS puts out, the fullest of three
    lines, volt-amperes."""
    arrived: int
    """Requests that have arrived so far."""
    events: tuple[FacilityEvent, ...]
    """Flags since the frame before, such as limits crossed, trips and commands."""
    _work: WorkLedger = field(repr=False)

    @property
    def ledger(self) -> WorkLedger:
        """Work of each replica in the step."""
        columns: dict[str, Any] = self._work.columns()
        views = {name: _read_only(column) for name, column in columns.items()}
        return WorkLedger(step_s=self._work.step_s, **views)


def read_only_frame(
    now_s: float,
    ledger: WorkLedger,
    server_w: FloatArray,
    node_w: FloatArray,
    felt_w: FloatArray,
    arrived: int,
    events: Sequence[FacilityEvent],
) -> Frame:
    """A frame over the engine's own arrays, which it keeps from being written to."""
    return Frame(
        now_s,
        _read_only(server_w),
        _read_only(node_w),
        _read_only(felt_w),
        arrived,
        tuple(events),
        ledger,
    )


def _read_only(values: Any) -> Any:
    view = values.view()
    view.flags.writeable = False
    return view
