"""What an electrical site is built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dcsim import seeds
from dcsim.arrays import FloatArray
from dcsim.facility.hold_up import HoldUp
from dcsim.hardware.catalogue import Catalogue
from dcsim.plant import Plant, Topology
from dcsim.scenario.models import Cooling, Fault, Limits, Restart


def _no_chance() -> np.random.SeedSequence:
    return np.random.SeedSequence(0)


@dataclass(frozen=True, slots=True)
class SiteInputs:
    """A power tree with all that acts on it; of a plant, see `of_plant`."""

    topology: Topology
    catalogue: Catalogue
    """For trip curves and loss curves."""
    step_s: float
    limits: Limits = field(default_factory=Limits)
    faults: Sequence[Fault] = ()
    restart: Restart = field(default_factory=Restart)
    cooling: Cooling = field(default_factory=Cooling)
    seed: np.random.SeedSequence = field(default_factory=_no_chance)
    """Of random failures, and of breakers drawn from their band."""
    count_from_s: float = 0.0
    """End of the warm-up: what limits have seen is counted from then on."""
    clock_s: float | None = None
    """Time of day at which the run starts; None: unknown."""
    load_s: FloatArray | None = None
    """From the boot of each server to its serving, (servers,); None: at once."""
    hold_up: HoldUp | None = None
    """Of the servers' power supplies; None: as is usual."""

    @classmethod
    def of_plant(
        cls,
        plant: Plant,
        seed: np.random.SeedSequence | None = None,
        count_from_s: float = 0.0,
    ) -> SiteInputs:
        """The site of a scenario, with its faults, restart and cooling."""
        scenario, servers = plant.scenario, plant.servers
        return cls(
            plant.topology,
            plant.catalogue,
            scenario.power_step_s,
            scenario.limits,
            faults=scenario.faults,
            restart=scenario.restart,
            cooling=scenario.cooling,
            seed=seed or _no_chance(),
            count_from_s=count_from_s,
            clock_s=None if scenario.start is None else float(scenario.start.time_of_day_s),
            load_s=servers.load_s,
            hold_up=HoldUp(servers.hold_up_s, servers.hold_up_full_s, servers.nameplate_w),
        )

    def band_place(self, node: str) -> float:
        """Place of the node's breaker in its band, 0 to 1, for those with `band: drawn`."""
        return float(seeds.generator(self.seed, seeds.TRIP_BAND, node).random())
