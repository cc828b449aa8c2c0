"""A scenario played in one call."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dcsim.control.policy import Policy
from dcsim.engine.simulation import Simulation
from dcsim.engine.watcher import Watcher
from dcsim.errors import ExtrapolationWarning
from dcsim.plant import Plant
from dcsim.power.model import PowerModel
from dcsim.results import Results
from dcsim.scenario.load import as_document, check_document
from dcsim.scenario.models import Scenario
from dcsim.serving.routers import Pool, Router

logger = logging.getLogger(__name__)


def simulate(
    scenario: Scenario,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    *,
    policies: Sequence[Policy] = (),
    power_models: Mapping[str, PowerModel] | None = None,
    routers: Mapping[str, Callable[[Pool], Router]] | None = None,
) -> Results:
    """Play a scenario and open its results.

    Parameters
    ----------
    scenario
        From `dcsim.load`, or made in Python; it is checked as a file is, but for its traces.
    out
        HDF5 file to keep; without it the file lives as long as the returned Results.
    watcher
        Follows the run, and may end it.
    policies, power_models, routers
        Components as objects, as `Simulation` takes them.

    Returns
    -------
    Results
        Open; its `summary` holds what `dcsim run --json` prints.

    Raises
    ------
    ScenarioError
        For a scenario made or changed in Python that breaks a rule of the scenario file, or whose
        policies or power packs cannot work on this site.
    ConfigurationError, PolicyError
        As for `Simulation`, for components passed as objects.

    Warns
    -----
    ExtrapolationWarning
        For each configuration that a power pack was not fitted to.
    """
    check_document(as_document(scenario, f"<{scenario.name}>"))  # 2 ms
    simulation = Simulation(
        Plant.build(scenario),
        out=out,
        policies=policies,
        power_models=power_models,
        routers=routers,
    )
    for message in simulation.server_power.extrapolated():
        warnings.warn(message, ExtrapolationWarning, stacklevel=2)
    summary = simulation.run(watcher=watcher)
    _log_traffic(summary["traffic"])
    return simulation.results


def _log_traffic(traffic: Mapping[str, Mapping[str, int]]) -> None:
    """Say which rows of traces were left out, as their streams ask."""
    for what, by_stream in traffic.items():
        for stream, rows in by_stream.items():
            logger.info("workload stream %s: %d rows of its trace %s", stream, rows, what)
