"""dcsim: requests, batches, watts and breakers of an LLM inference site in one event loop.

    scenario = dcsim.load("scenarios/quickstart.yaml")
    results = dcsim.simulate(scenario)
    results.load_w("row")  # a pandas frame

The names are looked up when first used, so that `import dcsim` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcsim.engine import Frame, Simulation, simulate
    from dcsim.engine.load import load, validate
    from dcsim.errors import ScenarioError
    from dcsim.plant import Plant
    from dcsim.results import Results

__version__ = "0.1.0"
__all__ = [
    "Frame",
    "Plant",
    "Results",
    "ScenarioError",
    "Simulation",
    "__version__",
    "load",
    "simulate",
    "validate",
]

_HOMES = {
    "Frame": "dcsim.engine",
    "Plant": "dcsim.plant",
    "Results": "dcsim.results",
    "ScenarioError": "dcsim.errors",
    "Simulation": "dcsim.engine",
    "load": "dcsim.engine.load",
    "simulate": "dcsim.engine",
    "validate": "dcsim.engine.load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dcsim' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
