"""The scenario room: the file that a planner writes, checked as a whole.

`load` reads it into a `Scenario`, or raises a `ScenarioError` that names every problem with file,
line and path; `dcsim.hardware` has the GPUs, models, servers and breaker curves that it may name.
"""

from dcsim.scenario.dump import dump, resolved
from dcsim.scenario.load import load, loads
from dcsim.scenario.models import Scenario

__all__ = [
    "Scenario",
    "dump",
    "load",
    "loads",
    "resolved",
]
