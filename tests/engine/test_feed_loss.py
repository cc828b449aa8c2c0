"""The shipped story of a cascade, played once: docs/facility.md must tell it truly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dcsim.engine import simulate
from dcsim.facility.curves import time_constant_s, trip_time_s
from dcsim.facility.losses import LossLine
from dcsim.hardware import load_catalogue
from dcsim.results import Results
from dcsim.scenario import load

PROJECT = Path(__file__).parents[2]
STORY = (PROJECT / "docs/facility.md").read_text(encoding="utf-8").split("## A story")[1]
UPS = "utility/transformer/ups-"


@pytest.fixture(scope="module")
def run() -> Iterator[Results]:
    with simulate(load(PROJECT / "scenarios/feed-loss.yaml")) as results:
        yield results


def service() -> list[tuple[float, float, list[str]]]:
    """The rows of the story's last table: from and to minute, and its cells."""
    rows = re.findall(r"^\| (\d+) to (\d+) \| (.+) \|$", STORY, flags=re.MULTILINE)
    assert len(rows) >= 3
    return [(float(start), float(end), cells.split(" | ")) for start, end, cells in rows]


def first(run: Results, kind: str, node: str) -> float:
    events = run.events()
    found = events[(events["kind"] == kind) & (events["node"] == UPS + node)]
    return float(found["time_s"].iloc[0])


def test_the_table_is_the_events(run: Results) -> None:
    told = re.findall(r"^\| ([\d.]+) s \| `([\w-]+)` \| `([\w-]+)` \|", STORY, flags=re.MULTILINE)
    events = run.events()
    shown = events[~events["kind"].isin(["warning", "cleared"])]
    played = list(zip(shown["time_s"], shown["kind"], shown["node"], strict=True))
    assert [(kind, node) for _, kind, node in told] == [
        (kind, node.rsplit("/")[-1]) for _, kind, node in played
    ]
    for (time_s, _, _), (played_s, _, _) in zip(told, played, strict=True):
        assert float(time_s) == pytest.approx(played_s, rel=0.02)


def test_three_feeds_are_lost_one_after_the_other(run: Results) -> None:
    lost = [first(run, "fault", "a"), first(run, "trip", "b"), first(run, "trip", "c")]
    assert lost == sorted(lost)
    assert lost[0] == 300.0


@pytest.mark.parametrize("ups", ["b", "c"])
def test_a_survivor_trips_at_the_curves_time(run: Results, ups: str) -> None:
    """By itself, over the recorded load: the warmth of the first five minutes, and then the RMS
    from every step on, each against the hot curve. A UPS is rated at its output, recorded is what
    it draws: the loss is taken off by reading its curve backwards."""
    rating_w = 46e3 if ups == "b" else 50e3
    out_w = np.linspace(0.0, 2.0 * rating_w, 20_001)
    line = LossLine(load_catalogue().losses["ups-double-conversion"])
    in_w = out_w + line.loss_w(out_w, np.full(len(out_w), rating_w))
    drawn = run.load_w("ups")[UPS + ups]
    series = pd.Series(np.interp(drawn, in_w, out_w), index=drawn.index)
    curve = load_catalogue().curves["dynamo-rpp"]
    heat = (series.to_numpy() / rating_w) ** 2
    lost = int(np.searchsorted(series.index.to_numpy(), 300.0, side="right"))
    warmth = [heat[:lost].mean()]
    gain = 1.0 - np.exp(-0.25 / time_constant_s(curve))
    pickup = curve.points[0][0] ** 2
    for now in range(lost, len(heat)):
        # The spells that end now, the latest first: their lengths, RMS, and warmth before.
        length_s = 0.25 * np.arange(1, now - lost + 2)
        mean = np.cumsum(heat[lost : now + 1][::-1]) * 0.25 / length_s
        before = np.array(warmth[::-1])
        over = mean > pickup
        mean, before, length_s = mean[over], before[over], length_s[over]
        cooler = np.log(mean / (mean - before)) / np.log(mean / (mean - pickup))
        held_s = trip_time_s(curve, np.sqrt(mean)) * (1.0 - cooler)
        if (length_s >= held_s).any():
            break
        warmth.append(warmth[-1] + gain * (min(heat[now], pickup) - warmth[-1]))
    assert first(run, "trip", ups) == pytest.approx(series.index[now], abs=1.0)


def test_the_survivors_carry_what_was_lost(run: Results) -> None:
    load_w = run.load_w("ups").loc[290:320]
    before, after = load_w.loc[290:300].mean(), load_w.loc[300.25:320].mean()
    assert after[UPS + "a"] == 0.0
    for ups in "bc":
        assert after[UPS + ups] == pytest.approx(1.5 * before[UPS + ups], rel=0.04)


def test_who_lost_power_and_when_it_came_back(run: Results) -> None:
    rows = run.load_w("row")
    rows.columns = [name.rsplit("/")[-1] for name in rows.columns]
    b, c = first(run, "trip", "b"), first(run, "trip", "c")
    assert (rows["row-1"].loc[b + 0.25 : 1680] == 0).all()
    assert (rows["row-1"].loc[:b] > 0).all()
    assert (rows[["row-2", "row-3"]].loc[c + 0.25 : 1680] == 0).all().all()
    assert (rows[["row-2", "row-3"]].loc[:c] > 0).all().all()
    assert (rows["row-4"] > 0).all()
    # Four servers every half minute; all are back after nine groups.
    assert (rows.loc[1680.25 + 8 * 30 :] > 0).all().all()
    assert rows["row-3"].loc[1680 + 6 * 30 - 5] == 0


def test_which_requests_failed(run: Results) -> None:
    requests = run.requests()
    status = requests["status"].astype(str)
    failed = requests[status == "failed"] if (status == "failed").any() else requests[status == "2"]
    assert len(failed) == run.summary["requests"]["failed"] > 100
    b, c = first(run, "trip", "b"), first(run, "trip", "c")
    assert set(failed["end_s"]) == {b, c}
    for start, end, told in service():
        asked = requests[requests["arrival_s"].between(60 * start, 60 * end)]
        counts = asked["status"].value_counts()
        for count, kind in zip(told[:3], (None, "failed", "rejected"), strict=True):
            played = len(asked) if kind is None else counts[kind]
            assert float(count.replace(",", "")) == pytest.approx(played, rel=0.1), (start, kind)


def test_what_latency_did(run: Results) -> None:
    requests = run.requests()

    def medians(since_s: float, until_s: float) -> pd.Series:
        arrived = requests["arrival_s"].between(since_s, until_s)
        return requests.loc[arrived, ["ttft_s", "tpot_s"]].median()

    before, alone, after = medians(0, 450), medians(900, 1680), medians(2100, 2700)
    assert alone["ttft_s"] > 20 * before["ttft_s"]
    assert alone["tpot_s"] > 4 * before["tpot_s"]
    assert after["ttft_s"] < 1.5 * before["ttft_s"]
    for start, end, told in service():
        played = medians(60 * start, 60 * end)
        assert float(told[3].split()[0]) == pytest.approx(played["ttft_s"], rel=0.15)
        assert float(told[4].split()[0]) == pytest.approx(1e3 * played["tpot_s"], rel=0.1)


def test_energies_close(run: Results) -> None:
    site = run.summary["site"]
    top = run.summary["nodes"][0]
    assert site["grid_wh"] == pytest.approx(top["energy_wh"], rel=1e-9)
    assert site["it_wh"] == pytest.approx(
        sum(n["energy_wh"] for n in run.summary["nodes"] if n["kind"] == "server"), rel=1e-9
    )
    parts = site["it_wh"] + site["losses_wh"] + site["cooling_wh"]
    assert parts == pytest.approx(site["grid_wh"], rel=1e-12)
