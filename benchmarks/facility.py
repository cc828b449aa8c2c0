"""Cost of the facility's step: python -m benchmarks.facility

2,400 servers in 600 racks and 100 rows, three ways: the plain tree of site, rows and racks; the
same rows fed twice (2N) without losses; and the whole electrical site, with two lines of
transformer, switchgear, 10 UPS and 20 PDUs each, losses, UPS batteries, cooling, phases, demand
windows and breakers. Each is timed in a quiet step and while everything is flagged and breakers
are warm. Microseconds a step, the median of many; the aim is under 500.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

from dcsim.facility.inputs import SiteInputs
from dcsim.facility.site import ElectricalSite
from dcsim.hardware.catalogue import load_catalogue
from dcsim.plant.topology import Topology
from dcsim.scenario.models import Cooling, FacilityNode

STEP_S = 0.25


def plain() -> list[dict[str, Any]]:
    """Site, 100 rows, 600 racks, 2,400 servers."""
    return [
        {"name": "site", "kind": "site", "rating": "9 MW"},
        {
            "name": "row",
            "kind": "row",
            "parent": "site",
            "count": 100,
            "rating": "90 kW",
            "breaker": {},
        },
        {"name": "rack", "kind": "rack", "parent": "row", "count": 6, "rating": "17.3 kW"},
        {
            "name": "server",
            "kind": "server",
            "parent": "rack",
            "count": 4,
            "rating": "6.5 kW",
            "group": "g",
        },
    ]


def line(side: str, full: bool) -> list[dict[str, Any]]:
    """One of two feeding lines down to 20 PDUs."""
    battery = {"energy": "100 kWh", "power": "1.2 MW", "charge": "20 kW"}
    extra: dict[str, dict[str, Any]] = {
        "transformer": {"losses": "transformer-liquid"},
        "ups": {"losses": "ups-double-conversion", "battery": battery},
        "pdu": {"losses": "pdu-transformer"},
    }
    counts = {"utility": 1, "transformer": 1, "switchgear": 1, "ups": 10, "pdu": 2}
    ratings = {
        "utility": "12 MW",
        "transformer": "12 MW",
        "switchgear": "12 MW",
        "ups": "1 MW",
        "pdu": "500 kW",
    }
    rows = []
    parent = "site"
    for kind, count in counts.items():
        row = {
            "name": f"{kind}-{side}",
            "kind": kind,
            "parent": parent,
            "count": count,
            "rating": ratings[kind],
            "breaker": {"curve": "thermal-magnetic"},
        }
        rows.append(row | (extra.get(kind, {}) if full else {}))
        parent = f"{kind}-{side}"
    return rows


def fed_twice(full: bool) -> list[dict[str, Any]]:
    """The same rows behind two lines; `full`: with losses, batteries, phases and windows."""
    site, row, rack, server = plain()
    row |= {"feeds": ["pdu-a", "pdu-b"], "count": 5}
    del row["parent"]
    if full:
        rack |= {"phases": 1, "phase": "auto"}
        server |= {"power_factor": 0.98}
        site["demand"] = [
            {"window": window, "limit": "8 MW"} for window in ("1 s", "1 min", "15 min", "1 h")
        ]
        site["ramp"] = {"change": "2 MW", "window": "1 min"}
    return [site, *line("a", full), *line("b", full), row, rack, server]


def time_us(rows: list[dict[str, Any]], cooling: Cooling, server_w: float, steps: int) -> float:
    """Median time of a step at about `server_w` a server."""
    topology = Topology.build([FacilityNode.model_validate(row) for row in rows])
    assert topology.server_count == 2400, topology.server_count
    site = ElectricalSite(SiteInputs(topology, load_catalogue(), STEP_S, cooling=cooling))
    loads_w = np.random.default_rng(0).normal(server_w, 50.0, (16, topology.server_count))
    took = []
    for step in range(1, steps + 1):
        begun = time.perf_counter()
        site.step(step * STEP_S, STEP_S, loads_w[step % 16])
        took.append(time.perf_counter() - begun)
    return float(np.median(took[steps // 4 :])) * 1e6


def main() -> None:
    """Time all six and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    none, plant = Cooling(), Cooling(pue=1.2)
    found = {}
    for name, rows, cooling in (
        ("plain tree", plain(), none),
        ("2N, lossless", fed_twice(False), none),
        ("2N, all of it", fed_twice(True), plant),
    ):
        for state, server_w in (("quiet", 2500.0), ("flagged", 4000.0)):
            us = time_us(rows, cooling, server_w, steps)
            found[f"{name}, {state}"] = round(us, 1)
            print(f"{name:>14}, {state:<8} {us:7.1f} us a step", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
