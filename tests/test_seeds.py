"""The seed tree: its derivation as written down, and what depends on what."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dcsim import seeds
from dcsim.seeds import branch, child, generator

PACKAGE = Path(__file__).parents[1] / "dcsim"


def test_a_branch_is_derived_as_documented() -> None:
    """`printf workload | sha256sum` gives 7f6c7360bf24fccf4b59cf9e9a9dfc99..."""
    sequence = branch(7, "workload")
    assert sequence.entropy == 7
    assert sequence.spawn_key == (0x60736C7F, 0xCFFC24BF, 0x9ECF594B, 0x99FC9D9A)
    # printf power/a100 | sha256sum: 36e85b39ec839bec...
    assert branch(7, "power", "a100").spawn_key[:2] == (0x395BE836, 0xEC9B83EC)


def test_a_child_adds_names_as_bytes_and_numbers_as_they_are() -> None:
    parent = np.random.SeedSequence(3, spawn_key=(9,))
    assert child(parent, "né", 256).spawn_key == (9, 0x6E, 0xC3, 0xA9, 256)
    assert child(parent).spawn_key == (9,)
    assert child(parent, 1, "ab").entropy == 3


def test_branches_are_independent_by_name() -> None:
    def first(seed: int, *names: str) -> int:
        return int(branch(seed, *names).generate_state(1)[0])

    assert first(7, "workload") == first(7, "workload")
    assert len({first(7, "workload"), first(7, "power"), first(7, "workload", "chat")}) == 3
    assert first(8, "workload") != first(7, "workload")


def test_a_stream_opened_twice_draws_the_same() -> None:
    parent = branch(1, "facility")
    once = generator(parent, seeds.TRIP_BAND, "rack-1").random(4)
    assert np.array_equal(generator(parent, seeds.TRIP_BAND, "rack-1").random(4), once)
    assert not np.array_equal(generator(parent, "rack-1").random(4), once)


def test_seeds_are_derived_in_one_module() -> None:
    places = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if re.search(r"spawn_key|\.spawn\(", file.read_text(encoding="utf-8"))
    ]
    assert places == ["seeds.py"]
