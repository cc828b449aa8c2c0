"""Who looks on while a run goes, and may end it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dcsim.arrays import FloatArray, IntArray
from dcsim.facility.events import FacilityEvent


class Watcher(Protocol):
    """Somebody who looks on while a run goes, such as the terminal's live view.

    Who inherits from it need only write what it looks at: each method here does nothing.
    """

    def begin(
        self,
        names: Sequence[str],
        kinds: Sequence[str],
        parent_index: IntArray,
        rating_w: FloatArray,
        measured_from_s: float,
    ) -> None:
        """Called before the first step, with the site's nodes in node order and the end of the
        warm-up, which figures leave out."""
        return None

    def serving(self, replicas: int, capacity_per_s: float | None) -> None:
        """Called after `begin`: how many replicas there are, and what they can serve within the
        SLO, requests/s; None where that is unknown."""
        return None

    def loads(self, node_w: FloatArray) -> None:
        """Called after every power step, before `update`; shape (nodes,), not to be kept."""
        return None

    def update(
        self,
        now_s: float,
        site_w: float,
        site_limit_w: float,
        worst: tuple[str, float],
        running: int,
        waiting: int,
        arrived: int,
    ) -> bool:
        """Called after every power step, with the requests that have arrived so far; True ends the
        run here, as if it were no longer."""
        return False

    def flag(self, event: FacilityEvent) -> None:
        """Called for every flag."""
        return None
