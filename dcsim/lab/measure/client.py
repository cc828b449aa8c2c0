"""Plays a part's requests on time, each as a stream of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import aiohttp
import numpy as np

from dcsim.errors import DcsimError
from dcsim.lab.measure.answers import RawAnswer
from dcsim.lab.measure.clock import MeasuringClock
from dcsim.lab.measure.endpoint import Asker, stream
from dcsim.lab.measure.plan import Ask, PlannedPart

MAX_FAILURES_IN_A_ROW = 20
"""In a row: the endpoint is taken for dead."""
PULSE_PERIOD_S = 0.02
"""How often the loop's lateness is looked at."""


class PartStoppedError(DcsimError, RuntimeError):
    """A part that could not go on, and why."""


@dataclass
class Pulse:
    """How late the client's own loop was, in ms, by beats: what it may have added to any gap."""

    late_ms: list[float] = field(default_factory=list)

    async def beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + PULSE_PERIOD_S
            await asyncio.sleep(PULSE_PERIOD_S)
            self.late_ms.append(1e3 * (loop.time() - due_s))

    def to_dict(self) -> dict[str, float]:
        """Percentiles; nothing where there was no beat."""
        if not self.late_ms:
            return {}
        p50, p99 = np.percentile(self.late_ms, [50, 99]).tolist()
        return {"late_p50_ms": p50, "late_p99_ms": p99, "late_max_ms": max(self.late_ms)}


class Player:
    """One part on one endpoint. `keep` gets every answer as it ends, also those that failed."""

    def __init__(
        self,
        asker: Asker,
        part: PlannedPart,
        bodies: Sequence[bytes],
        keep: Callable[[RawAnswer], None],
        clock: MeasuringClock,
    ) -> None:
        self._asker, self._part, self._bodies = asker, part, bodies
        self._keep, self._clock = keep, clock
        self.pulse = Pulse()
        self.edges: dict[str, float] = {}
        """Monotonic instants: of the first request (`begin`), and when all were answered."""
        self._in_a_row = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._halt: asyncio.Future[str] | None = None
        self._why = ""

    def halt(self, why: str) -> None:
        """End the part from any thread: a meter is lost."""
        self._why = self._why or why
        loop, halt = self._loop, self._halt
        if loop is not None and halt is not None and not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if halt.done() else halt.set_result(why))

    async def play(self) -> None:
        """Idle, requests, idle. Raises PartStoppedError when the part cannot go on; streams that
        were open then are cut off and kept as such."""
        self._loop = asyncio.get_running_loop()
        self._halt = self._loop.create_future()
        if self._why:  # lost before the first request
            self._halt.set_result(self._why)
        beat = asyncio.create_task(self.pulse.beat())
        whole = asyncio.create_task(self._play_part())
        try:
            both: set[asyncio.Future[Any]] = {whole, self._halt}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if self._halt.done():
                raise PartStoppedError(self._halt.result())
            await whole
        finally:
            beat.cancel()
            whole.cancel()
            await asyncio.gather(whole, beat, return_exceptions=True)

    async def _play_part(self) -> None:
        part, clock = self._part, self._clock
        async with self._asker.session(clock) as session, asyncio.TaskGroup() as group:
            begin_s = clock.monotonic() + part.before_s
            await self._until(begin_s)
            self.edges["begin"] = clock.monotonic()
            tasks: list[asyncio.Task[None]] = []
            for ask in part.asks:
                if ask.at_s is None:
                    break
                await self._until(begin_s + ask.at_s)
                tasks.append(group.create_task(self._send(session, ask, begin_s + ask.at_s)))
            else:
                await self._until(begin_s + part.window_s)
            await asyncio.gather(*tasks)
            await self._play_stairs(session)
            self.edges["answered"] = clock.monotonic()
            await self._until(clock.monotonic() + part.after_s)

    async def _play_stairs(self, session: aiohttp.ClientSession) -> None:
        turns = [ask for ask in self._part.asks if ask.at_s is None]
        for stair, asks in groupby(turns, key=lambda ask: ask.stair):
            if stair:
                await self._until(self._clock.monotonic() + self._part.rest_s)
            streams: dict[int, list[Ask]] = {}
            for ask in asks:
                streams.setdefault(ask.stream, []).append(ask)
            async with asyncio.TaskGroup() as group:
                for mine in streams.values():
                    group.create_task(self._in_turn(session, mine))

    async def _in_turn(self, session: aiohttp.ClientSession, asks: list[Ask]) -> None:
        for ask in asks:
            await self._send(session, ask, None)

    async def _send(
        self, session: aiohttp.ClientSession, ask: Ask, planned_s: float | None
    ) -> None:
        now_s = self._clock.monotonic()
        raw = RawAnswer(ask, now_s if planned_s is None else planned_s, now_s)
        try:
            await stream(session, self._asker.url, self._bodies[ask.number], raw, self._clock)
        finally:
            self._keep(raw)
        failed = bool(raw.error) or raw.http != 200
        self._in_a_row = self._in_a_row + 1 if failed else 0
        if (
            self._in_a_row >= MAX_FAILURES_IN_A_ROW
            and self._halt is not None
            and not self._halt.done()
        ):
            why = raw.error or f"HTTP {raw.http}"
            self._halt.set_result(
                f"{MAX_FAILURES_IN_A_ROW} requests in a row failed, the last: {why}"
            )

    async def _until(self, at_s: float) -> None:
        left_s = at_s - self._clock.monotonic()
        if left_s > 0:
            await asyncio.sleep(self._clock.real_s(left_s))
