"""PyTorch as a training needs it, and as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Train on one thread from a seed, so that sums come out the same on every machine.

    PyTorch's thread count and random state belong to the whole process: both are put back.

    Parameters
    ----------
    seed
        Of PyTorch's random generator inside the block.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
