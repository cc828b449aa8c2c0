"""Row budgets: what is shared out, and when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcsim.control.budget import share_out
from dcsim.control.policy import CapServers
from dcsim.control.registry import build
from dcsim.errors import PolicyError
from dcsim.scenario import models
from tests.control.rows import SITE, ask, loads

servers = st.lists(
    st.tuples(st.floats(0.0, 5000.0), st.floats(100.0, 2000.0), st.floats(1.0, 3000.0)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(servers, st.floats(0.0, 1.5), st.booleans())
def test_caps_take_what_they_must_and_never_cut_into_rest(
    rows: list[tuple[float, float, float]], part: float, in_watts: bool
) -> None:
    """Invariant 23: what is cut off is what was to be saved, or all above rest where that is
    less."""
    above_w, rest_w, span_w = np.array(rows).T
    drawn_w = rest_w + above_w
    base_w, span_w = (np.zeros(len(rest_w)), np.ones(len(rest_w))) if in_watts else (rest_w, span_w)
    less_w = part * float(above_w.sum())
    cap_w = share_out(drawn_w, rest_w, base_w, span_w, less_w)
    assert np.all(cap_w >= rest_w)
    cut_w = float((drawn_w - np.minimum(drawn_w, cap_w)).sum())
    assert cut_w == pytest.approx(min(less_w, float(above_w.sum())), abs=1e-3)
    level = (cap_w - base_w) / span_w
    assert np.allclose(level[cap_w > rest_w], level[cap_w > rest_w].min(initial=np.inf))


def policy(**keys: object) -> models.RowBudgetSpec:
    return models.RowBudgetSpec.model_validate({"policy": "row-budget", "nodes": "row-1"} | keys)


def caps(
    spec: models.RowBudgetSpec, *looks: tuple[float, float, float]
) -> list[list[float] | None]:
    """Caps of row 1's servers asked for at each look (time, and what the two draw); None where
    nothing was said."""
    asked = build(spec)
    asked.start(SITE)
    found: list[list[float] | None] = []
    for now_s, first_w, second_w in looks:
        commands = ask(asked, loads(first_w, second_w, 0, 0), now_s)
        found.append(None)
        for command in commands:
            assert isinstance(command, CapServers)
            assert command.servers.tolist() == [0, 1]
            found[-1] = np.asarray(command.cap_w).tolist()
    return found


def test_the_highest_gives_first_and_nobody_rises_past_it() -> None:
    """100 W to share, 120 drawn: down to 95 by the one that draws 90."""
    (got,) = caps(policy(), (0.0, 90.0, 30.0))
    assert got == pytest.approx([65.0, 65.0])


def test_proportional_holds_each_group_to_its_own_busiest() -> None:
    """Rest 10 W: 80 and 20 W above it give a quarter each."""
    (got,) = caps(policy(sharing="proportional"), (0.0, 90.0, 30.0))
    assert got == pytest.approx([70.0, 25.0])


def test_three_bands_and_patience() -> None:
    """Nothing is said while the last caps are not seen yet, nor between the bands; below the
    lowest all are free."""
    inf = float("inf")
    got = caps(
        policy(delay="1 s"),  # and 2 s until caps hold
        (0.0, 50.0, 48.0),
        (1.0, 60.0, 50.0),
        (2.0, 60.0, 60.0),
        (4.0, 46.0, 46.0),
        (7.0, 44.0, 44.0),
        (10.0, 44.0, 44.0),
    )
    assert [got[i] for i in (0, 2, 3, 5)] == [None] * 4
    assert got[1] == pytest.approx([47.5, 47.5])
    assert got[4] == [inf, inf]


def test_a_budget_below_rest_is_refused() -> None:
    with pytest.raises(PolicyError, match="at rest") as refused:
        build(policy(budget="15 W")).start(SITE)
    assert refused.value.key == "budget"
