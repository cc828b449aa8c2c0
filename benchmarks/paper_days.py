"""The paper's rack count over days, draws and trainings: python -m benchmarks.paper_days

`docs/paper-case.md` plays one day with one pack. How far would its answer move with another weekday
of the same week, other random draws, or a power model trained with another seed? The busy hours of
the five weekdays of 10 to 16 May 2024 are played, with the shipped pack and with packs trained
anew, and each is asked for the largest number of racks under 600 kW by the paper's rule. Writes a
table into the page. Trainings take some eight minutes each on a core; they are kept in out/.

What is published of the week (see `scenarios/paper-site.yaml` for the sources): the requests on
16 May, 124,202 requests an hour over the five weekdays, and for each day how many times the
requests of its quietest hour its busiest has. Every day gets the shape that the scenario gives to
16 May, so the other four differ by that ratio and share what is left of the five days' total.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.data import need_data
from benchmarks.packs import GPUS, gather, make, recipe_of
from benchmarks.power_fidelity import put
from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import load_catalogue
from dcsim.lab.learn.train import Recipe
from dcsim.power.pack import save
from dcsim.scenario import load
from dcsim.studies import oversubscription

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "paper-case.md"
SCENARIO = PROJECT / "scenarios" / "paper-site.yaml"
OUT = PROJECT / "out" / "paper-days"

NIGHT = np.array([77540, 76895, 66953, 57781, 46575, 38670, 32595, 29267, 25758, 28504], float)
"""Requests from 0 to 9 h UTC on Friday 10 May, by the hour."""
WEEKDAY_MEAN = 124_202.0
"""Requests an hour over the five weekdays."""
THURSDAY = 3_074_565.0
"""Requests on 16 May, UTC."""
SWING = {"mon 13": 10.0, "tue 14": 11.3, "wed 15": 11.1, "thu 16": 9.1, "fri 10": 8.6}
"""Requests of the busiest hour over those of the quietest, by day of May 2024."""
FLANK_H = 4.738
"""Hours that the rate takes to rise from that at 9:30 UTC to its level, and to fall from there to
that at 0:30; makes the total of 16 May come out at a swing of 9.1."""
PLAYED, SEED = "thu 16", 42
"""The day and the seed of the scenario."""
BUSY = ("14 h", "6 h")
"""Start and length of the hours at the level, in which every day has its highest second."""


def hourly(swing: float, total: float) -> FloatArray:
    """Requests by the hour, shape (24,), of a day with such a swing and so many requests."""
    night = NIGHT / NIGHT.min()
    hour = np.linspace(10.0, 24.0, 14 * 600, endpoint=False) + 1.0 / 1200.0
    rising = night[9] + (swing - night[9]) * (hour - 9.5) / FLANK_H
    falling = night[0] + (swing - night[0]) * (24.5 - hour) / FLANK_H
    day = np.minimum(swing, np.minimum(rising, falling)).reshape(14, 600).mean(axis=1)
    whole = np.concatenate([night, day])
    found: FloatArray = whole * (total / whole.sum())
    return found


def factors(by_hour: FloatArray) -> list[float]:
    """The `hours` of a scenario: the rate at 0:00, 1:00 ... over the day's mean."""
    at = (np.roll(by_hour, 1) + by_hour) / 2.0
    return [round(float(value), 3) for value in at / at.mean()]


def days() -> Iterator[tuple[str, float, list[float]]]:
    """Each weekday's name, mean rate in requests/s, and hours."""
    others = (5 * 24 * WEEKDAY_MEAN - THURSDAY) / 4
    for name, swing in SWING.items():
        total = THURSDAY if name == "thu 16" else others
        yield name, total / 86400.0, factors(hourly(swing, total))


def trained(seed: int, updates: int) -> Path:
    """A pack of the A100 as the shipped one, trained with another seed; kept."""
    path = OUT / f"gru-a100-{seed}-{updates}.h5"
    if not path.exists():
        catalogue = load_catalogue()
        known = gather(GPUS["a100"], catalogue, need_data())
        pack = make("gru-a100", known, catalogue, replace(recipe_of(updates), seed=seed))
        path.parent.mkdir(parents=True, exist_ok=True)
        save(pack, path)
    return path


def racks(mean_rate: float, hours: list[float], seed: int, pack: Path | None) -> int:
    """Racks under 600 kW by the paper's rule."""
    start, length = BUSY
    arrivals = "workload.code.arrivals"
    overrides = [
        f"seed={seed}",
        f"duration={length}",
        f"{arrivals}.mean_rate={mean_rate:.6g} req/s",
        f"{arrivals}.hours={hours}",
        f"{arrivals}.start_at={start}",
    ]
    if pack is not None:
        overrides.append(f"servers.a100.power.pack={pack}")
    found = oversubscription(
        load(SCENARIO, overrides), rule="paper", limit_w=600e3, models=["scenario"]
    )
    return int(found.tables["answer"].frame["count"].iloc[0])


def main() -> None:
    """Train, play, and write: one thing is varied at a time, the others as in the scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainings", type=int, default=3)
    parser.add_argument("--updates", type=int, default=Recipe.updates)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    by_day = {name: (mean_rate, hours) for name, mean_rate, hours in days()}
    cases: list[tuple[str, str, int, Path | None]] = [
        (f"{name} May 2024", name, SEED, None) for name in by_day
    ]
    for seed in range(SEED + 1, SEED + options.seeds):
        cases.append((f"{PLAYED}, seed {seed}", PLAYED, seed, None))
    for seed in range(2, 2 + options.trainings):
        pack = trained(seed, options.updates)
        cases.append((f"{PLAYED}, pack trained with seed {seed}", PLAYED, SEED, pack))
    counts = {}
    for label, day, seed, pack in cases:
        counts[label] = racks(*by_day[day], seed, pack)
        print(label, counts[label], flush=True)
    rows = ["| varied | racks |", "| --- | --- |"]
    rows += [f"| {label} | {count} |" for label, count in counts.items()]
    rows.append(f"| all | {min(counts.values())} to {max(counts.values())} |")
    PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), "days", rows), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
