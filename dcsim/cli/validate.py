"""`dcsim validate`: is this scenario right? Writes nothing."""

from __future__ import annotations

import typer

from dcsim.cli.open import Duration, Overrides, ScenarioPath, Seed, open_scenario
from dcsim.cli.outline import outline
from dcsim.spec.units import SECOND, WATT


def validate(
    scenario: ScenarioPath,
    set_: Overrides = None,
    seed: Seed = None,
    duration: Duration = None,
) -> None:
    """Check a scenario file and the traces it names; name every problem with its line.

    Exit status 0 when all is well, 2 when anything is wrong.
    """
    checked = open_scenario(scenario, set_, seed, duration)
    site = outline(checked)
    streams = len(checked.workload)
    typer.echo(
        f"ok: {checked.name}, {SECOND.format(checked.duration_s)}, "
        f"{streams} stream{'s' if streams != 1 else ''}, {site.servers} servers, "
        f"nameplate {WATT.format(site.nameplate_w)}"
    )
