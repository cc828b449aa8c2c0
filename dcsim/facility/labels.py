"""What every node would carry if each server drew what its maker's label says."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.contingency import ContingencyFlow
from dcsim.facility.cooling import CoolingLaw
from dcsim.facility.inputs import SiteInputs
from dcsim.plant import Plant, Topology

HOUR_S = 3600.0


def label_loads_w(plant: Plant) -> FloatArray:
    """Load of each node with all servers at their labels, W, shape (nodes,).

    It goes through the same losses and the same cooling as a simulated load, so that the two may
    be compared. All feeds live, nothing fails, no battery gives or takes. Where cooling follows
    the weather, it is that of the hour of the run in which it draws most. Raises SeriesError for a
    weather file that cannot be read.
    """
    scenario, server_w = plant.scenario, plant.servers.nameplate_w
    bare = [row.model_copy(update={"battery": None}) for row in scenario.facility]
    now_s = 0.0
    if scenario.cooling.weather is not None:
        cooling, it_w = CoolingLaw(scenario.cooling), float(server_w.sum())
        hours_s = np.arange(0.0, scenario.duration_s + HOUR_S, HOUR_S).tolist()
        now_s = max(hours_s, key=lambda time_s: cooling.load_w(time_s, it_w))
    inputs = SiteInputs(Topology.build(bare), plant.catalogue, 1.0, cooling=scenario.cooling)
    flow = ContingencyFlow(inputs, lost=None)
    flow.loads_w(now_s, server_w)
    return flow.node_w.copy()
