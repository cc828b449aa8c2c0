"""The engine: wires the rooms of a plant together on one clock, and plays them.

`simulate(scenario)` is the whole of it for a caller; `Simulation` is played step by step.
"""

from dcsim.engine.frame import Frame
from dcsim.engine.play import simulate
from dcsim.engine.simulation import Simulation

__all__ = ["Frame", "Simulation", "simulate"]
