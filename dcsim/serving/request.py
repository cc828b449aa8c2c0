"""A request on its way, and how it may end."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from dcsim.workload.stream import Prefix


class Status(IntEnum):
    """Codes kept in the results file."""

    COMPLETED = 0
    REJECTED = 1
    """Refused on arrival: too long, or the queue was full."""
    FAILED = 2
    """Lost: its replica went dark, or none was up."""
    RUNNING = 3
    """Still in a batch when the run ended."""
    WAITING = 4
    """Still in a queue when the run ended."""


class Request:
    """One request. Token counts are integers; times are seconds since the start of the run."""

    __slots__ = (
        "arrival_s",
        "computed",
        "decode_from",
        "first_token_s",
        "generated",
        "id",
        "output_tokens",
        "preemptions",
        "prefix",
        "prompt_tokens",
        "sequence",
        "stream",
        "to_compute",
    )

    def __init__(
        self, id_: int, stream: int, arrival_s: float, prompt_tokens: int, output_tokens: int
    ) -> None:
        self.id = id_
        self.stream = stream
        self.arrival_s = arrival_s
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.to_compute = prompt_tokens
        """Tokens to prefill: the prompt, and after a preemption what was generated as well."""
        self.computed = 0
        self.generated = 0
        """Output tokens emitted before `decode_from`."""
        self.decode_from = 0
        """Iteration count of its replica when it began to decode."""
        self.first_token_s = -1.0
        self.sequence = 0
        """Order of admission, for preemption of the youngest."""
        self.preemptions = 0
        self.prefix: Prefix | None = None


RECORD = np.dtype(
    [
        ("id", "<i8"),
        ("arrival_s", "<f8"),
        ("ttft_s", "<f8"),
        ("end_s", "<f8"),
        ("stream", "<i4"),
        ("replica", "<i4"),
        ("prompt_tokens", "<i4"),
        ("output_tokens", "<i4"),
        ("generated_tokens", "<i4"),
        ("status", "<i4"),
    ]
)
RECORD_FORMAT = "<qdddiiiiii"
"""The same layout for struct.pack_into: one call writes a finished request."""
