"""Which nodes a policy watches, and what it may say of them."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.control.policy import Site
from dcsim.errors import PolicyError
from dcsim.spec.nearest import suggestion


class Watched:
    """Nodes by kind or name, with what limits them and the servers below. Arrays are (nodes,)."""

    def __init__(self, site: Site, nodes: str, limit_w: float | None = None) -> None:
        """`limit_w` in place of each rating. Raises PolicyError where there is nothing to watch."""
        watched = named(site, nodes)
        if limit_w is None:
            rated = watched[np.isfinite(site.rating_w[watched])]
            if not len(rated):
                raise PolicyError(
                    "nodes",
                    f"no {nodes} has a rating, so this policy would have nothing to watch "
                    "(rate one, or watch another)",
                )
            watched = rated
        self.index: IntArray = watched
        self.names = [site.names[node] for node in watched]
        self.limit_w: FloatArray = (
            site.rating_w[watched] if limit_w is None else np.full(len(watched), limit_w)
        )
        self.servers = [site.servers_under[name] for name in self.names]

    def share(self, node_w: FloatArray) -> FloatArray:
        """Load over limit."""
        return node_w[self.index] / self.limit_w


def named(site: Site, nodes: str) -> IntArray:
    """Indices of the nodes of a kind, or of the one of a name. Raises PolicyError."""
    indices = [index for index, kind in enumerate(site.kinds) if kind == nodes]
    if not indices:
        indices = [index for index, name in enumerate(site.names) if name == nodes]
    if not indices:
        hint = suggestion(nodes, {*site.kinds, *site.names})
        raise PolicyError("nodes", f"no node is called '{nodes}', nor a kind of node ({hint})")
    return np.array(indices, dtype=np.int64)


def groups(site: Site, key: str, names: tuple[str, ...]) -> set[str]:
    """Server groups by name. Raises PolicyError for one that no server is of."""
    for name in names:
        if name not in site.server_groups:
            hint = suggestion(name, site.server_groups)
            raise PolicyError(key, f"no server is of a group '{name}' ({hint})")
    return set(names)


class Hysteresis:
    """On above one share, off below another, for each node by itself."""

    def __init__(self, count: int, above: float, below: float) -> None:
        self.on = np.zeros(count, dtype=bool)
        self._above, self._below = above, below

    def moved(self, share: FloatArray) -> IntArray:
        """Nodes that have changed over; `on` says to what."""
        changed = np.where(self.on, share < self._below, share > self._above)
        self.on ^= changed
        return np.flatnonzero(changed)
