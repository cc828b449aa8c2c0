"""The plant's columns against a site that was resolved by hand."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.plant import Plant
from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario

TEXT = """
name: hall
duration: 1 min
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {kind: poisson, rate: 1 req/s}
    tokens: {kind: fixed, prompt: 512, output: 128}
servers:
  - name: chat
    server: dgx-a100-80gb
    model: llama-3-70b
    tensor_parallel: 4
    engine: {num_gpu_blocks_override: 5000}
    hold_up: 20 ms
  - name: long
    server: dgx-h200
    model: llama-3-8b
    tensor_parallel: 2
    pipeline_parallel: 2
    power: {model: ledger}
restart: {load_bandwidth: 1 GB/s}
facility:
  - {name: site, kind: site, rating: 1 MW}
  - name: rated
    kind: row
    parent: site
    rating: 50 kW
    battery: {energy: 5 kWh, power: 20 kW}
  - {name: rack, kind: rack, parent: rated, count: 2}
  - {name: server, kind: server, parent: rack, group: chat}
  - {name: bare, kind: row, parent: site}
  - {name: shelf, kind: rack, parent: bare, rating: 9 kW}
  - {name: box, kind: server, parent: shelf, group: long, phases: 1, phase: L2}
  - {name: loose, kind: server, parent: site, group: chat}
"""
CHAT, LONG = 0, 1  # places among the plant's groups
NAN = np.nan


def hardware() -> Catalogue:
    """The shipped catalogue with round watts."""
    shipped = load_catalogue()
    gpus, servers = dict(shipped.gpus), dict(shipped.servers)
    for name, idle_w, board_w in (("a100-sxm-80gb", 50.0, 400.0), ("h200-sxm-141gb", 100.0, 700.0)):
        law = gpus[name].ledger_power.model_copy(update={"idle_w": idle_w})
        gpus[name] = gpus[name].model_copy(update={"ledger_power": law, "nameplate_w": board_w})
    for name, non_gpu_w, label_w in (("dgx-a100-80gb", 1000.0, 6500.0), ("dgx-h200", 1400.0, 10e3)):
        watts = {"non_gpu_w": non_gpu_w, "nameplate_w": label_w}
        servers[name] = servers[name].model_copy(update=watts)
    return shipped.model_copy(update={"gpus": gpus, "servers": servers})


def site(text: str = TEXT) -> Scenario:
    """With two things that a file may not say, though Python may: replicas that leave GPUs over,
    and a group without servers."""
    scenario = loads(text)
    chat, long = scenario.servers
    servers = (
        chat.model_copy(update={"name": "unused"}),
        chat,
        long.model_copy(update={"pipeline_parallel": 3}),
    )
    return scenario.model_copy(update={"servers": servers})


@pytest.fixture(scope="module")
def plant() -> Plant:
    return Plant.build(site(), hardware())


def same(found: object, expected: list[float]) -> bool:
    return np.array_equal(np.asarray(found, float), np.array(expected, float), equal_nan=True)


def test_nodes(plant: Plant) -> None:
    nodes = plant.nodes
    assert nodes.name == (
        "site", "rated", "bare", "rated/rack-1", "rated/rack-2", "bare/shelf",
        "rated/rack-1/server", "rated/rack-2/server", "bare/shelf/box", "loose",
    )  # fmt: skip
    assert nodes.kind == ("site", *["row"] * 2, *["rack"] * 3, *["server"] * 4)
    assert nodes.row[3:5] == ("rack", "rack")
    assert same(nodes.parent, [-1, 0, 0, 1, 1, 2, 3, 4, 5, 0])
    assert same(nodes.rating_w, [1e6, 5e4, NAN, NAN, NAN, 9e3, *[NAN] * 4])
    assert same(nodes.battery_w, [NAN, 2e4, *[NAN] * 8])
    assert same(nodes.line, [*[-1] * 8, 1, -1])
    assert same(nodes.server, [*[-1] * 6, 0, 1, 2, 3])


def test_servers(plant: Plant) -> None:
    servers = plant.servers
    assert servers.name == ("rated/rack-1/server", "rated/rack-2/server", "bare/shelf/box", "loose")
    assert [group.name for group in plant.groups] == ["chat", "long"]  # nothing is of `unused`
    assert same(servers.group, [CHAT, CHAT, LONG, CHAT])
    assert same(servers.node, [6, 7, 8, 9])
    assert same(servers.rack, [3, 4, 5, -1])
    assert same(servers.row, [1, 1, 2, -1])
    assert same(servers.gpus, [8, 8, 8, 8])
    assert same(servers.spare_gpus, [0, 0, 2, 0])
    assert same(servers.replicas, [2, 2, 1, 2])
    assert same(servers.gpu_idle_w, [50, 50, 100, 50])
    assert same(servers.non_gpu_w, [1000, 1000, 1400, 1000])
    assert same(servers.base_w, [1000, 1000, 1600, 1000])
    assert same(servers.idle_w, [1400, 1400, 2200, 1400])
    assert same(servers.nameplate_w, [6500, 6500, 1e4, 6500])
    assert servers.fitted_chassis.tolist() == [False, False, True, False]
    assert same(servers.hold_up_s, [0.02, 0.02, 0.012, 0.02])
    assert same(servers.hold_up_full_s, [0.02, 0.02, 0.010, 0.02])
    # 70,553,706,496 and 8,030,261,248 parameters less the input embedding, of 2 bytes, at 1 GB/s.
    chat_s = 2 * plant.catalogue.model("llama-3-70b").weight_bytes / 1e9
    assert 2 * 139.0 < chat_s < 2 * 141.2
    long_s = plant.catalogue.model("llama-3-8b").weight_bytes / 1e9
    assert same(servers.load_s, [chat_s, chat_s, long_s, chat_s])


def test_replicas(plant: Plant) -> None:
    replicas = plant.replicas
    assert same(replicas.server, [0, 0, 1, 1, 2, 3, 3])
    assert same(replicas.group, [CHAT, CHAT, CHAT, CHAT, LONG, CHAT, CHAT])
    assert same(replicas.gpus, [4, 4, 4, 4, 6, 4, 4])
    assert same(replicas.idle_w, [200, 200, 200, 200, 600, 200, 200])
    assert same(replicas.board_w, [1600, 1600, 1600, 1600, 4200, 1600, 1600])
    assert [config.key for config in replicas.config] == [
        *["llama-3-70b/a100-sxm-80gb/tp4"] * 4,
        "llama-3-8b/h200-sxm-141gb/tp2pp3",
        *["llama-3-70b/a100-sxm-80gb/tp4"] * 2,
    ]
    # A replica's part of the label: less constant watts, and those of GPUs without a replica.
    assert replicas.config[0].label_w == (6500 - 1000) / 2
    assert replicas.config[4].label_w == 1e4 - 1400 - 2 * 100
    # Keys and values of 32 layers, 8 heads of 128, 2 bytes each: 128 KiB a token.
    left_bytes = 0.9 * 6 * 141e9 - plant.catalogue.model("llama-3-8b").weight_bytes
    assert same(replicas.kv_blocks, [*[5000] * 4, left_bytes // (16 * 131072), *[5000] * 2])
    assert [plant.replicas_on(server) for server in range(4)] == [
        range(2), range(2, 4), range(4, 5), range(5, 7)
    ]  # fmt: skip


def test_members_by_name(plant: Plant) -> None:
    assert same(plant.servers_of("chat"), [0, 1, 3])
    assert same(plant.replicas_of("long"), [4])
    assert not len(plant.replicas_of("unused"))
    assert same(plant.servers_under("rated"), [0, 1])
    assert plant.group("long").spare_gpus == 2
    with pytest.raises(KeyError):
        plant.group("unused")


def test_the_node_whose_headroom_counts(plant: Plant) -> None:
    """The row; where it has no rating the nearest above that has, else the nearest above the
    server."""
    assert same(plant.servers.rated_node, [1, 1, 0, 0])
    unrated = Plant.build(site(TEXT.replace("kind: site, rating: 1 MW", "kind: site")))
    assert same(unrated.servers.rated_node, [1, 1, 5, -1])


def test_nothing_can_be_changed(plant: Plant) -> None:
    with pytest.raises(FrozenInstanceError):
        plant.groups = ()  # type: ignore[misc]
    for table in (plant.nodes, plant.servers, plant.replicas):
        for column in fields(table):
            values = getattr(table, column.name)
            assert len(values) == len(table), column.name
            with pytest.raises(FrozenInstanceError):
                setattr(table, column.name, values)
            if isinstance(values, np.ndarray):
                assert not values.flags.writeable, column.name
            else:
                assert isinstance(values, tuple), column.name


def test_frames_have_names_in_place_of_indices(plant: Plant) -> None:
    nodes = plant.to_frame("nodes")
    assert list(nodes.loc["bare/shelf", ["kind", "row", "parent"]]) == ["rack", "shelf", "bare"]
    assert nodes.loc["bare/shelf/box", "phase"] == "L2"
    assert nodes["servers"].tolist() == [4, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    assert nodes["rating_w"].isna().tolist()[2]
    servers = plant.to_frame("servers")
    expected = ["long", "dgx-h200", "h200-sxm-141gb", "llama-3-8b", "bare/shelf", "bare", "site"]
    assert list(servers.loc["bare/shelf/box"])[:7] == expected
    assert servers["rack"].isna().tolist() == [False, False, False, True]
    assert servers["idle_w"].sum() == 3 * 1400 + 2200
    replicas = plant.to_frame("replicas")
    assert replicas["server"].tolist()[3:5] == ["rated/rack-2/server", "bare/shelf/box"]
    assert replicas.groupby("group")["gpus"].sum().to_dict() == {"chat": 24, "long": 6}
    with pytest.raises(ValueError, match="no table is called 'racks'"):
        plant.to_frame("racks")  # type: ignore[arg-type]


def test_a_site_with_fewer_replicas_than_its_servers_hold() -> None:
    plant = Plant.build(site(), most_replicas={"chat": 3})
    assert same(plant.replicas.server, [0, 0, 1, 2])
    assert same(plant.servers.replicas, [2, 1, 1, 0])
