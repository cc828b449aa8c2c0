"""The workload room: requests as lazy streams.

`requests(scenario, seed)` opens every stream of a scenario (`arrivals`, `tokens`, `replay`) and
merges them in order of arrival; `check` reads replay files through and reports what is wrong.
"""

from dcsim.workload.open import check, open_stream, requests
from dcsim.workload.stream import BLOCK_REQUESTS, RequestBlock, RequestStream, merge

__all__ = [
    "BLOCK_REQUESTS",
    "RequestBlock",
    "RequestStream",
    "check",
    "merge",
    "open_stream",
    "requests",
]
