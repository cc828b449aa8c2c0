"""Finished requests, written as packed records and handed on in blocks."""

# compiled by mypyc
from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

from dcsim.arrays import RecordArray
from dcsim.records import RECORD, RECORD_FORMAT, Status
from dcsim.serving.request import Request

BLOCK_RECORDS = 16384

Sink = Callable[[RecordArray], None]


class RequestLog:
    """Collects one record (`RECORD`) for each request that leaves, and counts by status.

    The sink gets structured arrays that it must not keep: they are overwritten.
    """

    def __init__(self, sink: Sink | None = None) -> None:
        self.counts = [0] * len(Status)
        self.generated_tokens = 0
        self.cached_tokens = 0
        self.preemptions = 0
        self.sink = sink
        """May be set later, before the first block is full."""
        self._pack = struct.Struct(RECORD_FORMAT).pack_into
        self._size = RECORD.itemsize
        self._buffer = bytearray(BLOCK_RECORDS * self._size)
        self._offset = 0

    def add(
        self,
        request: Request,
        replica: int,
        end_s: float,
        status: Status,
        generated: int,
        overhead_s: float,
    ) -> None:
        """Book one request. `replica` is -1 where none took it; `end_s` NaN where it has not
        ended. `overhead_s` is the front end's delay of what the client sees."""
        self.counts[status] += 1
        self.generated_tokens += generated
        self.cached_tokens += request.cached
        self.preemptions += request.preemptions
        first_s = request.first_token_s
        offset = self._offset
        self._pack(
            self._buffer,
            offset,
            request.id,
            request.arrival_s,
            first_s + overhead_s - request.arrival_s if first_s >= 0.0 else float("nan"),
            end_s + overhead_s,
            request.stream,
            replica,
            request.prompt_tokens,
            request.output_tokens,
            generated,
            status,
            request.tenant,
            request.preemptions,
            request.cached,
            request.retries,
        )
        offset += self._size
        self._offset = offset
        if offset == len(self._buffer):
            self.flush()

    def flush(self) -> None:
        """Hand on what has gathered."""
        if self._offset and self.sink is not None:
            self.sink(np.frombuffer(self._buffer, dtype=RECORD, count=self._offset // self._size))
        self._offset = 0
