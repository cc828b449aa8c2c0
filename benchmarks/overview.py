"""The picture of the README: an hour of the quickstart's row. `python -m benchmarks.overview`.

Needs matplotlib (`pip install '.[plots]'`); some ten seconds.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

import dcsim

PROJECT = Path(__file__).parents[1]
OUT = PROJECT / "docs/img/overview.png"
INK, GREY, OVER, CALM = "#1f2933", "#7b8794", "#d64545", "#0e7c86"


def main() -> None:
    """Play the quickstart and draw it."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    with dcsim.simulate(dcsim.load(PROJECT / "scenarios/quickstart.yaml")) as results:
        row_w = results.load("row")["row"]
        racks_kw = results.load("rack", resample=20.0) / 1e3
        nodes = results.nodes().loc["row"]
    minutes = row_w.index.to_numpy() / 60
    load_kw = row_w.to_numpy() / 1e3
    rating_kw, nameplate_kw = nodes["rating_w"] / 1e3, nodes["nameplate_w"] / 1e3
    plt.rcParams.update({"font.size": 11, "axes.edgecolor": GREY, "text.color": INK})
    figure, (top, heat) = plt.subplots(
        2, 1, figsize=(11, 6.2), sharex=True, height_ratios=[3, 2], constrained_layout=True
    )
    step = 20  # five seconds of power steps: the band is their least and most, the line their mean
    whole = len(load_kw) // step * step
    bins = load_kw[:whole].reshape(-1, step)
    at = minutes[:whole].reshape(-1, step).mean(axis=1)
    top.fill_between(at, bins.min(axis=1), bins.max(axis=1), color=CALM, alpha=0.25, lw=0)
    top.plot(at, bins.mean(axis=1), color=CALM, lw=1.3)
    over = bins.max(axis=1) > rating_kw
    top.scatter(at[over], bins.max(axis=1)[over], s=14, color=OVER, zorder=5)
    top.axhline(rating_kw, color=OVER, lw=1.4)
    top.axhline(0.8 * rating_kw, color=GREY, lw=1, ls=(0, (4, 3)))
    top.text(60.3, rating_kw, f"rating\n{rating_kw:.0f} kW", color=OVER, va="center")
    top.text(60.3, 0.8 * rating_kw, f"80 %\n{0.8 * rating_kw:.0f} kW", color=GREY, va="center")
    top.set_ylabel("row, kW")
    top.set_ylim(0.72 * rating_kw, 1.06 * rating_kw)
    top.set_title(
        f"57 racks on a row rated {rating_kw:.0f} kW; by nameplate they would need "
        f"{nameplate_kw / 1e3:.2f} MW",
        loc="left", fontweight="bold",
    )  # fmt: skip
    order = np.argsort(racks_kw.mean(axis=0).to_numpy())
    picture = heat.imshow(
        racks_kw.to_numpy().T[order], aspect="auto", cmap="magma", origin="lower",
        extent=(0, 60, 0, len(order)), interpolation="nearest",
    )  # fmt: skip
    heat.set_ylabel("rack, by mean load")
    heat.set_xlabel("minutes of the busiest hour")
    heat.set_yticks([])
    figure.colorbar(picture, ax=heat, label="kW", pad=0.075, aspect=12)
    for axes in (top, heat):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, 60)
    figure.savefig(OUT, dpi=110)
    print(f"wrote {OUT.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
