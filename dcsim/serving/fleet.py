"""All replicas of a site: requests in, through a router per served model, records out."""

# compiled by mypyc
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import Any

import numpy as np

from dcsim.ledger import GpuState
from dcsim.plant import Plant
from dcsim.records import Status
from dcsim.seeds import child
from dcsim.serving.handover import Handover
from dcsim.serving.holding import NO_REPLICA, HoldingQueue
from dcsim.serving.log import RequestLog
from dcsim.serving.replica import Replica
from dcsim.serving.request import Request
from dcsim.serving.retries import Retries
from dcsim.serving.routers import Pool, Router, build_router
from dcsim.serving.span import AlarmClock
from dcsim.serving.work import WorkTable
from dcsim.workload.stream import Prefix, RequestStream


class Fleet:
    """The replicas, their routers and the request log.

    Invariant: arrived = completed + running + waiting + rejected + timed out +
    failed, at every instant.
    """

    def __init__(
        self,
        plant: Plant,
        clock: AlarmClock,
        log: RequestLog,
        seed: np.random.SeedSequence,
        routers: Mapping[str, Callable[[Pool], Router]] | None = None,
    ) -> None:
        """`seed` is for routers that draw at random. `routers` make those of some served models,
        by model, in place of what the scenario says."""
        scenario, columns = plant.scenario, plant.replicas
        self.log = log
        self.arrived = 0
        self.prompt_tokens = 0
        self._clock = clock
        groups = [plant.groups[index] for index in columns.group.tolist()]
        blocks: list[int] = columns.kv_blocks.tolist()
        self.work = WorkTable(
            columns.config,
            [group.timing.costs for group in groups],
            [group.kv_tokens for group in groups],
        )
        self.replicas = [
            Replica(
                index,
                clock,
                group.timing,
                group.spec.engine,
                blocks[index],
                self.work,
                self._end,
                self._prefilled if group.spec.role == "prefill" else None,
            )
            for index, group in enumerate(groups)
        ]
        self._priority = [tenant.priority for tenant in scenario.tenants] or [0]
        self.keep_priority = math.inf
        """Requests of a higher priority number are refused at the door."""
        self.on_empty: Callable[[int, float], None] | None = None
        """Told, by replica, of every request that leaves one that does not admit."""
        self._barred: set[int] = set()
        self._draining: set[int] = set()
        self._overhead_s = [group.timing.first_token_overhead_s for group in groups]
        pools: dict[tuple[str, bool], list[Replica]] = {}
        pool_of = [(group.model.name, group.spec.role == "decode") for group in groups]
        for replica, pool_key in zip(self.replicas, pool_of, strict=True):
            pools.setdefault(pool_key, []).append(replica)
        feeds: list[int] = plant.headroom_feeds()[1].tolist()
        router_of: dict[tuple[str, bool], Router] = {}
        for (model, decodes), replicas in pools.items():
            pool = Pool(
                replicas,
                scenario.routing.signal_delay_s,
                child(seed, int(decodes), model),
                [feeds[replica.index] for replica in replicas],
            )
            make = None if routers is None else routers.get(model)
            router = build_router(scenario.routing, pool) if make is None else make(pool)
            router_of[model, decodes] = router
        self._routers = list(router_of.values())
        self._serving = [pools[stream.model, False] for stream in scenario.workload]
        self._router_of_stream = [router_of[stream.model, False] for stream in scenario.workload]
        self._router_of_replica = [router_of[pool_key] for pool_key in pool_of]
        self.retries = Retries(clock, [stream.retry for stream in scenario.workload], self._send)
        self._held: dict[Router, HoldingQueue] = {}
        self._handover = Handover(clock, groups, self._deliver)
        self._decoding = [pools.get((stream.model, True), []) for stream in scenario.workload]
        self._decoder_of_stream = [
            router_of.get((stream.model, True)) for stream in scenario.workload
        ]

    # --- traffic ---------------------------------------------------------------------------

    def feed(self, stream: RequestStream) -> None:
        """Start letting the stream's requests arrive at their instants."""
        source = _rows(stream)
        pending = next(source, None)
        if pending is None:
            return
        clock = self._clock

        def arrive(now: float) -> None:
            nonlocal pending
            assert pending is not None
            _, prompt, output, index, tenant, prefix = pending
            self.arrive(now, index, prompt, output, tenant, prefix)
            pending = next(source, None)
            if pending is not None:
                clock.set_alarm(alarm, pending[0])

        alarm: Any = clock.alarm(arrive)
        clock.set_alarm(alarm, pending[0])

    def arrive(
        self,
        now: float,
        stream: int,
        prompt_tokens: int,
        output_tokens: int,
        tenant: int = 0,
        prefix: Prefix | None = None,
    ) -> None:
        """One request arrives and is routed; rejected where none of the replicas that are up
        admits, failed where none is up."""
        request = Request(
            self.arrived,
            stream,
            now,
            prompt_tokens,
            output_tokens,
            tenant,
            self._priority[tenant],
            prefix,
        )
        self.arrived += 1
        self.prompt_tokens += prompt_tokens
        self._send(request, now)

    def _send(self, request: Request, now: float) -> None:
        stream = request.stream
        if request.priority > self.keep_priority:
            self.log.add(request, NO_REPLICA, now, Status.REJECTED, request.generated, 0.0)
            return
        self._route(request, self._router_of_stream[stream], self._serving[stream], now)

    def _route(self, request: Request, router: Router, pool: list[Replica], now: float) -> None:
        replica = router.pick(request, now)
        if replica is None and (held := self._held.get(router)) is not None and held.takes(now):
            replica = router.pick(request, now)  # one that drained may have been taken back
            if replica is None:
                held.hold(request, now)
                return
        if replica is None:
            if any(candidate.up for candidate in pool):
                self.log.add(request, NO_REPLICA, now, Status.REJECTED, request.generated, 0.0)
            else:
                self._fail(request, NO_REPLICA, now, request.generated)
        elif replica.submit(request, now):
            router.changed(replica, now)
        else:
            self.log.add(request, replica.index, now, Status.REJECTED, request.generated, 0.0)

    def hold_for(self, index: int, wake: Callable[[float], bool], timeout_s: float) -> HoldingQueue:
        """Hold requests for a replica's pool while none of it is on; see Held."""
        router = self._router_of_replica[index]
        if router not in self._held:
            self._held[router] = HoldingQueue(self._clock, router, self.log)
        held = self._held[router]
        held.wakers.append(wake)
        held.timeout_s = min(held.timeout_s, timeout_s)
        return held

    def _opened(self, index: int, now: float) -> None:
        held = self._held.get(self._router_of_replica[index])
        if held is not None:
            held.opened(now)

    def _fail(self, request: Request, index: int, now: float, generated: int) -> None:
        if not self.retries.take(request, generated, now):
            self.log.add(request, index, now, Status.FAILED, generated, 0.0)

    def _end(
        self, request: Request, replica: Replica, end_s: float, status: Status, generated: int
    ) -> None:
        index = replica.index
        self.log.add(request, index, end_s, status, generated, self._overhead_s[index])
        self._router_of_replica[index].changed(replica, end_s)
        if not replica.admitting and self.on_empty is not None:
            self.on_empty(index, end_s)

    def _prefilled(self, request: Request, replica: Replica, now: float) -> None:
        """A prompt is done where prompts are only prefilled: off to a pool that decodes."""
        self._router_of_replica[replica.index].changed(replica, now)
        self._handover.send(request, replica, now)

    def _deliver(self, request: Request, origin: Replica, now: float) -> None:
        """The KV of a prefilled request has been sent."""
        router = self._decoder_of_stream[request.stream]
        assert router is not None, "the scenario's checks ask for a decode pool"
        self._router_of_replica[origin.index].changed(origin, now)
        if not origin.admitting and self.on_empty is not None:
            self.on_empty(origin.index, now)
        self._route(request, router, self._decoding[request.stream], now)

    # --- power and policies ----------------------------------------------------------------

    def admit(self, replica: Replica, allowed: bool, now: float) -> None:
        """A policy lets a replica take new requests, or not."""
        (self._barred.discard if allowed else self._barred.add)(replica.index)
        self._open_or_close(replica, now)

    def drain(self, index: int, draining: bool, now: float) -> None:
        """An autoscaler lets a replica finish what it has, or takes it back."""
        (self._draining.add if draining else self._draining.discard)(index)
        self._open_or_close(self.replicas[index], now)

    def _open_or_close(self, replica: Replica, now: float) -> None:
        """Either of policy and autoscaler keeps a replica closed."""
        index = replica.index
        replica.admitting = index not in self._barred and index not in self._draining
        self._router_of_replica[replica.index].changed(replica, now)
        if replica.admitting and replica.up:
            self._opened(index, now)

    def switch_off(self, index: int, now: float) -> None:
        """An empty replica's GPUs are switched off."""
        replica = self.replicas[index]
        lost = replica.fail_all(now)
        assert not lost, "a replica is emptied before it is switched off"
        self.drain(index, False, now)

    def prepare(self, index: int, state: GpuState, now: float) -> None:
        """A replica that is off begins to boot, or goes on to load its weights."""
        self.replicas[index].prepare(now, float(state))

    def wake(self, index: int, now: float) -> None:
        """A replica's weights are loaded: it serves from now on."""
        replica = self.replicas[index]
        replica.restore(now)
        self._router_of_replica[index].changed(replica, now)
        self._opened(index, now)

    def begin(self) -> None:
        """Tell the routers how things are, without delay, before anything happens."""
        for router in self._routers:
            router.start()

    def observe(self, now: float, headroom_w: list[float]) -> None:
        """Tell the routers that ask for it each feed's headroom over the last power step."""
        for router in self._routers:
            if router.needs_headroom():
                router.observe(now, headroom_w)

    def needs_headroom(self) -> bool:
        """Whether any router looks at the headroom of the feeds."""
        return any(router.needs_headroom() for router in self._routers)

    def lose_power(self, replica: Replica, now: float) -> int:
        """Power to a replica is lost; its requests fail, or are sent again. Returns
        how many there were."""
        if not replica.up:
            return 0
        progress = {
            id(request): replica.generated_tokens(request, now) for request in replica.present()[0]
        }
        lost = replica.fail_all(now) + self._handover.cut_off(replica.index, now)
        self._router_of_replica[replica.index].changed(replica, now)
        # A stream's rule to retry elsewhere would take these here, before they are booked.
        for request in lost:
            generated = progress.get(id(request), request.generated)
            self._fail(request, replica.index, now, generated)
        return len(lost)

    def restore_power(self, replica: Replica, now: float) -> None:
        """Power to a replica is back: it starts empty, and its router hears of it."""
        if replica.up:
            return
        replica.restore(now)
        self._router_of_replica[replica.index].changed(replica, now)

    # --- counts ----------------------------------------------------------------------------

    @property
    def failovers(self) -> int:
        """Times that a router met a replica closed or down which it took for open."""
        return sum(router.failovers for router in self._routers)

    def counts(self) -> dict[str, int]:
        """Requests by where they are now: arrived and the six parts that sum to it."""
        running = sum(replica.running for replica in self.replicas) + len(self._handover)
        waiting = sum(len(replica.waiting) for replica in self.replicas) + len(self.retries)
        waiting += sum(len(held) for held in self._held.values())
        done = self.log.counts
        return {
            "arrived": self.arrived,
            "completed": done[Status.COMPLETED],
            "running": running,
            "waiting": waiting,
            "rejected": done[Status.REJECTED],
            "timed_out": done[Status.TIMED_OUT],
            "failed": done[Status.FAILED],
        }

    def close(self, now: float) -> None:
        """Book what is still here at the end of the run, and flush the log. Call once."""
        nan = float("nan")
        for request in self.retries.pending():
            self.log.add(request, NO_REPLICA, nan, Status.WAITING, 0, 0.0)
        for held in self._held.values():
            for request in held.pending():
                self.log.add(request, NO_REPLICA, nan, Status.WAITING, request.generated, 0.0)
        for request, index in self._handover.under_way():
            overhead = self._overhead_s[index]
            self.log.add(request, index, nan, Status.RUNNING, request.generated, overhead)
        for replica in self.replicas:
            running, waiting = replica.present()
            for request in running:
                tokens = replica.generated_tokens(request, now)
                overhead = self._overhead_s[replica.index]
                self.log.add(request, replica.index, nan, Status.RUNNING, tokens, overhead)
            for request in waiting:
                self.log.add(request, replica.index, nan, Status.WAITING, request.generated, 0.0)
        self.log.flush()


def _rows(stream: RequestStream) -> Iterator[tuple[float, int, int, int, int, Prefix | None]]:
    """(arrival_s, prompt, output, stream, tenant, prefix) one by one; plain numbers are quicker
    than numpy's."""
    for block in stream:
        tenant, prefix = block.tenant, block.prefix
        yield from zip(
            block.arrival_s.tolist(),
            block.prompt_tokens.tolist(),
            block.output_tokens.tolist(),
            block.stream.tolist(),
            repeat(0, len(block)) if tenant is None else tenant.tolist(),
            repeat(None, len(block)) if prefix is None else prefix.tolist(),
            strict=True,
        )
