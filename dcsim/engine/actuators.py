"""Carries out what policies command: late where it takes time, and all of them together.

Each policy's wishes are kept by themselves. The tightest of all holds: the lowest clock, the lowest
cap, the smallest batch; a server takes requests where every policy lets it. So policies do not
undo one another, and the order of commands between them does not matter.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, IntArray
from dcsim.control.policy import (
    Admit,
    CapGpus,
    CapServers,
    Command,
    LimitBatch,
    LimitClock,
    Shave,
    Shed,
)
from dcsim.facility.battery import Batteries
from dcsim.power.gpu_limits import GpuLimits
from dcsim.records import EventKind
from dcsim.serving.fleet import Fleet

Tell = Callable[[EventKind, str, str], None]
"""Kind of event, node, message."""
Wish = tuple[int, str]
"""Of which policy, and in which of its slots."""
SAME_S = 1e-9
"""Times that differ by less are the same: they differ by rounding only."""


class Actuators:
    """From commands to replicas, GPUs, the fleet's door and batteries."""

    def __init__(
        self,
        labels: Sequence[str],
        servers: int,
        server_index: IntArray,
        fleet: Fleet,
        gpu_limits: GpuLimits,
        batteries: dict[str, int],
        storage: Batteries,
        tell: Tell,
    ) -> None:
        """`labels` name the policies; `server_index` is the server of each replica; `batteries`
        are places in `storage` by node."""
        self._labels = labels
        self._servers = servers
        self._server_index = server_index
        self._fleet = fleet
        self._gpu_limits = gpu_limits
        self._batteries = batteries
        self._storage = storage
        self._tell = tell
        self._due: list[tuple[float, int, int, Command]] = []
        self._ordered = 0
        self._changing = False
        """Whether clocks or caps change inside the present power step."""
        self._in_force: dict[tuple[int, str, str], tuple[str, str]] = {}
        """What events have told last, by policy, kind and slot: limit and node."""
        self._closed: dict[Wish, BoolArray] = {}
        self._clock: dict[Wish, FloatArray] = {}
        self._gpu_cap_w: dict[Wish, FloatArray] = {}
        self._server_cap_w: dict[Wish, FloatArray] = {}
        self._batch: dict[Wish, FloatArray] = {}
        self._keep: dict[Wish, float] = {}
        self._shave_w: dict[str, dict[Wish, float]] = {}
        self._own_shave_w = storage.shave_above_w.copy()
        self._now_closed = np.zeros(servers, dtype=bool)
        self._now_batch = np.full(servers, np.inf)
        self.commands: Counter[str] = Counter()
        """Obeyed so far, by policy."""
        self._limited_since: dict[str, float] = {}
        self._limited_s = dict.fromkeys(labels, 0.0)

    def order(self, policy: int, commands: Sequence[Command], now_s: float) -> None:
        """Take commands of a policy; each is obeyed once its time has passed."""
        for command in commands:
            self._ordered += 1
            heapq.heappush(self._due, (now_s + command.after_s, self._ordered, policy, command))

    def expect(self, now_s: float, until_s: float) -> list[float]:
        """Moments inside the power step from now until then at which commands are due that can be
        obeyed at their own time; the GPUs' limits are told whose change.

        Batteries give and take by whole steps: what they are told waits for the end of the step.
        """
        if not self._changing and not (self._due and self._due[0][0] < until_s - SAME_S):
            return []
        inside = [
            (due_s, command)
            for due_s, _, _, command in self._due
            if now_s + SAME_S < due_s < until_s - SAME_S and not isinstance(command, Shave)
        ]
        changing = [
            command.servers
            for _, command in inside
            if isinstance(command, LimitClock | CapGpus | CapServers)
        ]
        self._gpu_limits.expect(changing, now_s)
        self._changing = bool(changing)
        return sorted({due_s for due_s, _ in inside})

    def obey(self, now_s: float, inside: bool = False) -> None:
        """Carry out all that is due: at the end of a power step, or `inside` one."""
        touched: set[type[Command]] = set()
        waiting = []
        while self._due and self._due[0][0] <= now_s + SAME_S:
            order = heapq.heappop(self._due)
            _, _, policy, command = order
            if inside and isinstance(command, Shave):
                waiting.append(order)
                continue
            self._take(policy, command)
            self._account(policy, command, now_s)
            touched.add(type(command))
        for order in waiting:
            heapq.heappush(self._due, order)
        if touched:
            self._settle(touched, now_s)

    def describe(self, now_s: float) -> list[dict[str, Any]]:
        """By policy: commands obeyed, and how long any of its limits was in force."""
        return [
            {
                "policy": label,
                "commands": self.commands[label],
                "limited_s": self._limited_s[label]
                + max(now_s - self._limited_since.get(label, now_s), 0.0),
            }
            for label in self._labels
        ]

    # --- wishes ----------------------------------------------------------------------------

    def _take(self, policy: int, command: Command) -> None:
        wish = (policy, command.slot)
        if isinstance(command, Admit):
            if wish not in self._closed:
                self._closed[wish] = np.zeros(self._servers, dtype=bool)
            self._closed[wish][command.servers] = not command.allowed
        elif isinstance(command, LimitClock):
            self._wished(self._clock, wish, 1.0)[command.servers] = command.clock
        elif isinstance(command, CapGpus):
            self._wished(self._gpu_cap_w, wish, math.inf)[command.servers] = command.cap_w
        elif isinstance(command, CapServers):
            self._wished(self._server_cap_w, wish, math.inf)[command.servers] = command.cap_w
        elif isinstance(command, LimitBatch):
            most = math.inf if command.max_batch is None else float(command.max_batch)
            self._wished(self._batch, wish, math.inf)[command.servers] = most
        elif isinstance(command, Shed):
            self._keep[wish] = math.inf if command.keep is None else float(command.keep)
        elif isinstance(command, Shave):
            wishes = self._shave_w.setdefault(command.battery, {})
            wishes[wish] = math.inf if command.above_w is None else command.above_w
        else:
            raise TypeError(f"no actuator obeys a {type(command).__name__}")

    def _wished(self, wishes: dict[Wish, FloatArray], wish: Wish, free: float) -> FloatArray:
        found = wishes.get(wish)
        if found is None:
            found = wishes[wish] = np.full(self._servers, free)
        return found

    def _settle(self, touched: set[type[Command]], now_s: float) -> None:
        """The tightest of all wishes, to whom they concern."""
        limits = self._gpu_limits
        if Admit in touched:
            self._admit(now_s)
        if LimitBatch in touched:
            self._limit_batches(now_s)
        if Shed in touched:
            self._fleet.keep_priority = min(self._keep.values())
        if Shave in touched:
            for node, wishes in self._shave_w.items():
                place = self._batteries[node]
                own_w = self._own_shave_w[place]
                self._storage.shave_above_w[place] = min(own_w, *wishes.values())
        if LimitClock in touched:
            limits.frequency_ratio = _tightest(self._clock)[self._server_index]
        if CapGpus in touched:
            limits.gpu_cap_w = _tightest(self._gpu_cap_w)[self._server_index] * limits.gpus
        if CapServers in touched:
            limits.server_cap_w = _tightest(self._server_cap_w)
        if touched & {LimitClock, CapGpus, CapServers}:
            limits.refresh(now_s)

    def _admit(self, now_s: float) -> None:
        closed = np.logical_or.reduce(list(self._closed.values()))
        changed = (closed != self._now_closed)[self._server_index]
        for replica in np.flatnonzero(changed).tolist():
            allowed = not closed[self._server_index[replica]]
            self._fleet.admit(self._fleet.replicas[replica], allowed, now_s)
        self._now_closed = closed

    def _limit_batches(self, now_s: float) -> None:
        batch = _tightest(self._batch)
        changed = (batch != self._now_batch)[self._server_index]
        for replica in np.flatnonzero(changed).tolist():
            found = self._fleet.replicas[replica]
            most = batch[self._server_index[replica]]
            found.limit_batch(found.engine.max_num_seqs if math.isinf(most) else int(most), now_s)
        self._now_batch = batch

    # --- what is told ----------------------------------------------------------------------

    def _account(self, policy: int, command: Command, now_s: float) -> None:
        """An event where a limit begins, changes or ends; not where its watts are only moved."""
        label = self._labels[policy]
        self.commands[label] += 1
        key = (policy, type(command).__name__, command.slot)
        told = command.told
        before, _ = self._in_force.get(key, ("", ""))
        if told == before:
            return
        if told:
            self._in_force[key] = (told, command.node)
            braked = isinstance(command, LimitClock) and command.brake
            kind: EventKind = "braked" if braked else "limited"
            self._tell(kind, command.node, f"{label}: {told}; {command.reason}")
        else:
            del self._in_force[key]
            self._tell("released", command.node, f"{label}: no longer {before}; {command.reason}")
        limited = any(owner == policy for owner, _, _ in self._in_force)
        if limited:
            self._limited_since.setdefault(label, now_s)
        elif label in self._limited_since:
            self._limited_s[label] += now_s - self._limited_since.pop(label)


def _tightest(wishes: dict[Wish, FloatArray]) -> FloatArray:
    found: FloatArray = np.minimum.reduce(list(wishes.values()))
    return found
