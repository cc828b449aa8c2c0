"""engine.csv: what the engine counted, and what the client saw where it did not count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.lab.measure.answers import ParsedAnswer
from dcsim.lab.measure.engine import BLOCK_TOKENS, COLUMNS, COUNTERS

WHOLE = ("running", "waiting", *COUNTERS)


def engine_table(
    at_s: FloatArray,
    counted: dict[str, FloatArray],
    seen: dict[str, FloatArray],
    null_block: float,
) -> dict[str, FloatArray]:
    """Columns of engine.csv at the monotonic instants `at_s`, all of shape (samples,).

    Counters start at 0, whatever the engine had done before; KV use is `counted` plus `null_block`
    (see `engine.null_block`). Columns that the engine does not count are taken from `seen`;
    `iterations` is left out where nobody counts them.
    """
    table: dict[str, FloatArray] = {}
    for column in COLUMNS:
        if column in counted:
            values = counted[column]
            table[column] = values - values[0] if column in COUNTERS and len(values) else values
            if column == "kv":
                table[column] = values + null_block
        elif column in seen:
            table[column] = seen[column]
    return table


def seen_by_client(
    at_s: FloatArray, answers: Sequence[ParsedAnswer], kv_tokens: int | None
) -> dict[str, FloatArray]:
    """The same columns from the streams alone: a request waits until its first token, then runs
    until its end and holds its prompt and what it has been given. `kv` only where the cache's size
    is known. A token is in the count when its text is here, which is late by the way to the client.
    """
    sent = np.sort([a.sent_s for a in answers])
    first = np.array([a.first_s for a in answers])
    end = np.array([a.end_s for a in answers])
    prompt = np.array([float(a.prompt_tokens) for a in answers])
    begun = np.array([len(a.text_s) > 0 for a in answers], dtype=bool)
    pieces = np.concatenate([np.empty(0), *(a.text_s for a in answers)])
    worth = np.concatenate(
        [np.empty(0), *(np.full(n, a.output_tokens / n) for a in answers if (n := len(a.text_s)))]
    )
    given = np.array([float(a.output_tokens if len(a.text_s) else 0) for a in answers])
    arrived = np.searchsorted(sent, at_s, side="right").astype(float)
    started = _risen(at_s, first[begun], np.ones(int(begun.sum())))
    gone = _risen(at_s, end, np.ones(len(end)))
    never = _risen(at_s, end[~begun], np.ones(int((~begun).sum())))
    generated = _risen(at_s, pieces, worth)
    prompts = _risen(at_s, first[begun], prompt[begun])
    table = {
        "running": np.maximum(started - (gone - never), 0.0),
        "waiting": np.maximum(arrived - started - never, 0.0),
        "prompt_total": prompts,
        "generation_total": generated,
    }
    if kv_tokens is not None:
        left = _risen(at_s, end[begun], (prompt + given)[begun])
        held = np.maximum(prompts + generated - left, 0.0) + BLOCK_TOKENS
        table["kv"] = np.minimum(held / kv_tokens, 1.0)
    return table


def _risen(at_s: FloatArray, when_s: FloatArray, by: FloatArray) -> FloatArray:
    """How much had been added by each instant."""
    order = np.argsort(when_s, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(by[order])])
    return sums[np.searchsorted(when_s[order], at_s, side="right")]


def engine_lines(epoch_s: FloatArray, table: dict[str, FloatArray]) -> list[str]:
    """The file's lines, header first."""
    cells = [[f"{value:.6f}" for value in epoch_s.tolist()]]
    for name, values in table.items():
        digits = ".0f" if name in WHOLE else ".8g"
        cells.append([format(value, digits) for value in values.tolist()])
    return [",".join(["epoch", *table]), *map(",".join, zip(*cells, strict=True))]
