"""A small scenario that is right, and ways to make it wrong."""

from __future__ import annotations

from pathlib import Path

from dcsim.errors import Problem, ScenarioError
from dcsim.scenario import loads

GOOD = """\
name: sample
duration: 10 min
workload:
  - name: chat
    model: llama-3-70b
    arrivals:
      kind: poisson
      rate: 2 req/s
    tokens: {kind: fixed, prompt: 512, output: 128}
servers:
  - name: a100
    server: dgx-a100-80gb
    model: llama-3-70b
    tensor_parallel: 8
facility:
  - name: site
    kind: site
    rating: 100 kW
  - name: row
    kind: row
    parent: site
  - name: rack
    kind: rack
    parent: row
    count: 2
    rating: 23 kW
  - name: server
    kind: server
    parent: rack
    count: 4
    group: a100
"""


def edited(*changes: tuple[str, str]) -> str:
    """GOOD with each (old, new) replaced once; old must be there."""
    text = GOOD
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def line_of(text: str, part: str) -> int:
    """Number of the first line that has `part`."""
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


def problems(text: str, *overrides: str, folder: Path | str = ".") -> list[Problem]:
    """What `loads` complains of; empty when all is well."""
    try:
        loads(text, overrides, folder=folder)
    except ScenarioError as error:
        return error.problems
    return []


def only(text: str, *overrides: str, folder: Path | str = ".") -> Problem:
    """The one problem of a text; fails when there are none or more."""
    found = problems(text, *overrides, folder=folder)
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]


def of_facility(facility: str) -> str:
    """A minute of one stream on servers of group `g`, in a facility given as lines of YAML."""
    return f"""
name: small
duration: 1 min
workload:
  - {{name: chat, model: llama-3-70b, arrivals: {{kind: poisson, rate: 1 req/s}},
     tokens: {{kind: fixed, prompt: 10, output: 10}}}}
servers: [{{name: g, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8}}]
facility:
{facility}"""
