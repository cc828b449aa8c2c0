"""dcsim: requests, batches, watts and breakers of an LLM inference site in one event loop.

    scenario = dcsim.load("scenarios/quickstart.yaml")
    results = dcsim.simulate(scenario)
    results.load_w("row")  # a pandas frame

docs/reference/api.md describes each name. They are looked up when first used (PEP 562), so that
`import dcsim` takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcsim import studies
    from dcsim.control.policy import Policy
    from dcsim.engine import Frame, Simulation, simulate
    from dcsim.errors import (
        ConfigurationError,
        DcsimError,
        ExtrapolationWarning,
        MissingExtraError,
        PolicyError,
        Problem,
        ResultsError,
        ScenarioError,
        StudyError,
    )
    from dcsim.hardware.catalogue import Catalogue, load_catalogue
    from dcsim.loading.load import load, loads, validate
    from dcsim.plant import Plant
    from dcsim.power.model import PowerModel
    from dcsim.results import Results
    from dcsim.scenario.models import Scenario
    from dcsim.serving.routers import Router

__version__ = "0.1.0"
__all__ = [
    "Catalogue",
    "ConfigurationError",
    "DcsimError",
    "ExtrapolationWarning",
    "Frame",
    "MissingExtraError",
    "Plant",
    "Policy",
    "PolicyError",
    "PowerModel",
    "Problem",
    "Results",
    "ResultsError",
    "Router",
    "Scenario",
    "ScenarioError",
    "Simulation",
    "StudyError",
    "__version__",
    "load",
    "load_catalogue",
    "loads",
    "simulate",
    "studies",
    "validate",
]

_HOMES = {
    "Catalogue": "dcsim.hardware.catalogue",
    "ConfigurationError": "dcsim.errors",
    "DcsimError": "dcsim.errors",
    "ExtrapolationWarning": "dcsim.errors",
    "Frame": "dcsim.engine",
    "MissingExtraError": "dcsim.errors",
    "Plant": "dcsim.plant",
    "Policy": "dcsim.control.policy",
    "PolicyError": "dcsim.errors",
    "PowerModel": "dcsim.power.model",
    "Problem": "dcsim.errors",
    "Results": "dcsim.results",
    "ResultsError": "dcsim.errors",
    "Router": "dcsim.serving.routers",
    "Scenario": "dcsim.scenario.models",
    "ScenarioError": "dcsim.errors",
    "Simulation": "dcsim.engine",
    "StudyError": "dcsim.errors",
    "load": "dcsim.loading.load",
    "load_catalogue": "dcsim.hardware.catalogue",
    "loads": "dcsim.loading.load",
    "simulate": "dcsim.engine",
    "validate": "dcsim.loading.load",
}


def __getattr__(name: str) -> Any:
    if name == "studies":
        return import_module("dcsim.studies")
    if name not in _HOMES:
        raise AttributeError(f"module 'dcsim' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
