"""The serving room: one replica's life, and the fleet of them.

A request arrives (`fleet`), is routed (`routers`) and batched (`replica`), iterations take the
time that `dcsim.hardware.roofline` gives them, and the work done is read from `work` as a ledger,
which is all that the power room sees. `log` keeps what became of each request.
"""

import logging
import warnings

from dcsim.compiled import is_compiled, stale_warning

_stale = stale_warning()
if _stale is not None:
    warnings.warn(_stale, RuntimeWarning, stacklevel=2)
if not is_compiled():
    logging.getLogger(__name__).info("the event loop runs as plain Python, half as fast")
