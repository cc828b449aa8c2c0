"""The picture of the README: a UPS is lost, minute by minute. `python -m benchmarks.overview`.

It plays `scenarios/feed-loss.yaml` and draws watts, breakers and requests on one axis of time.
Needs matplotlib (`pip install '.[plots]'`); some twenty seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

import dcsim

PROJECT = Path(__file__).parents[1]
OUT = PROJECT / "docs/img/overview.png"
INK, GREY, PALE, OVER = "#1f2933", "#7b8794", "#d9dee4", "#c8323c"
UPS = {"ups-a": "#0e7c86", "ups-b": "#d97706", "ups-c": "#6d4bb3"}
CALM = "#4f9d9d"
EVERY_S = 10.0


def series(results: Any, name: str) -> tuple[pd.Series, float]:
    """A node's load in kW, the mean of each second, and its rating in kW."""
    nodes = results.nodes()
    path = next(path for path in nodes.index if path.rsplit("/", 1)[-1] == name)
    kind = nodes.loc[path, "kind"]
    return results.load_w(kind, resample=1.0)[path] / 1e3, float(nodes.loc[path, "rating_w"]) / 1e3


def rates(requests: pd.DataFrame, status: str, edges_s: np.ndarray) -> np.ndarray:
    """How many requests ended so, a second, between the edges."""
    ends_s = requests.loc[requests.status == status, "end_s"]
    return np.histogram(ends_s, edges_s)[0] / EVERY_S


def draw(results: Any, path: Path) -> None:
    """Three panels, one under the other: the ring of UPS, the requests, the wait."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    requests, events = results.requests(), results.events()
    length_s = results.load_w("site", resample=1.0).index[-1]
    edges_s = np.arange(0, length_s + EVERY_S, EVERY_S)
    middle_min = (edges_s[:-1] + edges_s[1:]) / 120
    plt.rcParams.update({
        "font.size": 11, "axes.edgecolor": GREY, "text.color": INK, "axes.labelcolor": INK,
        "xtick.color": GREY, "ytick.color": GREY, "axes.spines.top": False,
        "axes.spines.right": False,
    })  # fmt: skip
    figure, (ring, asked, wait) = plt.subplots(
        3, 1, figsize=(11.5, 7.6), sharex=True, height_ratios=[3.2, 1.7, 1.5],
        constrained_layout=True,
    )  # fmt: skip

    for name, colour in UPS.items():
        load_kw, rating_kw = series(results, name)
        label = f"{name}, {rating_kw:.0f} kW"
        ring.plot(load_kw.index / 60, load_kw, color=colour, lw=1.3, label=label)
        over_kw = load_kw.where(load_kw > rating_kw)
        ring.fill_between(load_kw.index / 60, rating_kw, over_kw, color=colour, alpha=0.35, lw=0)
        ring.axhline(rating_kw, color=colour, lw=1, ls=(0, (4, 3)), alpha=0.8)
    ring.set_ylabel("UPS load, kW")
    ring.set_ylim(0, 90)
    ring.legend(loc="center", frameon=False, title="load, and rating (dashed)",
                bbox_to_anchor=(0.435, 0.27))  # fmt: skip
    ring.set_title("One UPS fails; its neighbours carry the load, until they do not",
                   loc="left", fontweight="bold", fontsize=14, pad=12)  # fmt: skip

    kinds = ("completed", "rejected", "failed")
    asked.stackplot(
        middle_min, [rates(requests, kind, edges_s) for kind in kinds], labels=kinds,
        colors=(CALM, "#e9b44c", OVER), lw=0, step="mid",
    )  # fmt: skip
    asked.set_ylabel("requests a second")
    asked.set_ylim(0, 190)
    asked.legend(loc="upper center", frameon=False, ncols=3, bbox_to_anchor=(0.435, 1.0))

    answered = requests[requests.ttft_s.notna()]
    bins = pd.cut(answered.arrival_s + answered.ttft_s, edges_s, labels=middle_min)
    waits_s = answered.groupby(bins, observed=True).ttft_s.quantile([0.5, 0.95]).unstack()
    at_min = waits_s.index.to_numpy(float)
    wait.fill_between(at_min, waits_s[0.5], waits_s[0.95], color=CALM, alpha=0.3, lw=0)
    wait.plot(at_min, waits_s[0.5], color=UPS["ups-a"], lw=1.4)
    wait.set_yscale("log")
    wait.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
    wait.set_ylabel("first token, s")
    wait.text(0.995, 0.9, "median to 95th percentile", transform=wait.transAxes, ha="right",
              va="top", color=GREY)  # fmt: skip
    wait.set_xlabel("minutes")

    told = events[events.kind.isin(["fault", "trip", "reclosed", "repaired"])]
    for at_s, group in told.groupby("time_s"):
        for axes in (ring, asked, wait):
            axes.axvline(at_s / 60, color=INK, lw=0.8, alpha=0.45, ls=(0, (1, 2)))
        names = " and ".join(path.rsplit("/", 1)[-1] for path in group.node)
        what = {"fault": "fails", "trip": "trips", "reclosed": "closed again",
                "repaired": "repaired"}[group.kind.iloc[0]]  # fmt: skip
        # The fault stands left of its line, the first trip lower: seconds later comes the next.
        left = group.kind.iloc[0] == "fault" or "and" in names
        lower = group.kind.iloc[0] == "trip" and names == "ups-b"
        ring.annotate(
            f"{names}\n{what}", (at_s / 60, 76 if lower else 88), xytext=(-4 if left else 4, 0),
            textcoords="offset points", ha="right" if left else "left",
            va="top", fontsize=10, color=INK,
        )  # fmt: skip
    for axes in (ring, asked, wait):
        axes.set_xlim(0, length_s / 60)
        axes.grid(axis="y", color=PALE, lw=0.6)
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Play the scenario and draw it."""
    with dcsim.simulate(dcsim.load(PROJECT / "scenarios/feed-loss.yaml")) as results:
        draw(results, OUT)
    print(f"wrote {OUT.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
