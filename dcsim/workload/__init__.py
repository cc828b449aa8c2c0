"""The workload room: requests as lazy streams.

`requests(scenario, seed)` opens every stream of a scenario and merges them in order of arrival
(`stream`). A stream is a process of rate 1 (`renewal`) moved to a rate over time (`rates`,
`arrivals`), many clients at once (`clients`), or a recording (`traces`, `formats`, `replay`);
with lengths (`tokens`) and conversations (`sessions`). `check` reads the files that a scenario
names through and reports what is wrong.
"""

from dcsim.workload.check import Survey, check, survey
from dcsim.workload.open import Requests, open_stream, requests
from dcsim.workload.stream import BLOCK_REQUESTS, Prefix, RequestBlock, RequestStream, merge

__all__ = [
    "BLOCK_REQUESTS",
    "Prefix",
    "RequestBlock",
    "RequestStream",
    "Requests",
    "Survey",
    "check",
    "merge",
    "open_stream",
    "requests",
    "survey",
]
