"""The site as it is wired: what each node hangs from, and what the file says of it."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from dcsim.errors import ExportError
from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.curves import LossCurve
from dcsim.results.results import Results
from dcsim.scenario.expand import Row, expand
from dcsim.scenario.models import FacilityNode, Scenario


@dataclass(frozen=True, slots=True)
class Wire:
    """One node."""

    name: str
    kind: str
    feeds: tuple[str, ...]
    """Nodes that feed it, the preferred first; none for the site."""
    spec: FacilityNode
    """Its row of the facility table."""
    losses: LossCurve | None = None
    """The catalogue's curve that its row names."""

    @property
    def shares(self) -> tuple[float, ...]:
        """The part of its load that each feed carries while all live."""
        if not self.feeds:
            return ()
        if self.spec.transfer == "share":
            return (1.0 / len(self.feeds),) * len(self.feeds)
        return (1.0, *(0.0 for _ in self.feeds[1:]))


def wiring(results: Results) -> list[Wire]:
    """All nodes of a result's scenario, feeders first. Raises ExportError where the scenario in
    the file is not one that this version reads."""
    try:
        # Checked before the run; files that it names need not be here any more.
        scenario = Scenario.model_validate(yaml.safe_load(results.scenario_yaml))
    except (ValueError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise ExportError(f"{results.path}: its scenario cannot be read ({first})") from None
    table, curves = scenario.facility, load_catalogue().losses
    losses = [curves.get(row.losses or "") for row in table]
    return [
        Wire(copy.name, table[copy.row].kind, copy.above, table[copy.row], losses[copy.row])
        for copy in expand([Row(node.name, node.count, node.above) for node in table])
    ]
