"""Failover against what is known: constant power on two feeds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.errors import StudyError
from dcsim.facility.curves import trip_time_s
from dcsim.hardware.catalogue import load_catalogue
from dcsim.scenario.load import loads
from dcsim.studies import Runner, failover
from tests.studies.small import TEXT, small

SERVER_W = 8 * 400 + 1000
"""At board limits, whatever the traffic."""
TWO_FEEDS = (
    TEXT[: TEXT.index("facility:")].replace("model: ledger", "model: board-limit")
    + """facility:
  - {name: site, kind: site}
  - {name: ups-a, kind: ups, parent: site, rating: RATING, breaker: {curve: dynamo-rpp}}
  - {name: ups-b, kind: ups, parent: site, rating: RATING, breaker: {curve: dynamo-rpp}}
  - {name: rack, kind: rack, feeds: [ups-a, ups-b], count: 2}
  - {name: server, kind: server, parent: rack, count: 2, group: a100}
"""
)


def runner() -> Runner:
    return Runner(workers=1)


def test_the_other_feed_carries_all_to_the_watt() -> None:
    total_w = 4 * SERVER_W
    holds = loads(TWO_FEEDS.replace("RATING", f"{total_w + 1} W"))
    answer = failover(holds, window_s=10.0, runner=runner())
    assert answer.frame["survived"].tolist() == [1.0, 1.0]
    assert answer.frame["worst_load_w"].tolist() == pytest.approx([total_w] * 2)
    short = loads(TWO_FEEDS.replace("RATING", f"{total_w / 1.25:.3f} W"))
    answer = failover(short, window_s=10.0, runner=runner())
    assert answer.frame["survived"].tolist() == [0.0, 0.0]
    assert answer.frame["not_survived_s"].tolist() == [60.0, 60.0]
    assert answer.frame["over_w"].tolist() == pytest.approx([0.2 * total_w] * 2, rel=1e-6)
    curve = load_catalogue().curves["dynamo-rpp"]
    # From half the load, 0.625 of the rating, on: the hot curve of IEC 60255-149.
    share = math.log(1.25**2 / (1.25**2 - 0.625**2)) / math.log(1.25**2 / (1.25**2 - 1.05**2))
    held_s = float(trip_time_s(curve, 1.25)) * (1.0 - share)
    assert answer.frame["trips_after_s"].tolist() == pytest.approx([held_s] * 2, rel=1e-4)


def test_played_in_full_the_survivor_trips() -> None:
    """At 2.5 times its rating it opens within the minute: all four servers are dark."""
    total_w = 4 * SERVER_W
    site = loads(TWO_FEEDS.replace("RATING", f"{total_w / 2.5:.3f} W"))
    answer = failover(site, ["ups-a"], window_s=10.0, runner=runner())
    row = answer.frame.iloc[0]
    assert (row["played_trips"], row["played_dark_servers"]) == (1, 4)
    assert row["played_lost_requests"] > 0
    told = failover(site, ["ups-a"], window_s=10.0, redistribute_only=True, runner=runner())
    assert told.frame["played_trips"].isna().all()


def test_a_single_feed_leaves_servers_dark() -> None:
    answer = failover(small(), ["row"], window_s=10.0, redistribute_only=True, runner=runner())
    assert answer.frame.loc[0, "dark_servers"] == 4
    assert answer.frame.loc[0, "survived"] == 0.0
    assert "hang from nothing else" in answer.headline[-1]


def test_what_is_meaningless_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="did you mean 'row'"):
        failover(small(), ["roww"])
    with pytest.raises(StudyError, match="name what may be lost"):
        failover(small())
    with pytest.raises(StudyError, match="nothing is left"):
        failover(small(), ["site"])
    with pytest.raises(StudyError, match="play a longer run"):
        failover(small(), ["row"], window_s=1e6)
    faulty = TWO_FEEDS.replace("RATING", "20 kW") + "faults: [{at: 10 s, fail: ups-a}]\n"
    with pytest.raises(StudyError, match="faults of its own"):
        failover(loads(faulty))
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    done = CliRunner().invoke(app, ["study", "failover", str(file), "--window", "1.5 s"])
    assert done.exit_code == 2
    assert "whole multiple" in done.stderr


def test_other_limits_under_a_loss_by_hand() -> None:
    """Each UPS carries half of 16.8 kW, all of it alone. Of a rating of 20 kW, 90 % may be carried
    continuously, 18 kW: kept. Of 80 %, 16 kW, 105 % are carried. The site's demand limit of 16 kW
    is passed whatever is lost; windows longer than the run, and ramps, are named."""
    total_w = 4 * SERVER_W
    feeds = TWO_FEEDS.replace("RATING", "20 kW, continuous: 80 %")
    assert feeds.count("continuous: 80 %") == 2
    demand = "demand: [{window: 30 s, limit: 16 kW}, {window: 15 min, limit: 16 kW}]"
    ramp = "ramp: {change: 5 kW, window: 10 s}"
    site = loads(feeds.replace("kind: site}", f"kind: site, {demand}, {ramp}}}"))
    answer = failover(site, window_s=10.0, redistribute_only=True, runner=runner())
    assert answer.frame["survived"].tolist() == [1.0, 1.0]
    table = answer.tables["limits"].frame
    of_loss = table[table["lost"] == "ups-a"]
    assert of_loss["node"].tolist() == ["ups-b"]
    assert of_loss["highest_w"].tolist() == pytest.approx([total_w])
    assert of_loss["of_limit"].tolist() == pytest.approx([total_w / 16e3])
    assert of_loss["usual_of_limit"].tolist() == pytest.approx([total_w / 32e3])
    (line,) = [line for line in answer.headline if "lost for good" in line]
    assert line == "ups-a lost for good: ups-b, continuous 16.8 kW of 16 kW (105.0 %)."
    told = " ".join(answer.reasons)
    assert "With all in order already: site, 30 s demand 16.8 kW of 16 kW (105.0 %)." in told
    assert "ups-b lost for good: ups-a, continuous 16.8 kW of 16 kW (105.0 %)." in told
    uncertainties = " ".join(answer.uncertainty)
    assert "site, 15 min demand 16 kW: no whole window in the 1 min measured" in uncertainties
    assert "play at least 15 min" in uncertainties
    assert "Not judged here: 10 s ramp limits of site." in uncertainties
    kept = loads(TWO_FEEDS.replace("RATING", "20 kW, continuous: 90 %"))
    answer = failover(kept, window_s=10.0, redistribute_only=True, runner=runner())
    assert not any("lost for good" in line for line in (*answer.headline, *answer.reasons))
