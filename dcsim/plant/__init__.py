"""The plant: what a scenario and the catalogue say of a site, resolved once.

    plant = Plant.build(dcsim.load("scenarios/quickstart.yaml"))
    plant.to_frame("servers")  # a pandas frame, one row a server

Nodes of the power tree, servers and replicas each have a table of columns (`columns`), and refer
to each other by index; a server group holds what its members have in common (`group`); `topology`
is the tree itself with its sums. Every room reads the site here: no other module works out which
server has which GPU, which model, rating, phase or idle watts. Nothing in a plant changes: what
does as a run goes on (loads, states, which servers have power) belongs to the rooms.
"""

from dcsim.plant.group import ResolvedGroup
from dcsim.plant.plant import Plant
from dcsim.plant.topology import Topology

__all__ = ["Plant", "ResolvedGroup", "Topology"]
