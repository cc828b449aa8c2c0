"""Series in little room: 12 bits a value, differences, two byte planes, gzip, base64.

The page's script (`assets/series.js`) reads it back; docs/report.md says what is lost: a value is
off by at most 1/8000 of its series' range.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import AnyFloatArray, ByteArray

LEVELS = 4000
"""Steps from the smallest to the largest value of a series."""
UNKNOWN = 0xFFFF
"""Stands for NaN."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Where a series lies among all values, and how to scale it back."""

    at: int
    low: float
    scale: float


class Packer:
    """Takes series one after the other; `text` gives all of them."""

    def __init__(self) -> None:
        self._low: list[ByteArray] = []
        self._high: list[ByteArray] = []
        self._count = 0

    def add(self, values: AnyFloatArray) -> Packed:
        """One series, shape (values,)."""
        known = values[np.isfinite(values)]
        low = float(known.min()) if len(known) else 0.0
        span = float(known.max()) - low if len(known) else 0.0
        scale = span / LEVELS if span > 0 else 1.0
        codes = np.full(len(values), UNKNOWN, dtype=np.uint16)
        finite = np.isfinite(values)
        codes[finite] = np.round((values[finite] - low) / scale).astype(np.uint16)
        # Differences wrap round, as the script's do; zigzag makes small ones small bytes.
        steps = np.diff(codes, prepend=np.uint16(0)).view(np.int16).astype(np.int32)
        zigzag = ((steps << 1) ^ (steps >> 15)) & 0xFFFF
        self._low.append((zigzag & 0xFF).astype(np.uint8))
        self._high.append((zigzag >> 8).astype(np.uint8))
        at = self._count
        self._count += len(values)
        return Packed(at, low, scale)

    @property
    def count(self) -> int:
        """Values so far."""
        return self._count

    def text(self) -> str:
        """All low bytes, then all high ones, as base64 of gzip; the same for the same series."""
        planes = np.concatenate([np.zeros(0, np.uint8), *self._low, *self._high])
        return compressed(planes.tobytes())


def compressed(data: bytes) -> str:
    """Base64 of gzip, without a time stamp."""
    return base64.b64encode(gzip.compress(data, compresslevel=6, mtime=0)).decode("ascii")
