"""Bounds on rare events, by repetition with laws whose tail is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dcsim.arrays import FloatArray
from dcsim.studies.tail import FARTHEST, chance_above, gumbel_fit, tail_index

REPEATED = 500


def bounds(law: object, blocks: int, chance: float) -> list[float]:
    limit = float(law.isf(chance))  # type: ignore[attr-defined]
    rng = np.random.default_rng(5)
    return [
        chance_above(law.rvs(blocks, random_state=rng), limit).at_most  # type: ignore[attr-defined]
        for _ in range(REPEATED)
    ]


@pytest.mark.parametrize("blocks", [11, 30, 100])
@pytest.mark.parametrize("chance", [1e-2, 1e-5])
@pytest.mark.parametrize(
    "law",
    [stats.gumbel_r(100.0, 3.0), stats.genextreme(0.2, 100.0, 3.0)],
    ids=["Gumbel", "bounded"],
)
def test_the_bound_holds_as_often_as_it_says(law: object, chance: float, blocks: int) -> None:
    held = np.mean([bound >= chance for bound in bounds(law, blocks, chance)])
    assert held >= 0.95 - 2.5 * math.sqrt(0.05 * 0.95 / REPEATED)


def test_maxima_of_many_normal_loads_are_covered() -> None:
    """What a run's highest quarter hour is like: the limit law is not quite reached, from below."""
    rng = np.random.default_rng(9)
    maxima = rng.normal(500.0, 5.0, (REPEATED, 30, 60)).max(axis=2)
    limit = float(stats.norm(500.0, 5.0).isf(1e-4 / 60.0))
    held = np.mean([chance_above(row, limit).at_most >= 1e-4 for row in maxima])
    assert held >= 0.95


def test_far_limits_can_be_shown_and_near_ones_not() -> None:
    """Thirty maxima that tremble by 1 %: 20 % above is out of reach for ten years, 3 % is not."""
    rng = np.random.default_rng(2)
    maxima = 480.0 + 4.8 * rng.gumbel(size=30)
    ten_years = 0.1 / 4000.0
    assert chance_above(maxima, 600.0).at_most < ten_years
    assert chance_above(maxima, 500.0).at_most > ten_years


def test_more_blocks_bound_better() -> None:
    law = stats.gumbel_r()
    few, many = (np.median(bounds(law, blocks, 1e-5)) for blocks in (11, 100))
    assert 1e-5 < many < few


@pytest.mark.parametrize("index", [0.5, 1.0])
def test_heavy_tails_are_refused(index: float) -> None:
    rng = np.random.default_rng(1)
    law = stats.genextreme(-index)
    refused = [chance_above(law.rvs(60, random_state=rng), 1e4).refusal for _ in range(100)]
    assert sum("too heavy" in told for told in refused) >= 85


def student_maxima(blocks: int, chance: float) -> tuple[FloatArray, float]:
    """Maxima of sixty of Student's law with three degrees of freedom, and their limit."""
    law = stats.t(3)
    uniform = np.random.default_rng(7).random((REPEATED, blocks))
    return law.ppf(uniform ** (1 / 60)), float(law.isf(1.0 - (1.0 - chance) ** (1 / 60)))


@pytest.mark.parametrize("blocks", [20, 60])
@pytest.mark.parametrize("chance", [1e-2, 1e-5])
def test_a_heavy_tail_is_refused_or_covered(blocks: int, chance: float) -> None:
    maxima, limit = student_maxima(blocks, chance)
    found = [chance_above(row, limit) for row in maxima]
    held = np.mean([bool(one.refusal) or one.at_most >= chance for one in found])
    assert held >= 0.95 - 2.5 * math.sqrt(0.05 * 0.95 / REPEATED)


@pytest.mark.parametrize("often", [0.1, 0.3, 0.6])
def test_loads_piled_up_below_a_cap_are_refused_or_covered(often: float) -> None:
    """All but a share of the blocks lie within a hair of a cap, the others exponentially above it;
    some samples show nothing of those."""
    rng = np.random.default_rng(8)
    held = []
    for chance in (1e-3, 1e-5):
        limit = 450.0 + math.log(often / chance)
        for _ in range(REPEATED // 2):
            above = np.where(rng.random(20) < often, rng.exponential(size=20), 0.0)
            found = chance_above(
                450.0 + rng.normal(0.0, 0.02, 20) + above, limit, farthest=FARTHEST
            )
            held.append(bool(found.refusal) or found.at_most >= chance)
    assert np.mean(held) >= 0.95 - 2.5 * math.sqrt(0.05 * 0.95 / REPEATED)


def test_sixty_light_blocks_are_enough() -> None:
    """Of Gumbel's law most samples of sixty are not refused; of twenty half are."""
    rng = np.random.default_rng(6)
    refused = [
        np.mean([bool(chance_above(rng.gumbel(size=n), 20.0).refusal) for _ in range(200)])
        for n in (20, 60)
    ]
    assert refused[1] < 0.25 < refused[0]


def test_what_data_cannot_say_is_not_said() -> None:
    few = chance_above(np.arange(9.0), 100.0)
    assert (few.at_most, few.refusal[:8]) == (1.0, "9 blocks")
    over = chance_above([1.0] * 20 + [3.0], 2.0)
    assert over.at_most == 1.0
    assert over.chance == pytest.approx(1 / 21)
    assert chance_above(np.full(5, 7.0), 7.5).at_most == 0.0


def test_the_fit_by_the_published_moments() -> None:
    """Location, scale and index come back from the law's own quantiles."""
    grid = (np.arange(20_000) + 0.5) / 20_000
    location, scale = gumbel_fit(stats.gumbel_r(10.0, 2.0).ppf(grid))
    assert (location, scale) == (pytest.approx(10.0, abs=0.01), pytest.approx(2.0, rel=0.01))
    for index in (-0.2, 0.0, 0.2):
        found = tail_index(stats.genextreme(-index).ppf(grid))
        assert found == pytest.approx(index, abs=0.01)
