"""The plant's tables of columns: nodes, servers, replicas. They refer to each other by index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.ledger import ReplicaConfig
from dcsim.plant.group import ResolvedGroup
from dcsim.plant.topology import Topology
from dcsim.scenario.models import Scenario


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Vertices of the power tree, level by level, the site first and the servers last."""

    name: tuple[str, ...]
    kind: tuple[str, ...]
    row: tuple[str, ...]
    """Row of the facility table that the node is a copy of."""
    parent: IntArray
    """Node that feeds it, the preferred of several; -1 for the site."""
    rating_w: FloatArray
    """Continuous rating; NaN where unknown."""
    apparent_va: FloatArray
    """Rating in volt-amperes; NaN where there is none."""
    line: IntArray
    """-1 for three-phase nodes, 0 to 2 for those on L1, L2, L3, 3 to 5 on a pair of lines."""
    battery_w: FloatArray
    """Most that the node's battery gives; NaN where there is none."""
    server: IntArray
    """Index of the server that the node is; -1 for all others."""

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Servers:
    """Servers in the order of their nodes."""

    name: tuple[str, ...]
    node: IntArray
    group: IntArray
    """Index among the plant's groups."""
    rack: IntArray
    """Nearest rack above, by preferred feeds; -1 where there is none."""
    row: IntArray
    """Nearest row above; -1 where there is none."""
    rated_node: IntArray
    """Node whose headroom counts for the server: its row, or where the row has no rating the
    nearest node above that has, or else the nearest above the server; -1 where there is none."""
    gpus: IntArray
    spare_gpus: IntArray
    """GPUs that hold no replica."""
    replicas: IntArray
    """Number of replicas."""
    gpu_idle_w: FloatArray
    """Of one GPU."""
    non_gpu_w: FloatArray
    """Constant watts of all other parts, as the catalogue has them."""
    base_w: FloatArray
    """Constant watts beside the replicas' GPUs: other parts, and GPUs without a replica."""
    idle_w: FloatArray
    """The whole server with all GPUs at rest and constant other parts."""
    nameplate_w: FloatArray
    """On the maker's label, AC, without cooling and losses."""
    fitted_chassis: BoolArray
    """Other parts follow the GPUs' watts, in place of `non_gpu_w`."""
    load_s: FloatArray
    """From boot to serving after a loss of power: loading of weights."""
    hold_up_s: FloatArray
    """Bridged without voltage at 70 % of the nameplate and below."""
    hold_up_full_s: FloatArray
    """The same at the whole nameplate."""

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Replicas:
    """Replicas, server by server."""

    group: IntArray
    """Index among the plant's groups."""
    server: IntArray
    config: tuple[ReplicaConfig, ...]
    gpus: IntArray
    idle_w: FloatArray
    """Of all GPUs of the replica at rest."""
    board_w: FloatArray
    """Board power limits of all its GPUs together."""
    kv_blocks: IntArray

    def __len__(self) -> int:
        return len(self.config)


def node_columns(topology: Topology) -> Nodes:
    specs = topology.specs
    server = np.full(len(specs), -1, dtype=np.int64)
    server[topology.server_nodes] = np.arange(topology.server_count)
    return Nodes(
        name=tuple(topology.names),
        kind=tuple(topology.kinds),
        row=tuple(spec.name for spec in specs),
        parent=topology.parent_index,
        rating_w=topology.rating_w,
        apparent_va=topology.apparent_va,
        line=topology.line,
        battery_w=np.array([s.battery.power_w if s.battery else np.nan for s in specs]),
        server=server,
    )


def replica_columns(
    topology: Topology,
    groups: Sequence[ResolvedGroup],
    most: Mapping[str, int] | None,
) -> Replicas:
    """Every server holds as many replicas as its GPUs do."""
    number = {group.name: index for index, group in enumerate(groups)}
    left = dict(most or {})
    group_of: list[int] = []
    server_of: list[int] = []
    for server, name in enumerate(topology.server_groups):
        count = groups[number[name]].replicas_per_server
        if name in left:
            count = min(count, left[name])
            left[name] -= count
        group_of += [number[name]] * count
        server_of += [server] * count
    group = np.array(group_of, dtype=np.int64)
    gpus = np.array([kind.spec.replica_gpus for kind in groups], dtype=np.int64)[group]
    return Replicas(
        group=group,
        server=np.array(server_of, dtype=np.int64),
        config=tuple(groups[index].config for index in group_of),
        gpus=gpus,
        idle_w=gpus * _by(group, [kind.gpu_idle_w for kind in groups]),
        board_w=gpus * _by(group, [kind.gpu.nameplate_w for kind in groups]),
        kv_blocks=np.array([kind.kv_blocks for kind in groups], dtype=np.int64)[group],
    )


def server_columns(
    scenario: Scenario, topology: Topology, groups: Sequence[ResolvedGroup], replicas: Replicas
) -> Servers:
    number = {group.name: index for index, group in enumerate(groups)}
    group = np.array([number[name] for name in topology.server_groups], dtype=np.int64)
    rack, row, rated_node = _places(topology)
    return Servers(
        name=tuple(topology.names[node] for node in topology.server_nodes.tolist()),
        node=topology.server_nodes,
        group=group,
        rack=rack,
        row=row,
        rated_node=rated_node,
        gpus=np.array([kind.server.gpu_count for kind in groups], dtype=np.int64)[group],
        spare_gpus=np.array([kind.spare_gpus for kind in groups], dtype=np.int64)[group],
        replicas=np.bincount(replicas.server, minlength=len(group)),
        gpu_idle_w=_by(group, [kind.gpu_idle_w for kind in groups]),
        non_gpu_w=_by(group, [kind.server.non_gpu_w for kind in groups]),
        base_w=_by(group, [kind.base_w for kind in groups]),
        idle_w=_by(group, [kind.idle_w for kind in groups]),
        nameplate_w=_by(group, [kind.server.nameplate_w for kind in groups]),
        fitted_chassis=np.array([kind.has_fitted_chassis for kind in groups], dtype=np.bool_)[
            group
        ],
        load_s=_by(group, [kind.load_s(scenario) for kind in groups]),
        hold_up_s=_by(group, [kind.hold_up_s()[0] for kind in groups]),
        hold_up_full_s=_by(group, [kind.hold_up_s()[1] for kind in groups]),
    )


def _by(group: IntArray, values: Sequence[float]) -> FloatArray:
    """Each group's value, for all of its members."""
    return np.array(values, dtype=np.float64)[group]


def _places(topology: Topology) -> tuple[IntArray, IntArray, IntArray]:
    """Of each server its rack, its row and the node whose headroom counts; -1 where none is."""
    known: dict[int, tuple[int, int, int]] = {}
    places = []
    for node in topology.server_nodes.tolist():
        parent = int(topology.parent_index[node])
        if parent not in known:
            above = topology.above(node)
            kinds = [topology.kinds[up] for up in above]
            row = kinds.index("row") if "row" in kinds else -1
            rated = [
                up for up in above[max(row, 0) :] + above if np.isfinite(topology.rating_w[up])
            ]
            known[parent] = (
                above[kinds.index("rack")] if "rack" in kinds else -1,
                above[row] if row >= 0 else -1,
                rated[0] if rated else -1,
            )
        places.append(known[parent])
    rack, row_of, rated_node = np.array(places, dtype=np.int64).reshape(-1, 3).T.copy()
    return rack, row_of, rated_node
