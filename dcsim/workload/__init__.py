"""The workload room: requests as lazy streams.

`requests(scenario, seed)` opens every stream of a scenario (`arrivals`, `tokens`, `replay`) and
merges them in order of arrival (`stream`); `check` reads trace files (`azure`) through and reports
what is wrong.
"""

from dcsim.workload.azure import TraceError
from dcsim.workload.open import check, open_stream, requests
from dcsim.workload.stream import BLOCK_REQUESTS, Prefix, RequestBlock, RequestStream, merge

__all__ = [
    "BLOCK_REQUESTS",
    "Prefix",
    "RequestBlock",
    "RequestStream",
    "TraceError",
    "check",
    "merge",
    "open_stream",
    "requests",
]
