"""The seed tree: every random stream of the package is a branch of it, reached by name.

A stream depends on the scenario's seed and on its own place in the tree only. A scenario that
gains a request stream, a model or a node keeps the random numbers of all others, and the same
scenario and seed give the same bytes on one process or on fifty.

The derivation
--------------
With H = SHA-256 of the names joined by "/", in UTF-8::

    branch(seed, *names) = SeedSequence(entropy=seed, spawn_key=the first four 32-bit words of H,
                                        read as little-endian)
    child(parent, *key)  = SeedSequence(entropy=parent.entropy, spawn_key=parent.spawn_key + key)

where a text in `key` stands for its UTF-8 bytes, one number a byte. Generators are numpy's
`default_rng` of such a sequence. Unlike `SeedSequence.spawn`, `child` leaves its parent as it
was: a stream that is opened twice draws the same numbers twice.

The branches of a run are `("workload")`, below it one child by each request stream's name and
below that one by what is drawn (`ARRIVALS` and its sisters); `("routing")` with a child by pool
(0, or 1 for a decode pool) and model name; `("power", power model group)`; `("facility")` with a
child by each node's name for random failures, and by (`TRIP_BAND`, node name) for the place of a
breaker in its trip band; and `("capacity", model)` for `dcsim serving capacity`.

References
----------
M. E. O'Neill, "Developing a seed_seq Alternative", 2015, on which numpy's SeedSequence is built;
numpy documentation, "Parallel random number generation", https://numpy.org/doc/stable/reference/random/parallel.html
"""

from __future__ import annotations

import hashlib
from random import Random

import numpy as np

ARRIVALS, LENGTHS, TENANTS, STATES, SESSIONS, SAMPLE = range(6)
"""Children of a request stream: each draws for itself, so that changing one leaves the others."""
TRIP_BAND = 1
"""Child of the facility: places of breakers in their trip bands, by node name."""


def branch(seed: int, *names: str) -> np.random.SeedSequence:
    """Return the seed sequence of a named branch.

    Parameters
    ----------
    seed
        The scenario's seed.
    *names
        The path from the root, such as `"workload"` or `"power", "a100"`.

    Returns
    -------
    numpy.random.SeedSequence
        By the derivation in the module's docstring.
    """
    digest = hashlib.sha256("/".join(names).encode()).digest()
    key = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
    return np.random.SeedSequence(entropy=seed, spawn_key=key)


def child(parent: np.random.SeedSequence, *key: int | str) -> np.random.SeedSequence:
    """Return the child of a branch under a key of names and numbers; the parent is unchanged.

    Parameters
    ----------
    parent
        The branch above.
    *key
        Names, each taken as its UTF-8 bytes, and whole numbers from 0.

    Returns
    -------
    numpy.random.SeedSequence
        By the derivation in the module's docstring.
    """
    words: list[int] = list(parent.spawn_key)
    for part in key:
        if isinstance(part, str):
            words.extend(part.encode())
        else:
            words.append(part)
    return np.random.SeedSequence(entropy=parent.entropy, spawn_key=tuple(words))


def generator(parent: np.random.SeedSequence, *key: int | str) -> np.random.Generator:
    """Return numpy's default generator over `child(parent, *key)`."""
    return np.random.default_rng(child(parent, *key))


def scalar_generator(seed: np.random.SeedSequence) -> Random:
    """Return Python's own generator over a branch.

    Where numbers are drawn singly it is several times faster than numpy's. Its seed is the
    branch's first four 32-bit words of state as one little-endian integer.
    """
    return Random(int.from_bytes(seed.generate_state(4, np.uint32).tobytes(), "little"))
