"""An interpreter that does not stand still while streams run."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_S = 0.0005
"""Between threads: at CPython's 5 ms, a thread that computes would make the streams' loop late by
as much as we promise not to be."""
NEVER = 1_000_000


@contextmanager
def steady() -> Iterator[None]:
    """What is there already is not looked through for garbage (60 ms with the packages that we
    use), nor is what grows old meanwhile; young garbage is collected as ever."""
    switch_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(thresholds[0], thresholds[1], NEVER)
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(switch_s)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
