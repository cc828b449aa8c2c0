"""What only the rooms can tell of a scenario: asked before a run, and by `dcsim validate`."""

from __future__ import annotations

from dcsim.power.baseline_tables import mean_table, no_mean
from dcsim.power.pack import PackError, find_pack
from dcsim.scenario.catalogue import load_catalogue
from dcsim.scenario.models import Scenario
from dcsim.serving.fleet import replica_config


def check_power(scenario: Scenario) -> list[tuple[str, str]]:
    """Packs that cannot be read or cannot serve their servers, means that nobody measured:
    (dotted path, message) of each.

    Reads packs but does not load PyTorch.
    """
    catalogue = load_catalogue()
    problems = []
    for index, group in enumerate(scenario.servers):
        power = group.power
        config = replica_config(group, catalogue)
        if power.model == "mean" and config.key not in mean_table():
            problems.append((f"servers.{index}.power.model", no_mean(config.key)))
        if power.model != "gru":
            continue
        try:
            pack = find_pack(power.pack, [config])
        except PackError as error:
            problems.append((f"servers.{index}.power.pack", str(error)))
            continue
        refusal = pack.refusal(config, scenario.power_step_s, power.extrapolate)
        if refusal is not None:
            problems.append((f"servers.{index}.power", refusal))
    return problems
