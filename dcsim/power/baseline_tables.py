"""The shipped tables behind the two baselines: mean watts, and look-up rows after Splitwise.

Both are plain YAML beside this module, made from measured data by `python -m benchmarks.baselines`
with their source in them, so that no data is needed at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from dcsim.arrays import FloatArray
from dcsim.spec.nearest import nearest_few


@dataclass(frozen=True, slots=True)
class MeanRow:
    """Mean of a configuration's measured power."""

    watts: float
    """All GPUs of a replica."""
    samples: int | None
    """None: not published."""
    source: str


@dataclass(frozen=True)
class LookUp:
    """Shares of the board limit by tokens in the batch, for one number of GPUs."""

    batch_tokens: FloatArray
    """(n,), rising."""
    peak: FloatArray
    """(n,): while prompts are computed."""
    average: FloatArray
    """(n,): over a whole request, taken for decoding."""


@lru_cache(maxsize=1)
def mean_table() -> dict[str, MeanRow]:
    """Measured means by `ReplicaConfig.key`."""
    rows = _read("mean.yaml")["configurations"]
    return {key: MeanRow(row["watts"], row["samples"], row["source"]) for key, row in rows.items()}


def no_mean(key: str, table: Mapping[str, MeanRow] | None = None) -> str:
    """Why a configuration has no mean, and which have."""
    known = mean_table() if table is None else table
    return (
        f"no measured mean of {key}; there are {nearest_few(key, known)}. "
        "Choose one of those or another model"
    )


@lru_cache(maxsize=1)
def look_up_table() -> tuple[dict[int, LookUp], str]:
    """Look-up rows by tensor parallel size, and their source."""
    table = _read("splitwise.yaml")
    rows = {
        int(parallel): LookUp(
            *(np.array(row[name]) for name in ("batch_tokens", "peak", "average"))
        )
        for parallel, row in table["tensor_parallel"].items()
    }
    return rows, str(table["source"])


def _read(name: str) -> dict[str, Any]:
    text = (resources.files("dcsim.power") / "tables" / name).read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table
