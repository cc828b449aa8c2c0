"""One seed tree for a run: every user of chance has a branch by name.

A branch depends on the scenario's seed and its own name only, so that adding a stream or a
server group does not change the luck of the others.
"""

from __future__ import annotations

import hashlib

import numpy as np


def branch(seed: int, *names: str) -> np.random.SeedSequence:
    """The seed sequence of a named branch, such as `branch(7, "workload", "chat")`."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    key = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
    return np.random.SeedSequence(entropy=seed, spawn_key=key)
