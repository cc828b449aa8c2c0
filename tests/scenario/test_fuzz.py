"""Whatever a file says, the answer is a scenario or its problems, never another exception."""

from __future__ import annotations

import contextlib
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcsim.errors import ScenarioError
from dcsim.scenario import Scenario, dump, loads
from tests.scenario.sample import GOOD

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.sampled_from(
        ["", "site", "rack", "600 kW", "-1 s", "${NO_SUCH}", "poisson", "replay", "~"]
    )
    | st.text(max_size=8)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=6), SCALARS)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all parts below the top."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    found: list[tuple[Any, ...]] = []
    for key, value in pairs:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


PLACES = places(yaml.safe_load(GOOD))


def outcome(text: str) -> Scenario | None:
    with contextlib.suppress(ScenarioError):
        return loads(text)
    return None


@settings(max_examples=150, deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
@example(changes=[(("facility", 2, "count"), float("nan"))])
@example(changes=[(("facility", 2, "count"), 10**400)])
@example(changes=[(("servers", 0, "tensor_parallel"), float("inf"))])
@example(changes=[(("servers", 0, "tensor_parallel"), 1.0)])
@example(changes=[(("servers", 0, "tensor_parallel"), "1")])
@example(changes=[(("servers", 0, "tensor_parallel"), "9" * 400)])
@example(changes=[(("servers", 0, "tensor_parallel"), True)])
def test_changed_values(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    data = yaml.safe_load(GOOD)
    for path, value in changes:
        here = data
        with contextlib.suppress(KeyError, TypeError, IndexError):
            for step in path[:-1]:
                here = here[step]
            here[path[-1]] = value
    scenario = outcome(yaml.safe_dump(data))
    if scenario is not None:
        assert loads(dump(scenario)) == scenario


@settings(max_examples=150, deadline=None)
@given(
    start=st.integers(0, len(GOOD)),
    length=st.integers(0, 40),
    put=st.text(st.sampled_from("abc:-{}[]&*!|>'\"#%@`\n\t \x00\ufeff"), max_size=6),
)
def test_damaged_text(start: int, length: int, put: str) -> None:
    outcome(GOOD[:start] + put + GOOD[start + length :])
