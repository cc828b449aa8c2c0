"""What scenario and catalogue say of servers that lose their supply: hold-up, and the way back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.hold_up import HoldUp
from dcsim.hardware.catalogue import Catalogue
from dcsim.scenario.models import Scenario


def load_times_s(
    scenario: Scenario, catalogue: Catalogue, server_groups: Sequence[str]
) -> FloatArray:
    """Seconds from each server's boot to its serving, (servers,): the weights of its replicas, read
    one after the other, or what `restart.load` says."""
    restart = scenario.restart
    of_group = {}
    for group in scenario.servers:
        replicas = catalogue.server(group.server).gpu_count // group.replica_gpus
        read_s = replicas * catalogue.model(group.model).weight_bytes
        read_s /= restart.load_bandwidth_bytes_s
        of_group[group.name] = read_s if restart.load_s is None else restart.load_s
    return np.array([of_group[name] for name in server_groups])


def hold_up(scenario: Scenario, catalogue: Catalogue, server_groups: Sequence[str]) -> HoldUp:
    """How long each server's power supplies bridge a gap."""
    of_group = {}
    for group in scenario.servers:
        kind = catalogue.server(group.server)
        own = group.hold_up_s
        stated = (kind.hold_up_s, kind.hold_up_full_s) if own is None else (own, own)
        of_group[group.name] = (*stated, kind.nameplate_w)
    low, full, nameplate = np.array([of_group[name] for name in server_groups]).T
    return HoldUp(low, full, nameplate)
