"""requests.csv: what clients asked, and when they saw the first tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcsim.errors import LogError
from dcsim.lab.learn.readers.logs import ClientRequests, FirstTokens
from dcsim.lab.learn.readers.text import cells_of, filled, number
from dcsim.lab.ledger_series import TimedRequest
from dcsim.request_columns import ROLES, plain, recognised, unit_in
from dcsim.stamps import stamp

COLUMNS = ("start", "input_tokens", "output_tokens")
"""When the client sent (unix time, or with a zone), prompt and output tokens: the names of a run
folder's file. Others are known by `dcsim.request_columns`, as in a scenario's replay."""
MOST_TOKENS = 10_000_000
"""More in one request is taken for damage: no served model has such a context."""
TTFT = "ttft"
"""May be there: seconds from sending to the first token; silent where none came."""


def read(path: Path) -> ClientRequests:
    """Requests in order of time. Those whose output is 0, or silent, failed: they are counted and
    left out. Raises LogError."""
    rows = cells_of(path)
    if not rows:
        raise LogError(f"{path} holds no requests")
    header = rows[0][1]
    known = recognised(header)
    absent = [name for role, name in zip(ROLES, COLUMNS, strict=True) if role not in known]
    if absent:
        raise LogError(
            f"{path} has no column {', '.join(absent)}, nor another name for it; it has "
            + ", ".join(header)
        )
    start, prompts, outputs = (header.index(known[role]) for role in ROLES)
    timed = next((at for at, name in enumerate(header) if plain(name) == TTFT), None)
    ttft_unit_s = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}.get(
        "" if timed is None else unit_in(header[timed]) or "", 1.0
    )
    requests: list[TimedRequest] = []
    first, failed = [], 0
    for line, row in filled(path, rows):
        place = f"{path}:{line}"
        when = stamp(row[start])
        if when is None or when[1] != "unix":
            raise LogError(f"{place}: expected a unix time or one with a zone, not {row[start]!r}")
        output = _amount(row[outputs], place)
        if not output:
            failed += 1
            continue
        prompt = _amount(row[prompts], place)
        if prompt is None or prompt < 1 or output < 1:
            raise LogError(f"{place}: a request has at least one token each")
        if max(prompt, output) > MOST_TOKENS:
            raise LogError(f"{place}: more than {MOST_TOKENS:,} tokens in one request")
        requests.append(TimedRequest(when[0], int(prompt), int(output)))
        ttft_s = None if timed is None else _amount(row[timed], place)
        if ttft_s is None:
            continue
        ttft_s *= ttft_unit_s
        if ttft_s < 0.0:
            raise LogError(f"{place}: ttft is {ttft_s:g} s, below 0")
        first.append((when[0] + ttft_s, when[0], prompt))
    if not requests and not failed:
        raise LogError(f"{path} holds no requests")
    first_s, sent_s, tokens = np.array(sorted(first)).reshape(-1, 3).T
    return ClientRequests(sorted(requests), FirstTokens(sent_s, first_s, tokens), failed)


def _amount(cell: str, place: str) -> float | None:
    """The number in a cell; None where it is silent. Raises LogError."""
    value = number(cell)
    if value is None or np.isinf(value):
        raise LogError(f"{place}: expected a number, not {cell!r}")
    return None if np.isnan(value) else value
