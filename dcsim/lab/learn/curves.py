"""How the loss fell, as a picture: in training, and on runs held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

SMOOTHED = 25
"""Updates that the heavy line of the training loss averages over."""


def save_curves(
    path: Path, losses: Sequence[float], held_out: Mapping[str, Sequence[tuple[int, float]]]
) -> None:
    """Write a PNG. Raises ImportError without matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    update = np.arange(1, len(losses) + 1)
    axes.plot(update, losses, color="0.8", lw=0.6)
    width = min(SMOOTHED, len(losses))
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(update[width - 1 :], smooth, color="black", lw=1.4, label="training, all runs")
    for name, points in held_out.items():
        at, loss = zip(*points, strict=True)
        axes.plot(at, loss, lw=1.2, label=f"{name}, held out")
    axes.set(xlabel="update", ylabel="cross-entropy, nats a step", ylim=(0, None))
    axes.set_title(path.stem)
    axes.legend(fontsize=8)
    # No date in the file: the same training gives the same bytes.
    figure.savefig(path, dpi=100, metadata={"Software": None})
