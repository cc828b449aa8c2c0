"""Columns of request logs by what they mean: the names that tools and people give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

Role = Literal["time", "prompt", "output", "model"]
ROLES: tuple[Role, ...] = ("time", "prompt", "output")
"""What a request log must tell."""
KNOWN: dict[Role, tuple[str, ...]] = {
    "time": (
        *("start", "start_time", "request_start_time", "arrival_time", "arrived_at", "arrival"),
        *("arrival_timestamp", "request_time", "request_timestamp", "sent_at", "timestamp"),
        *("time", "datetime", "created_at", "created", "epoch", "ts", "t"),
    ),
    "prompt": (
        *("prompt_tokens", "input_tokens", "num_prompt_tokens", "num_prefill_tokens"),
        *("prefill_tokens", "context_tokens", "contexttokens", "request_tokens", "tokens_in"),
        *("input_length", "input_len", "prompt_length", "prompt_len", "isl", "prompt", "input"),
        "input_sequence_length",
    ),
    "output": (
        *("output_tokens", "completion_tokens", "num_output_tokens", "num_decode_tokens"),
        *("decode_tokens", "generated_tokens", "generatedtokens", "generation_tokens"),
        *("response_tokens", "tokens_out", "output_length", "output_len", "completion_length"),
        *("osl", "output", "completion", "output_sequence_length"),
    ),
    "model": ("model", "model_name", "model_id"),
}
"""Best first; compared without case, and without a unit of time at the end."""
_UNIT = re.compile(r"[ _([]+(s|sec|seconds|ms|us|ns)[])]?$", re.IGNORECASE)


def plain(name: str) -> str:
    """A column's name as it is compared: `Start Time (ms)` is `start_time`."""
    return re.sub(r"[^a-z0-9]+", "_", _UNIT.sub("", name.strip()).lower()).strip("_")


def unit_in(name: str) -> Literal["s", "ms", "us", "ns"] | None:
    """The unit of time that a column's name ends with; None where it says none."""
    match = _UNIT.search(name.strip())
    unit = match[1].lower() if match else ""
    known: dict[str, Literal["ms", "us", "ns"]] = {"ms": "ms", "us": "us", "ns": "ns"}
    return known.get(unit, "s") if unit else None


def recognised(header: Iterable[str], given: Mapping[Role, str] | None = None) -> dict[Role, str]:
    """The column of each role that a header has: those `given`, else by the known names."""
    names = list(header)
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain(name), name)
    columns: dict[Role, str] = dict(given or {})
    for role, known in KNOWN.items():
        if role not in columns:
            named = next((by_plain[name] for name in known if name in by_plain), None)
            if named is not None:
                columns[role] = named
    return columns


def as_columns(columns: Mapping[Role, str], roles: Iterable[Role] = ROLES) -> str:
    """As a scenario writes them: `{time: a, prompt: b, output: c}`."""
    return "{" + ", ".join(f"{role}: {columns[role]}" for role in roles if role in columns) + "}"
