"""Seeds by name and number, so that one thing's luck does not hang on another's."""

from __future__ import annotations

import numpy as np

ARRIVALS, LENGTHS, TENANTS, STATES, SESSIONS, SAMPLE = range(6)
"""A stream's children: each draws for itself, so that changing one leaves the others alone."""


def branch(seed: np.random.SeedSequence, name: str) -> np.random.SeedSequence:
    """A child by name, so that adding a stream does not change the luck of the others."""
    return child(seed, *name.encode())


def child(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """A child by key. Unlike `spawn` it leaves the parent as it was: the same seed opens the same
    stream again."""
    return np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, *key))


def generator(seed: np.random.SeedSequence, *key: int) -> np.random.Generator:
    """The generator of a child by key."""
    return np.random.default_rng(child(seed, *key))
