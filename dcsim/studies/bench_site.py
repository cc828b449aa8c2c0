"""Some of a site's replicas played at steady rates: what they serve within their SLO, and what
their servers draw.

Requests are the scenario's own (their lengths, in order); facility and policies are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import RecordArray
from dcsim.clock import Clock
from dcsim.plant import Plant
from dcsim.power.servers import ServerPower
from dcsim.records import RECORD, Status
from dcsim.scenario.models import FacilityNode
from dcsim.seeds import branch
from dcsim.serving.capacity import LatencyTarget
from dcsim.serving.fleet import Fleet
from dcsim.serving.log import RequestLog
from dcsim.serving.site_capacity import Lengths, target_of
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


class SiteBench:
    """Some replicas of one served model, without facility and policies, fed at a steady rate.

    Of each of the model's server groups up to PEERS replicas are played, in proportion where there
    are several groups. Requests have the lengths of `sample`, in order; arrivals are Poisson.
    """

    def __init__(self, plant: Plant, model: str, sample: Lengths) -> None:
        """Up to PEERS replicas of each of the plant's groups that serve the model."""
        scenario = plant.scenario
        counts = {g.name: len(plant.replicas_of(g.name)) for g in plant.groups}
        groups = [g for g in plant.groups if g.model.name == model and counts[g.name]]
        shrink = min(1.0, PEERS / max(counts[group.name] for group in groups))
        self.replicas = {g.name: max(1, round(counts[g.name] * shrink)) for g in groups}
        self._model = model
        self._sample = sample
        self._target = target_of(scenario, model)
        stream = next(s for s in scenario.workload if s.model == model)
        site = FacilityNode(name="site", kind="site")
        servers = [
            FacilityNode(
                name=f"servers-{number}",
                kind="server",
                parent="site",
                count=math.ceil(self.replicas[group.name] / group.replicas_per_server),
                group=group.name,
            )
            for number, group in enumerate(groups)
        ]
        part = {
            "workload": (stream,),
            "tenants": (),
            "control": (),
            "servers": tuple(group.spec for group in groups),
            "facility": (site, *servers),
        }
        self._plant = Plant.build(
            scenario.model_copy(update=part), plant.catalogue, most_replicas=self.replicas
        )

    def play(self, rate: float, *, played_s: float = PLAYED_S, watts: bool = False) -> Played:
        """Serve `rate` requests/s with all of them. `watts`: with the scenario's power models."""
        end_s = WARM_UP_S + played_s
        seed = branch(self._plant.scenario.seed, "capacity", self._model)
        parts: list[RecordArray] = []
        log = RequestLog(lambda records: parts.append(records.copy()))
        clock = Clock()
        fleet = Fleet(self._plant, clock, log, seed)
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
        plant = self._plant
        step_s = plant.scenario.power_step_s
        server_power = ServerPower(plant)
        sum_w = np.zeros(len(plant.servers))
        steps = 0
        for step in range(1, int(end_s / step_s) + 1):
            clock.play(step * step_s)
            server_w = server_power.step(fleet.work.step(step * step_s))
            if step * step_s > WARM_UP_S:
                sum_w += server_w
                steps += 1
        return {name: float(sum_w[plant.servers_of(name)].mean()) / steps for name in self.replicas}


def _latencies(judged: RecordArray, target: LatencyTarget) -> tuple[float, float]:
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
