"""The site of a scenario, resolved once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np

from dcsim.arrays import IntArray
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.plant.columns import (
    Nodes,
    Replicas,
    Servers,
    node_columns,
    replica_columns,
    server_columns,
)
from dcsim.plant.group import ResolvedGroup
from dcsim.plant.topology import Topology, line_name
from dcsim.scenario.models import Scenario

if TYPE_CHECKING:
    import pandas as pd

Table = Literal["nodes", "servers", "replicas"]


@dataclass(frozen=True, eq=False)
class Plant:
    """A scenario's site: its groups, and nodes, servers and replicas as read-only columns."""

    scenario: Scenario
    catalogue: Catalogue
    topology: Topology
    """The power tree with its sums."""
    groups: tuple[ResolvedGroup, ...]
    """The server groups of which the site has servers, in the scenario's order."""
    nodes: Nodes
    servers: Servers
    replicas: Replicas

    @classmethod
    def build(
        cls,
        scenario: Scenario,
        catalogue: Catalogue | None = None,
        *,
        most_replicas: Mapping[str, int] | None = None,
    ) -> Plant:
        """Resolve a scenario.

        Parameters
        ----------
        scenario
            A loaded scenario: its names and feeds are valid.
        catalogue
            GPUs, models and servers; the shipped ones and the user's own without it.
        most_replicas
            Highest number of replicas by server group, for a site that is to have fewer than its
            servers hold.

        Returns
        -------
        Plant
            Its arrays cannot be written to.

        Raises
        ------
        CatalogueError
            If the catalogue lacks a name.
        """
        catalogue = load_catalogue() if catalogue is None else catalogue
        topology = Topology.build(scenario.facility)
        present = set(topology.server_groups)
        groups = tuple(
            ResolvedGroup.resolve(spec, catalogue)
            for spec in scenario.servers
            if spec.name in present
        )
        replicas = replica_columns(topology, groups, most_replicas)
        servers = server_columns(scenario, topology, groups, replicas)
        nodes = node_columns(topology)
        for table in (nodes, servers, replicas):
            for column in fields(table):
                values = getattr(table, column.name)
                if isinstance(values, np.ndarray):
                    values.flags.writeable = False
        return cls(scenario, catalogue, topology, groups, nodes, servers, replicas)

    def group(self, name: str) -> ResolvedGroup:
        """Look up a server group.

        Parameters
        ----------
        name
            The group's name in the scenario.

        Returns
        -------
        ResolvedGroup
            The group with its entries of the catalogue.

        Raises
        ------
        KeyError
            If the site has no server of this group.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)

    def servers_of(self, name: str) -> IntArray:
        """Look up the servers of a group.

        Parameters
        ----------
        name
            The group's name in the scenario.

        Returns
        -------
        numpy.ndarray
            Indices into the servers; empty where the site has none of the group.
        """
        return self._members(self.servers.group, name)

    def replicas_of(self, name: str) -> IntArray:
        """Look up the replicas of a group.

        Parameters
        ----------
        name
            The group's name in the scenario.

        Returns
        -------
        numpy.ndarray
            Indices into the replicas; empty where the site has none of the group.
        """
        return self._members(self.replicas.group, name)

    def servers_under(self, node: str) -> IntArray:
        """Look up the servers below a node, by any of their feeds.

        Parameters
        ----------
        node
            The node's name.

        Returns
        -------
        numpy.ndarray
            Indices into the servers, as commands take them.

        Raises
        ------
        KeyError
            If the site has no such node.
        """
        return self.topology.servers_under(node)

    def replicas_on(self, server: int) -> range:
        """Look up the replicas of a server.

        Parameters
        ----------
        server
            Index of the server.

        Returns
        -------
        range
            Indices into the replicas.
        """
        first, last = np.searchsorted(self.replicas.server, (server, server + 1))
        return range(int(first), int(last))

    def headroom_feeds(self) -> tuple[IntArray, IntArray]:
        """Look up the nodes whose headroom a router may see.

        Returns
        -------
        nodes : numpy.ndarray
            Indices of the nodes whose headroom counts for a replica; -1 stands for none.
        place : numpy.ndarray
            Index into `nodes` of each replica's, shape (replicas,).
        """
        rated_node = self.servers.rated_node[self.replicas.server]
        nodes, place = np.unique(rated_node, return_inverse=True)
        return nodes, place.astype(np.int64)

    def to_frame(self, table: Table) -> pd.DataFrame:
        """One of the three tables, with names in place of indices.

        Parameters
        ----------
        table
            `nodes`, `servers` or `replicas`.

        Returns
        -------
        pandas.DataFrame
            One row each; index: the node's or the server's name, or the replica's number. Columns
            as in `Nodes`, `Servers` and `Replicas`, with units in their names.

        Raises
        ------
        ValueError
            If there is no such table.
        """
        import pandas as pd

        if table == "nodes":
            return pd.DataFrame(self._node_frame(), pd.Index(self.nodes.name, name="node"))
        if table == "servers":
            return pd.DataFrame(self._server_frame(), pd.Index(self.servers.name, name="server"))
        if table == "replicas":
            numbers = pd.RangeIndex(len(self.replicas), name="replica")
            return pd.DataFrame(self._replica_frame(), numbers)
        raise ValueError(f"no table is called {table!r}; there are nodes, servers and replicas")

    def _members(self, group: IntArray, name: str) -> IntArray:
        numbers = [number for number, known in enumerate(self.groups) if known.name == name]
        return np.flatnonzero(group == numbers[0]) if numbers else np.zeros(0, dtype=np.int64)

    def _names(self, nodes: IntArray) -> list[str | None]:
        return [self.nodes.name[node] if node >= 0 else None for node in nodes.tolist()]

    def _node_frame(self) -> dict[str, object]:
        nodes = self.nodes
        return {
            "kind": nodes.kind,
            "row": nodes.row,
            "parent": self._names(nodes.parent),
            "rating_w": nodes.rating_w,
            "apparent_va": nodes.apparent_va,
            "phase": [line_name(line) for line in nodes.line.tolist()],
            "battery_w": nodes.battery_w,
            "servers": [len(self.servers_under(name)) for name in nodes.name],
        }

    def _server_frame(self) -> dict[str, object]:
        servers = self.servers
        groups = [self.groups[group] for group in servers.group.tolist()]
        numbers = {
            column.name: getattr(servers, column.name)
            for column in fields(servers)
            if column.name not in ("name", "node", "group", "rack", "row", "rated_node")
        }
        return {
            "group": [group.name for group in groups],
            "type": [group.server.name for group in groups],
            "gpu": [group.gpu.name for group in groups],
            "model": [group.model.name for group in groups],
            "rack": self._names(servers.rack),
            "row": self._names(servers.row),
            "rated_node": self._names(servers.rated_node),
            **numbers,
        }

    def _replica_frame(self) -> dict[str, object]:
        replicas = self.replicas
        groups = [self.groups[group] for group in replicas.group.tolist()]
        return {
            "group": [group.name for group in groups],
            "server": [self.servers.name[server] for server in replicas.server.tolist()],
            "model": [config.model for config in replicas.config],
            "configuration": [config.key for config in replicas.config],
            "role": [group.spec.role for group in groups],
            "gpus": replicas.gpus,
            "idle_w": replicas.idle_w,
            "board_w": replicas.board_w,
            "kv_blocks": replicas.kv_blocks,
        }
