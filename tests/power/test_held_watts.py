"""What a server's cap leaves each replica, and what time lost watts are worth: by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dcsim.power.frequency import FREQUENCY_EXPONENT
from dcsim.power.held_watts import divided, lost_share


def test_a_servers_cap_is_divided_by_what_is_wanted_above_rest() -> None:
    """Server 0 may draw 700 W and wants 300 + 600: rest is 200, so 500 W go 200 to 500. Server 1
    has room. Server 2 may draw less than rest: the rest is squeezed."""
    wanted_w = np.array([300.0, 600.0, 400.0, 150.0, 150.0])
    server = np.array([0, 0, 1, 2, 2])
    part_w = divided(wanted_w, np.full(5, 100.0), server, np.array([700.0, 500.0, 150.0]))
    assert part_w[:2] == pytest.approx([100 + 500 * 200 / 700, 100 + 500 * 500 / 700])
    assert part_w[2] == np.inf
    assert part_w[3:] == pytest.approx([75.0, 75.0])


def test_time_lost_is_that_of_the_lower_clock() -> None:
    """Watts above rest twice what was expected: the clock would have been 2**(-1/exponent)."""
    assert lost_share(np.array([1.0, 2.0])) == pytest.approx(
        [0, 1 - 0.5 ** (1 / FREQUENCY_EXPONENT)]
    )
