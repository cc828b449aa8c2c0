"""Some of a site's replicas played at steady rates: what they serve within their SLO, and what
their servers draw.

Requests are the scenario's own (their lengths, in order); facility and policies are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from dcsim.arrays import RecordArray
from dcsim.engine.capacity import Lengths, target_of
from dcsim.engine.clock import Clock
from dcsim.engine.meter import Meter
from dcsim.hardware.catalogue import Catalogue
from dcsim.ledger import ReplicaConfig
from dcsim.power import build as build_power
from dcsim.power.model import PowerModel
from dcsim.records import RECORD, Status
from dcsim.scenario.models import PowerSpec, Scenario, ServerGroup
from dcsim.seeds import branch
from dcsim.serving.capacity import Target
from dcsim.serving.fleet import Fleet, Placement, replica_config
from dcsim.serving.log import RequestLog
from dcsim.workload.stream import RequestBlock

PEERS = 8
"""Replicas of a server group that are played, at most: enough for a router to balance."""
PLAYED_S = 300.0
WARM_UP_S = 60.0
LATE_S = 5.0
"""Requests that come in the last seconds of a play are not judged: they had no time."""


@dataclass(frozen=True, slots=True)
class Played:
    """How a served model's replicas did at one rate."""

    requests_per_s: float
    """Of all that were played together."""
    ttft_s: float
    tpot_s: float
    """As `Steady` tells them, of requests that came after the warm-up."""
    kept: bool
    """Whether both keep the SLO."""
    server_w: dict[str, float]
    """Mean watts of a server of each group, where asked for."""


class Bench:
    """Some replicas of one served model, without facility and policies, fed at a steady rate.

    Of each of the model's server groups up to PEERS replicas are played, in proportion where there
    are several groups. Requests have the lengths of `sample`, in order; arrivals are Poisson.
    """

    def __init__(
        self,
        scenario: Scenario,
        catalogue: Catalogue,
        model: str,
        sample: Lengths,
        replicas: Mapping[str, int],
    ) -> None:
        """`replicas`: how many the site has of each server group, by name."""
        groups = [g for g in scenario.servers if g.model == model and replicas.get(g.name)]
        shrink = min(1.0, PEERS / max(replicas[group.name] for group in groups))
        self.replicas = {g.name: max(1, round(replicas[g.name] * shrink)) for g in groups}
        self._catalogue = catalogue
        self._model = model
        self._sample = sample
        self._target = target_of(scenario, model)
        stream = next(s for s in scenario.workload if s.model == model)
        self._scenario = scenario.model_copy(
            update={"workload": (stream,), "tenants": (), "control": (), "servers": tuple(groups)}
        )
        configs: list[ReplicaConfig] = []
        of: list[ServerGroup] = []
        servers: list[int] = []
        self._server_groups: list[str] = []
        for group in groups:
            per_server = catalogue.servers[group.server].gpu_count // group.replica_gpus
            first = len(self._server_groups)
            for number in range(self.replicas[group.name]):
                configs.append(replica_config(group, catalogue))
                of.append(group)
                servers.append(first + number // per_server)
            self._server_groups += [group.name] * (servers[-1] + 1 - first)
        self._placement = Placement(configs, of, np.array(servers, dtype=np.int64))

    def play(self, rate: float, *, played_s: float = PLAYED_S, watts: bool = False) -> Played:
        """Serve `rate` requests/s with all of them. `watts`: with the scenario's power models."""
        end_s = WARM_UP_S + played_s
        seed = branch(self._scenario.seed, "capacity", self._model)
        parts: list[RecordArray] = []
        log = RequestLog(lambda records: parts.append(records.copy()))
        clock = Clock()
        fleet = Fleet(clock, self._scenario, self._catalogue, self._placement, log, seed)
        fleet.feed(iter([self._requests(rate, end_s, seed)]))
        server_w = self._metered(clock, fleet, end_s) if watts else {}
        clock.play(end_s)
        fleet.close(end_s)
        done = np.concatenate([np.zeros(0, RECORD), *parts])
        judged = done[(done["arrival_s"] >= WARM_UP_S) & (done["arrival_s"] < end_s - LATE_S)]
        ttft_s, tpot_s = _latencies(judged, self._target)
        kept = ttft_s <= self._target.ttft_s and tpot_s <= self._target.tpot_s
        return Played(rate, ttft_s, tpot_s, kept, server_w)

    def highest(self, near: float) -> float:
        """The highest rate that keeps the SLO, to 2 %, looked for from `near` on; 0 where the SLO
        is kept at none that was tried, down to a hundredth of it."""
        low, high = 0.0, 1.1 * near
        while self.play(high).kept and high < 100.0 * near:
            low, high = high, 1.3 * high
        while high - low > 0.02 * high and high > 0.01 * near:
            middle = 0.5 * (low + high) if low else 0.8 * high
            if self.play(middle).kept:
                low = middle
            else:
                high = middle
        return low

    def _requests(self, rate: float, end_s: float, seed: np.random.SeedSequence) -> RequestBlock:
        rng = np.random.default_rng(seed)
        number = int(rate * end_s + 6.0 * math.sqrt(rate * end_s)) + 10
        arrival_s = np.cumsum(rng.exponential(1.0 / rate, number))
        arrival_s = arrival_s[arrival_s < end_s]
        at = np.arange(len(arrival_s)) % len(self._sample.prompts)
        stream = np.zeros(len(arrival_s), dtype=np.int64)
        return RequestBlock(arrival_s, self._sample.prompts[at], self._sample.outputs[at], stream)

    def _metered(self, clock: Clock, fleet: Fleet, end_s: float) -> dict[str, float]:
        """Play to the end, and the mean watts of a server of each group after the warm-up."""
        step_s = self._scenario.power_step_s
        meter = Meter(
            self._scenario,
            self._catalogue,
            self._placement,
            self._server_groups,
            partial(_build_power, catalogue=self._catalogue),
        )
        sum_w = np.zeros(len(self._server_groups))
        steps = 0
        for step in range(1, int(end_s / step_s) + 1):
            clock.play(step * step_s)
            server_w = meter.step(fleet.work.step(step * step_s))
            if step * step_s > WARM_UP_S:
                sum_w += server_w
                steps += 1
        names = np.array(self._server_groups)
        return {name: float(sum_w[names == name].mean()) / steps for name in self.replicas}


def _build_power(
    power: PowerSpec, configs: Sequence[ReplicaConfig], catalogue: Catalogue
) -> PowerModel:
    return build_power(power, configs, catalogue)


def _latencies(judged: RecordArray, target: Target) -> tuple[float, float]:
    """Time to first token that the target's share keep, and time a token as it asks for; infinite
    where requests were not served."""
    if not len(judged):
        return 0.0, 0.0
    ttft_s = np.where(np.isnan(judged["ttft_s"]), np.inf, judged["ttft_s"])
    served = judged[judged["status"] == int(Status.COMPLETED)]
    gaps = served["generated_tokens"] - 1
    after_s = (served["end_s"] - served["arrival_s"] - served["ttft_s"])[gaps > 0]
    gaps = gaps[gaps > 0]
    first_s = float(np.quantile(ttft_s, target.share, method="inverted_cdf"))
    if not len(gaps):
        return first_s, 0.0
    if target.promised:
        return first_s, float(np.quantile(after_s / gaps, target.share))
    return first_s, float(after_s.sum() / gaps.sum())
