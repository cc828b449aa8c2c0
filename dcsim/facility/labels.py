"""What every node would carry if each server drew what its maker's label says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.cooling import Cooling
from dcsim.facility.site import ElectricalSite
from dcsim.hardware.catalogue import Catalogue
from dcsim.plant.topology import Topology
from dcsim.scenario.models import Cooling as CoolingSpec
from dcsim.scenario.models import FacilityNode

HOUR_S = 3600.0


def label_sums_w(topology: Topology, catalogue: Catalogue, types: Mapping[str, str]) -> FloatArray:
    """Labels of the servers below each node, W, shape (nodes,): IT only, no cooling, no losses.

    `types`: server types of the catalogue by server group.
    """
    return topology.sum_loads(_labels_w(topology, catalogue, types)).copy()


def label_loads_w(
    facility: Sequence[FacilityNode],
    catalogue: Catalogue,
    types: Mapping[str, str],
    cooling: CoolingSpec | None = None,
    duration_s: float = 0.0,
) -> FloatArray:
    """Load of each node with all servers at their labels, W, in the order of `Topology.names`.

    It goes through the same losses and the same cooling as a simulated load, so that the two may
    be compared. All feeds live, nothing fails, no battery gives or takes. Where cooling follows
    the weather, it is that of the hour of the run (`duration_s`) in which it draws most. Raises
    SeriesError for a weather file that cannot be read.
    """
    topology = Topology.build([row.model_copy(update={"battery": None}) for row in facility])
    server_w = _labels_w(topology, catalogue, types)
    now_s = 0.0
    if cooling is not None and cooling.weather is not None:
        cooling_plant, it_w = Cooling(cooling), float(server_w.sum())
        hours_s = np.arange(0.0, duration_s + HOUR_S, HOUR_S).tolist()
        now_s = max(hours_s, key=lambda time_s: cooling_plant.load_w(time_s, it_w))
    site = ElectricalSite(topology, catalogue, 1.0, cooling=cooling)
    node_w, _ = site.step(now_s, 1.0, server_w)
    return node_w.copy()


def _labels_w(topology: Topology, catalogue: Catalogue, types: Mapping[str, str]) -> FloatArray:
    return np.array([catalogue.server(types[g]).nameplate_w for g in topology.server_groups])
