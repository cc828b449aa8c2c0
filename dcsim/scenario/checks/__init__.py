"""What the models cannot see one by one: names that must exist, streams that must be served,
weights that must fit, one diagram from the site down to the servers, files that must be there.

Each rule takes a scenario that its models have passed, and the catalogue, and yields a `Finding`
for whatever does not fit together. Where a file has values that could not be read, `UNREAD` stands
in their place: a rule that comes upon one says no more.
"""

from __future__ import annotations

from collections.abc import Iterator

from dcsim.hardware.catalogue import Catalogue
from dcsim.scenario.checks import clock, electrical, facility, servers, workload
from dcsim.scenario.models import Scenario
from dcsim.spec.document import Finding
from dcsim.spec.unread import readable

RULES = (*workload.RULES, *servers.RULES, *facility.RULES, *electrical.RULES, *clock.RULES)


def check(scenario: Scenario, catalogue: Catalogue) -> Iterator[Finding]:
    """All that does not fit together.

    Parameters
    ----------
    scenario
        As its models have passed it.
    catalogue
        Of the servers, models and curves that it names.

    Yields
    ------
    Finding
        One for each fault, in no order.
    """
    for rule in RULES:
        yield from readable(rule(scenario, catalogue))
