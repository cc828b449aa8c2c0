"""Who looks on while a run goes, and may end it."""

from __future__ import annotations

from collections.abc import Callable

from dcsim.engine.frame import Frame
from dcsim.facility.events import FacilityEvent
from dcsim.plant import Plant


class Watcher:
    """Looks on while a run goes, as the terminal's live view does.

    A subclass writes what it looks at: each method here does nothing.
    """

    def begin(
        self, plant: Plant, warm_up_s: float, capacity_per_s: Callable[[], float | None]
    ) -> None:
        """Called before the first power step.

        Parameters
        ----------
        plant
            What is played.
        warm_up_s
            End of the warm-up, which figures leave out.
        capacity_per_s
            Estimates the requests/s that the site can serve within its SLO, of several models in
            the mix in which they first come; None: unknown.
        """
        return None

    def update(self, frame: Frame) -> bool:
        """Called after every power step; True ends the run here, as if it were no longer."""
        return False

    def flag(self, event: FacilityEvent) -> None:
        """Called for every flag, in the order in which they are raised."""
        return None
