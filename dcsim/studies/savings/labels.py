"""What a savings study compares with: the labels of all servers, through cooling and losses."""

from __future__ import annotations

from dcsim.facility.labels import label_loads_w
from dcsim.plant import Plant
from dcsim.scenario.models import Scenario
from dcsim.studies.target import CountTarget

ABOUT_LABELS = {
    "other_nameplate_kw": ("kW", "labels of all else under the limits"),
    "elsewhere_nameplate_kw": ("kW", "labels of the servers that hang elsewhere at the site"),
    "limit_overhead": (
        "",
        "load under the limits for a watt of labels below them: cooling and losses there, or "
        "less than 1 where another feed takes a share",
    ),
    "site_overhead": ("", "load of the site for a watt of labels: its cooling and losses"),
}
"""Unit and meaning of each input that labels give."""


def labels_below(target: CountTarget, sized: Scenario, count: int) -> dict[str, float]:
    """Inputs of `ABOUT_LABELS` for a scenario with `count` units under each limit."""
    plant = Plant.build(sized)
    load_w, labels_w = label_loads_w(plant), plant.servers.nameplate_w
    topology = plant.topology
    watched = [topology.index[name] for name in target.watched]
    # By any feed: a rack between two limits counts whole at both.
    below_w = sum(float(labels_w[topology.servers_under(topology.names[i])].sum()) for i in watched)
    counted_w = target.unit_nameplate_w() * count * len(watched)
    elsewhere = set(range(topology.server_count)).difference(
        *(topology.servers_under(topology.names[i]).tolist() for i in watched)
    )
    elsewhere_w = float(labels_w[sorted(elsewhere)].sum())
    return {
        "other_nameplate_kw": max(0.0, below_w - counted_w) / 1e3,
        "elsewhere_nameplate_kw": elsewhere_w / 1e3,
        "limit_overhead": float(load_w[watched].sum()) / below_w,
        "site_overhead": float(load_w[0]) / (below_w + elsewhere_w),
    }
