"""The formats of traces: for each, which columns it has and what they mean.

- `azure-2023`, `azure-2024`: CSV of Azure's LLM inference traces
  (https://github.com/Azure/AzurePublicDataset), TIMESTAMP, ContextTokens, GeneratedTokens; in 2023
  with seven decimals of a second, in 2024 with six and an offset from UTC.
- `burstgpt`: CSV of BurstGPT (https://github.com/HPMLL/BurstGPT), seconds, model, and tokens of
  request and response. A failed request has a response of 0 tokens.
- `mooncake`: a JSON object a line (https://github.com/kvcache-ai/Mooncake), milliseconds, lengths,
  and the ids of the prompt's blocks of 512 tokens, each id standing for all up to there.
- `vllm`: CSV with start (seconds), input_tokens, output_tokens.
- `dcsim`: a results file of this program, with the requests that it kept.
- `lengths`: CSV with prompt and output: lengths alone, without times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.workload.traces import (
    Format,
    Options,
    Row,
    TraceError,
    Wrong,
    csv_lines,
    json_lines,
    seconds,
    tokens,
    whole,
)

MOONCAKE_BLOCK_TOKENS = 512
"""Tokens of a block; the Mooncake trace's README."""
MOST_BLOCK_ID = 2**32 - 1

_STAMP = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


class Azure:
    """Timestamps as text; the offset from UTC where `zoned`."""

    columns = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")

    def __init__(self, zoned: bool) -> None:
        self._zoned = zoned
        self._start: datetime | None = None

    def row(self, values: Sequence[Any]) -> Row:
        stamp, prompt, output = values
        return Row(
            self._seconds(stamp),
            tokens(self.columns[1], prompt),
            tokens(self.columns[2], output),
        )

    def _seconds(self, text: str) -> float:
        """Since the first row's whole second: all of the fraction's digits are kept."""
        match = _STAMP.fullmatch(text.strip())
        try:
            if match is None or (match[3] and not self._zoned):
                raise ValueError(text)
            # datetime has six decimals, the traces of 2023 seven: the rest is kept apart.
            zone = (match[3] or "Z") if self._zoned else ""
            moment = datetime.fromisoformat(match[1] + zone)
        except ValueError:
            example = "2024-05-10 00:00:00.009930+00:00" if self._zoned else ""
            example = example or "2023-11-16 18:15:46.6805900"
            raise Wrong(self.columns[0], text, f"a time such as {example}") from None
        if self._start is None:
            self._start = moment
        return (moment - self._start).total_seconds() + float(f"0.{match[2] or 0}")


class BurstGpt:
    """Requests without a response failed: they are dropped, or kept with one token."""

    columns = ("Timestamp", "Model", "Request tokens", "Response tokens")

    def __init__(self, options: Options) -> None:
        self._keep = options.failed == "keep"
        self._model = options.only_model

    def row(self, values: Sequence[Any]) -> Row | None:
        time, model, prompt, output = values
        time_s = seconds(self.columns[0], time)
        generated = tokens(self.columns[3], output, least=0)
        if self._model is not None and model.strip() != self._model:
            return None
        if generated == 0 and not self._keep:
            return None
        return Row(time_s, tokens(self.columns[2], prompt), max(generated, 1))


class Mooncake:
    """Milliseconds, and what prompts share."""

    columns = ("timestamp", "input_length", "output_length", "hash_ids")

    def row(self, values: Sequence[Any]) -> Row:
        time, prompt, output, ids = values
        time_ms = seconds(self.columns[0], time)
        length = tokens(self.columns[1], prompt)
        most = -(-length // MOONCAKE_BLOCK_TOKENS)
        if not isinstance(ids, list) or len(ids) > most:
            raise Wrong(self.columns[3], ids, f"a list of at most {most} ids for {length} tokens")
        for number in ids:
            if whole(number) is None or number > MOST_BLOCK_ID:
                wanted = f"ids that are whole numbers from 0 to {MOST_BLOCK_ID:,}"
                raise Wrong(self.columns[3], number, wanted)
        return Row(time_ms / 1000.0, length, tokens(self.columns[2], output), tuple(ids))


class Plain:
    """Seconds and tokens, as `names` call them."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns

    def row(self, values: Sequence[Any]) -> Row:
        time, prompt, output = self._columns
        return Row(seconds(time, values[0]), tokens(prompt, values[1]), tokens(output, values[2]))


class Lengths:
    """No times: every row is at 0."""

    columns = ("prompt", "output")

    def row(self, values: Sequence[Any]) -> Row:
        prompt, output = map(tokens, self.columns, values)
        return Row(0.0, prompt, output)


RESULT_ROWS = 65_536
"""Read from a results file at once."""


def result_lines(
    file: Path, columns: tuple[str, ...]
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
                found = [column[at : at + RESULT_ROWS] for column in table]
                numbers = np.arange(at, at + len(found[0])) + 1
                waiting = np.concatenate([waiting, np.column_stack([numbers, *found])])
                waiting = waiting[np.argsort(waiting[:, 1], kind="stable")]
                ready = int(np.searchsorted(waiting[:, 1], until_s))
                for row in waiting[:ready].tolist():
                    yield int(row[0]), (row[1], int(row[2]), int(row[3]))
                waiting = waiting[ready:]
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        wanted = f"a results file of dcsim with its requests ({error})"
        yield TraceError(file, 0, "", "", wanted, whole=True)


VLLM = ("start", "input_tokens", "output_tokens")
RESULTS = ("arrival_s", "prompt_tokens", "output_tokens")

FORMATS = {
    "azure-2023": Format(Azure.columns, csv_lines, lambda options: Azure(zoned=False)),
    "azure-2024": Format(Azure.columns, csv_lines, lambda options: Azure(zoned=True)),
    "burstgpt": Format(BurstGpt.columns, csv_lines, BurstGpt),
    "mooncake": Format(Mooncake.columns, json_lines, lambda options: Mooncake()),
    "vllm": Format(VLLM, csv_lines, lambda options: Plain(VLLM)),
    "dcsim": Format(RESULTS, result_lines, lambda options: Plain(RESULTS)),
    "lengths": Format(Lengths.columns, csv_lines, lambda options: Lengths()),
}
"""By the name in a scenario."""
