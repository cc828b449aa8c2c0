"""The formats of traces: for each, which columns it has and what they mean.

- `azure-2023`, `azure-2024`: CSV of Azure's LLM inference traces
  (https://github.com/Azure/AzurePublicDataset), TIMESTAMP, ContextTokens, GeneratedTokens; in 2023
  with seven decimals of a second, from 2024 on with an offset from UTC. Either name reads both.
- `burstgpt`: CSV of BurstGPT (https://github.com/HPMLL/BurstGPT), seconds, model, and tokens of
  request and response. A failed request has a response of 0 tokens.
- `mooncake`: a JSON object a line (https://github.com/kvcache-ai/Mooncake), milliseconds, lengths,
  and, where they are told, the ids of the prompt's blocks of 512 tokens, each id standing for all
  up to there.
- `bailian`: the same keys in seconds and blocks of 16 tokens, as the traces of Alibaba's Qwen
  service have them (https://github.com/alibaba-edu/qwen-bailian-usagetraces-anon).
- `vllm`: CSV with start, input_tokens, output_tokens.
- `dcsim`: a results file of this program, with the requests that it kept.
- `lengths`: CSV with prompt and output: lengths alone, without times.
- `csv`, `jsonl`, `parquet`: any log of requests, its columns named or known by their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.errors import TraceError
from dcsim.stamps import Moments
from dcsim.workload import own_logs
from dcsim.workload.traces import (
    Format,
    FormatError,
    Options,
    RowError,
    TraceRow,
    csv_lines,
    json_lines,
    moment,
    tokens,
    whole,
)

BLOCK_TOKENS = {"mooncake": 512, "bailian": 16}
"""Tokens of a block, by format; the READMEs of those traces."""
MAX_BLOCK_ID = 2**64 - 1
"""Hashes of 64 bits, as engines make them."""
PLAIN_BLOCK_IDS = 2**31
"""Ids from here on are numbered anew as they come: prefixes have room for 32 bits
(`dcsim.workload.shared`)."""
BAILIAN_KEYS = ("chat_id", "parent_chat_id")


class Azure:
    """Timestamps as text, with or without their offset from UTC."""

    columns = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")

    def __init__(self, options: Options) -> None:
        self._moments = Moments(assume_utc=True)

    def row(self, values: Sequence[Any]) -> TraceRow:
        stamp, prompt, output = values
        return TraceRow(
            moment(self._moments, self.columns[0], stamp),
            tokens(self.columns[1], prompt),
            tokens(self.columns[2], output),
        )


class BurstGpt:
    """Requests without a response failed: they are dropped, or kept with one token."""

    columns = ("Timestamp", "Model", "Request tokens", "Response tokens")

    def __init__(self, options: Options) -> None:
        self._keep = options.failed == "keep"
        self._model = options.only_model
        self._moments = Moments(options.time_unit)

    def row(self, values: Sequence[Any]) -> TraceRow | None:
        time, model, prompt, output = values
        time_s = moment(self._moments, self.columns[0], time)
        generated = tokens(self.columns[3], output, least=0)
        if self._model is not None and model.strip() != self._model:
            return None
        if generated == 0 and not self._keep:
            return None
        return TraceRow(time_s, tokens(self.columns[2], prompt), max(generated, 1))


class Mooncake:
    """Lengths, and what prompts share where `hash_ids` tell."""

    columns = ("timestamp", "input_length", "output_length")
    optional = ("hash_ids", *BAILIAN_KEYS)

    def __init__(self, options: Options, name: str = "mooncake") -> None:
        self._block = options.block_tokens or BLOCK_TOKENS[name]
        self._moments = Moments(options.time_unit, "ms" if name == "mooncake" else "s")
        self._guess = options.block_tokens is None
        stated = options.block_tokens is not None or options.time_unit is not None
        self._refuse = name == "mooncake" and options.timed and not stated
        self._lengths_only = not options.timed
        self._renamed: dict[int, int] = {}

    def row(self, values: Sequence[Any]) -> TraceRow:
        time, prompt, output, ids, *chat = values
        if self._refuse and any(value is not None for value in chat):
            raise FormatError(
                f"Mooncake's keys alone: {' and '.join(BAILIAN_KEYS)} are those of the Qwen-Bailian"
                " traces, whose times are seconds (here: ms) and whose blocks have 16 tokens "
                "(here: 512): set `format: bailian`, or `time_unit` and `block_tokens`"
            )
        time_s = moment(self._moments, self.columns[0], time)
        length = tokens(self.columns[1], prompt)
        blocks = () if ids is None or self._lengths_only else self._blocks(ids, length)
        return TraceRow(time_s, length, tokens(self.columns[2], output), blocks)

    def _blocks(self, ids: Any, length: int) -> tuple[int, ...]:
        most = -(-length // self._block)
        if not isinstance(ids, list) or len(ids) > most:
            other = ""
            if isinstance(ids, list) and self._guess:
                other = f" in blocks of {self._block} (`block_tokens` sets another size)"
            raise RowError(
                "hash_ids", ids, f"a list of at most {most} ids for {length} tokens{other}"
            )
        blocks = []
        for block_id in ids:
            number = whole(block_id)
            if number is None or number > MAX_BLOCK_ID or isinstance(block_id, str):
                expected = f"ids that are whole numbers from 0 to {MAX_BLOCK_ID:,}"
                raise RowError("hash_ids", block_id, expected)
            if number >= PLAIN_BLOCK_IDS:
                number = self._renamed.setdefault(number, PLAIN_BLOCK_IDS + len(self._renamed))
            blocks.append(number)
        return tuple(blocks)


class PlainRows:
    """Times and tokens, as `columns` call them."""

    def __init__(self, columns: tuple[str, ...], options: Options) -> None:
        self._columns = columns
        self._moments = Moments(options.time_unit)

    def row(self, values: Sequence[Any]) -> TraceRow:
        time, prompt, output = self._columns
        return TraceRow(
            moment(self._moments, time, values[0]),
            tokens(prompt, values[1]),
            tokens(output, values[2]),
        )


class LengthRows:
    """No times: every row is at 0."""

    columns = ("prompt", "output")

    def row(self, values: Sequence[Any]) -> TraceRow:
        prompt, output = map(tokens, self.columns, values)
        return TraceRow(0.0, prompt, output)


RESULT_ROWS = 65_536
"""Read from a results file at once."""


def result_lines(
    file: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[int, Sequence[Any]] | TraceError]:
    """The requests of a results file in order of arrival; the file has them in order of leaving,
    so a first pass finds how early a later one may have come."""
    import h5py

    with file.open("rb"):  # the system's own word, where it cannot be opened
        pass
    try:
        with h5py.File(file, "r") as opened:
            table = [opened["requests"][column] for column in columns]
            starts = range(0, len(table[0]), RESULT_ROWS)
            earliest_s = [float(np.min(table[0][at : at + RESULT_ROWS])) for at in starts]
            coming_s = np.minimum.accumulate([np.inf, *earliest_s[::-1]])[::-1][1:]
            waiting = np.zeros((0, 1 + len(columns)))
            for at, until_s in zip(starts, coming_s, strict=True):
                part = [column[at : at + RESULT_ROWS] for column in table]
                numbers = np.arange(at, at + len(part[0])) + 1
                waiting = np.concatenate([waiting, np.column_stack([numbers, *part])])
                waiting = waiting[np.argsort(waiting[:, 1], kind="stable")]
                ready = int(np.searchsorted(waiting[:, 1], until_s))
                for row in waiting[:ready].tolist():
                    yield int(row[0]), (row[1], int(row[2]), int(row[3]))
                waiting = waiting[ready:]
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        expected = f"a results file of dcsim with its requests ({error})"
        yield TraceError(file, 0, "", "", expected, whole=True)


VLLM = ("start", "input_tokens", "output_tokens")
RESULTS = ("arrival_s", "prompt_tokens", "output_tokens")

FORMATS = {
    "azure-2023": Format(Azure.columns, csv_lines, Azure),
    "azure-2024": Format(Azure.columns, csv_lines, Azure),
    "burstgpt": Format(BurstGpt.columns, csv_lines, BurstGpt),
    "mooncake": Format(Mooncake.columns, json_lines, Mooncake, Mooncake.optional),
    "bailian": Format(
        Mooncake.columns,
        json_lines,
        lambda options: Mooncake(options, "bailian"),
        Mooncake.optional,
    ),
    "vllm": Format(VLLM, csv_lines, lambda options: PlainRows(VLLM, options)),
    "dcsim": Format(
        RESULTS, result_lines, lambda options: PlainRows(RESULTS, options), timed=False
    ),
    "lengths": Format(LengthRows.columns, csv_lines, lambda options: LengthRows(), timed=False),
    **own_logs.FORMATS,
}
"""By the name in a scenario."""
