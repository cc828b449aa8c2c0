"""Policies, power models and routers passed to a simulation as objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import dcsim
from dcsim.arrays import FloatArray
from dcsim.control.policy import Admit, Command, Site, Telemetry
from dcsim.errors import ConfigurationError
from dcsim.ledger import ReplicaConfig, WorkLedger
from dcsim.power.model import Provenance
from dcsim.serving.request import Request
from dcsim.serving.routers import NOBODY, Pool, Router
from tests.engine.sites import site

WATTS = 700.0


class Constant:
    """So many watts for every replica, whatever it does."""

    name = "constant"
    pack = None

    def __init__(self, watts: float) -> None:
        self.watts = watts
        self.steps = 0

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        self.count = len(configs)

    def step(self, ledger: WorkLedger) -> FloatArray:
        self.steps += 1
        return np.full(self.count, self.watts)

    def provenance(self, config: ReplicaConfig) -> Provenance:
        return Provenance("extrapolated", "a test")


class CloseAt:
    """Closes the whole site at a time."""

    name = "close-at"
    period_s = 1.0
    delay_s = 0.0

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def start(self, site: Site) -> None:
        self.servers = site.servers_under["site"]

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        if now_s != self.at_s:
            return []
        return [Admit(self.servers, False, node="site", reason="a test")]


class First(Router):
    """Always the first replica that is open."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.is_open = [False] * len(pool.replicas)
        self.start()

    def update(self, slot: int, state: int) -> None:
        self.is_open[slot] = state >= 0

    def choose(self, request: Request) -> int:
        return self.is_open.index(True) if True in self.is_open else NOBODY


def test_a_power_model_takes_the_place_of_a_groups_own() -> None:
    model = Constant(WATTS)
    scenario = site(duration="10 s", power="{model: gru}")
    with dcsim.simulate(scenario, power_models={"a100": model}) as results:
        row_w = results.load_w("row").to_numpy()
        assert results.summary["power_model"]["name"] == "constant"
    assert model.steps == 40, "it is the object itself that was stepped"
    # Two rows of four servers, each one replica on all eight GPUs.
    more = Constant(WATTS + 100.0)
    with dcsim.simulate(scenario, power_models={"a100": more}) as results:
        assert results.load_w("row").to_numpy() - row_w == pytest.approx(4 * 100.0, abs=0.01)


def test_a_power_model_answers_for_governors_by_copies() -> None:
    """A cap asks a model what it would draw for other work; the object's own past stays."""
    model = Constant(5000.0)
    control = "[{policy: static-cap, gpu_power: 300 W}]"
    with dcsim.simulate(site(duration="10 s", control=control), power_models={"a100": model}):
        assert model.steps == 40
        assert model.count == 8


def test_a_policy_acts_beside_those_of_the_file() -> None:
    control = "[{policy: static-cap, clock: 0.9}]"
    with dcsim.simulate(
        site(duration="1 min", control=control), policies=[CloseAt(30.0)]
    ) as played:
        requests = played.requests()
        told = played.summary["control"]["policies"]
    assert [row["policy"] for row in told] == ["static-cap", "close-at"]
    late = requests[requests["arrival_s"] > 30.0]
    assert len(late) > 50
    assert (late["status"] == "rejected").all()
    assert not (requests[requests["arrival_s"] < 30.0]["status"] == "rejected").any()


def test_a_router_is_made_for_the_model_that_it_is_given_for() -> None:
    with dcsim.simulate(site(duration="20 s"), routers={"llama-3-70b": First}) as played:
        assert set(played.requests()["replica"]) == {0}


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        ({"power_models": {"a10": Constant(1.0)}}, "server group 'a10' (did you mean 'a100'?)"),
        ({"routers": {"llama-3-7b": First}}, "serves 'llama-3-7b' (did you mean 'llama-3-70b'?)"),
    ],
)
def test_a_name_that_is_not_there_is_refused(passed: dict, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        dcsim.simulate(site(duration="10 s"), **passed)
    assert words in str(caught.value)
