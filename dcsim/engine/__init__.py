"""The engine: builds every room from a scenario, owns SimPy's clock and the seed tree, and runs.

`simulate(scenario)` is the whole of it for a caller.
"""

from dcsim.engine.simulation import Simulation, simulate

__all__ = ["Simulation", "simulate"]
