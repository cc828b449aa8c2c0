"""Growing HDF5 datasets, written a whole chunk at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from dcsim.arrays import AnyArray, Float32Array, FloatArray

CHUNK_BYTES = 4 << 20
"""At most about this much of a series waits in memory for its chunk to be full."""
CHUNK_ROWS = 1024
CHUNK_COLUMNS = 64
"""Few columns a chunk, so that one row or rack is read without the rest of the site."""
TABLE_ROWS = 1 << 16
STORAGE: dict[str, Any] = {"compression": "lzf", "shuffle": True, "fletcher32": True}
"""lzf is in every h5py and ten times as fast as gzip; the checksum tells a damaged file."""


class SeriesDataset:
    """Watts by (time, node) as float32."""

    def __init__(self, file: h5py.File, name: str, width: int) -> None:
        rows = max(16, min(CHUNK_ROWS, CHUNK_BYTES // (4 * max(width, 1))))
        parts = max(1, -(-width // CHUNK_COLUMNS))
        self.width = width
        self._buffer = np.empty((rows, width), dtype=np.float32)
        self._filled = 0
        self._dataset = file.create_dataset(
            name,
            shape=(0, width),
            maxshape=(None, width),
            dtype=np.float32,
            # Columns shared out evenly: the last chunk of a row is stored in full.
            chunks=(rows, max(1, -(-width // parts))),
            **STORAGE,
        )

    def append(self, rows_w: FloatArray) -> None:
        """Further rows, shape (any, width)."""
        start = 0
        while start < len(rows_w):
            taken = min(len(self._buffer) - self._filled, len(rows_w) - start)
            end = self._filled + taken
            self._buffer[self._filled : end] = rows_w[start : start + taken]
            self._filled = end
            start += taken
            if end == len(self._buffer):
                self.flush()

    def flush(self) -> None:
        """Write what waits; afterwards whole chunks are no longer met, so only at the end."""
        _extend(self._dataset, self._buffer[: self._filled])
        self._filled = 0

    def column(self, node: int, rows: int) -> Float32Array:
        """The first rows of one node, of what has been flushed."""
        return np.asarray(self._dataset[:rows, node], np.float32)

    def percentile(self, percent: float, first: int = 0) -> FloatArray:
        """By node, over what has been flushed from row `first` on; NaN where there is nothing. A
        few nodes at a time: a day of thousands of servers is large."""
        values = np.full(self.width, np.nan)
        step = self._dataset.chunks[1]
        if len(self._dataset) > first:
            for low in range(0, self.width, step):
                block = self._dataset[first:, low : low + step]
                values[low : low + step] = np.percentile(
                    block, percent, axis=0, overwrite_input=True
                )
        return values


class TableDataset:
    """Columns of equal length, such as requests."""

    def __init__(
        self, file: h5py.File, name: str, columns: Mapping[str, Any], rows: int = TABLE_ROWS
    ) -> None:
        self._group = file.create_group(name)
        self._buffers: dict[str, Any] = {}
        self._filled = 0
        self._rows = rows
        for column, dtype in columns.items():
            text = h5py.check_string_dtype(np.dtype(dtype)) is not None
            self._buffers[column] = np.empty(rows, dtype=object if text else dtype)
            self._group.create_dataset(
                column,
                shape=(0,),
                maxshape=(None,),
                dtype=dtype,
                chunks=(rows,),
                # Texts are stored as references: nothing there to make smaller.
                **({} if text else STORAGE),
            )

    def append(self, columns: Mapping[str, Any], count: int) -> None:
        """Further rows: of each column an array or a list of `count` values."""
        start = 0
        while start < count:
            taken = min(self._rows - self._filled, count - start)
            end = self._filled + taken
            for name, buffer in self._buffers.items():
                buffer[self._filled : end] = columns[name][start : start + taken]
            self._filled = end
            start += taken
            if end == self._rows:
                self.flush()

    def flush(self) -> None:
        """Write what waits."""
        for name, buffer in self._buffers.items():
            _extend(self._group[name], buffer[: self._filled])
        self._filled = 0


def store(file: h5py.File, name: str, values: AnyArray) -> None:
    """A finished column, shape (rows,)."""
    # HDF5 has no chunks of nothing.
    storage = {**STORAGE, "chunks": (min(len(values), TABLE_ROWS),)} if len(values) else {}
    file.create_dataset(name, data=values, **storage)


def _extend(dataset: h5py.Dataset, rows: AnyArray) -> None:
    if len(rows):
        start = len(dataset)
        dataset.resize(start + len(rows), axis=0)
        dataset[start:] = rows
