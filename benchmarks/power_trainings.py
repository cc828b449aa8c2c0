"""How much of a figure is a training's luck: python -m benchmarks.power_trainings   (half an hour)

The GRU is taught several times with other seeds, for every whole run that `power_fidelity` judges,
and each time judged on it, work from the engine's log. Writes a table of docs/fidelity-power.md:
medians of the trainings, with the least and the most.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace

import numpy as np

from benchmarks.data import need_data
from benchmarks.packs import GPUS, gather, recipe_of
from benchmarks.power_fidelity import FIGURES, PAGE, SEEDS, cases, head, left_out, put
from dcsim.hardware.catalogue import load_catalogue
from dcsim.lab.learn.evaluate import generate_readings, judge
from dcsim.lab.learn.train import Recipe


def main() -> None:
    """Teach, judge, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainings", type=int, default=5)
    parser.add_argument("--updates", type=int, default=Recipe.updates)
    options = parser.parse_args()
    data, catalogue = need_data(), load_catalogue()
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for gpu in GPUS.values():
        whole = [case for case in cases(data, catalogue, gpu) if not case.start]
        if not whole:
            continue
        known = gather(gpu, catalogue, data)
        for case in whole:
            for seed in range(1, options.trainings + 1):
                recipe = replace(recipe_of(options.updates), seed=seed)
                model = left_out(case, known, catalogue, recipe)
                watts = generate_readings(model, case.run.series, SEEDS)
                for at, figures in judge(watts, case.run.power_w).items():
                    found[f"{case.run.name}, {case.how}", at].append(figures)
                    print(case.run.name, at, seed, figures, flush=True)  # kept when cut short
    rows = head("run", "at")
    for (name, at), trained in found.items():
        cells = []
        for figure, _, how in FIGURES:
            values = [one[figure] for one in trained]
            low, high = min(values), max(values)
            cells.append(f"{np.median(values):{how}} ({low:{how}} to {high:{how}})")
        rows.append(f"| {name} | {at} | {' | '.join(cells)} |")
    page = put(PAGE.read_text(encoding="utf-8"), "trainings", rows)
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
