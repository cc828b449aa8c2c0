"""How long a run takes to fill, and that figures leave it out."""

from __future__ import annotations

import pytest

from dcsim.engine import simulate
from dcsim.plant import Plant
from dcsim.results.fill_time import warm_up_of
from dcsim.scenario.load import change
from dcsim.scenario.models import Scenario
from tests.engine.sites import site


def answers(output: int, **changes: object) -> Scenario:
    """A site whose requests all have so many tokens of output."""
    tokens = {"kind": "fixed", "prompt": 100, "output": output}
    duration = changes.pop("duration", "1 min")
    return change(site(duration=duration), {"workload.chat.tokens": tokens, **changes})


def talk(**changes: object) -> Scenario:
    """Ten turns a minute apart: the last comes after nine minutes."""
    sessions = {
        "turns": {"kind": "fixed", "count": 10},
        "think_time": {"kind": "fixed", "time": "60 s"},
    }
    return answers(10, duration="10 h", **{"workload.chat.sessions": sessions}, **changes)


@pytest.mark.parametrize(
    ("duration", "given", "cut_s", "rule"),
    [
        ("10 min", None, 30.0, "auto: 30 s"),
        ("1 min", None, 12.0, "auto: 30 s, held to 20 % of the run"),
        ("2 s", None, 0.25, "auto: 30 s, held to 20 % of the run"),
        ("10 min", "0 s", 0.0, "as given"),
        ("10 min", "45.1 s", 46.0, "as given"),
        ("1 min", "2 min", 30.0, "as given, held to 50 % of the run"),
    ],
)
def test_the_rule(duration: str, given: str | None, cut_s: float, rule: str) -> None:
    changes = {} if given is None else {"warm_up": given}
    found = warm_up_of(Plant.build(answers(10, duration=duration, **changes)))
    assert (found.cut_s, found.rule) == (cut_s, rule)


def test_long_answers_take_longer_to_fill() -> None:
    """Requests that all stay S seconds: t/S of the steady number are there at t < S, so that 99 %
    are at 0.99 S. Twice the answer, twice the time, and somewhat more as its context grows."""
    plants = [Plant.build(answers(n, duration="10 h")) for n in (4000, 8000)]
    short, long = (warm_up_of(plant).cut_s for plant in plants)
    assert short > 60.0
    assert 2.0 <= long / short <= 2.2
    half = warm_up_of(Plant.build(answers(8000, duration="10 h", warm_up=f"{long / 2:.0f} s")))
    assert half.filled == pytest.approx(0.5, abs=0.02)


def test_conversations_fill_as_their_turns_come() -> None:
    assert warm_up_of(Plant.build(talk())).cut_s == pytest.approx(540.0, abs=5.0)
    assert warm_up_of(Plant.build(talk(warm_up="270 s"))).filled == pytest.approx(0.5, abs=0.02)


def test_live_peaks_and_the_file_agree() -> None:
    """Margin and time over the rating are watched live, peaks booked by the recorder."""
    with simulate(answers(200, duration="1 min")) as results:
        summary = results.summary
        assert summary["warm_up"]["cut_s"] == 12.0
        for node in summary["nodes"]:
            if node["kind"] == "server":
                continue
            series_w = results.load_w(node["kind"], nodes=[node["name"]], measured=True)
            assert node["peak_w"] == pytest.approx(float(series_w.max().iloc[0]), rel=1e-6)
            if node["limit_w"] is not None:
                assert node["min_margin_w"] == pytest.approx(node["limit_w"] - node["peak_w"])


def test_the_gru_rests_from_the_first_step() -> None:
    """A site without requests draws at its first steps what it draws ever after."""
    idle = site(rate=0.000001, power="{model: gru}", duration="30 s")
    with simulate(idle) as results:
        site_w = results.load_w("site").to_numpy()[:, 0]
    later_w = site_w[40:]
    assert site_w[:8].mean() == pytest.approx(later_w.mean(), rel=0.01)
    assert site_w[:4].max() <= 1.02 * later_w.max()
