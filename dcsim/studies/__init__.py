"""The studies room: the planner's questions, answered by playing scenarios.

Each study is a class whose fields are its options and inputs (`SweepStudy`), and a function of the
same fields, published here under its name: `sweep(scenario, over, seeds=5)` gives an `Answer`,
frames and what they say in words. A `Runner` plays the runs: in this process, by local workers, or
on a Dask cluster; runs are known by their content, so that nothing is played twice.
`sizing(results)` reads a results file instead of a scenario.
"""

from dcsim.studies.answer import Answer, Card, Plot, Table
from dcsim.studies.failover.study import FailoverStudy
from dcsim.studies.fixes import Fix
from dcsim.studies.growth.study import GrowthStudy
from dcsim.studies.oversubscription.study import OversubscriptionStudy
from dcsim.studies.policies import PoliciesStudy
from dcsim.studies.refresh import FleetVariant, RefreshStudy
from dcsim.studies.runner import Runner
from dcsim.studies.savings.study import SavingsStudy
from dcsim.studies.savings.tariff import Tariff, read_tariff
from dcsim.studies.sizing import SizingStudy
from dcsim.studies.sizing_table import sizing
from dcsim.studies.study import Study, publish
from dcsim.studies.sweep import SweepStudy

failover = publish("failover", FailoverStudy)
growth = publish("growth", GrowthStudy)
oversubscription = publish("oversubscription", OversubscriptionStudy)
policies = publish("policies", PoliciesStudy)
refresh = publish("refresh", RefreshStudy)
savings = publish("savings", SavingsStudy)
sizing_study = publish("sizing", SizingStudy)
sweep = publish("sweep", SweepStudy)

__all__ = [
    "Answer",
    "Card",
    "FailoverStudy",
    "Fix",
    "FleetVariant",
    "GrowthStudy",
    "OversubscriptionStudy",
    "Plot",
    "PoliciesStudy",
    "RefreshStudy",
    "Runner",
    "SavingsStudy",
    "SizingStudy",
    "Study",
    "SweepStudy",
    "Table",
    "Tariff",
    "failover",
    "growth",
    "oversubscription",
    "policies",
    "publish",
    "read_tariff",
    "refresh",
    "savings",
    "sizing",
    "sizing_study",
    "sweep",
]
