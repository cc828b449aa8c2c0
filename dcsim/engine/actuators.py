"""Carries out what policies command: late where it takes time, and all of them together.

Each policy's requests are kept by themselves, by what they set. The tightest of all holds: the
lowest frequency, the lowest cap, the smallest batch; a server takes requests where every policy
lets it. So policies do not undo one another, and the order of commands between them does not
matter.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.control.account import CommandAccount
from dcsim.control.policy import Command
from dcsim.facility.flow import Flow
from dcsim.plant import Plant
from dcsim.power.gpu_limits import GpuLimits
from dcsim.serving.fleet import Fleet

Requests = dict[tuple[int, str], FloatArray]
"""What is requested of one setting, by policy and slot: a value by server, or a single one."""
SAME_S = 1e-9
"""Times that differ by less are the same: they differ by rounding only."""


class Actuators:
    """From commands to replicas, GPUs, the fleet's door and batteries."""

    def __init__(
        self,
        plant: Plant,
        fleet: Fleet,
        gpu_limits: GpuLimits,
        flow: Flow,
        account: CommandAccount,
    ) -> None:
        """`flow` has the batteries; `account` hears of every command that is obeyed."""
        self._server_index = plant.replicas.server
        self._servers = len(plant.servers)
        self._fleet = fleet
        self._gpu_limits = gpu_limits
        self._account = account
        self._storage = flow.batteries
        self._battery_at = {
            plant.nodes.name[node]: at for at, node in enumerate(flow.battery_nodes.tolist())
        }
        self._stated_shave_w = flow.batteries.shave_above_w.copy()
        self._due: list[tuple[float, int, int, Command]] = []
        self._ordered = 0
        self._changing = False
        """Whether frequencies or caps change inside the present power step."""
        self._requests: dict[str, Requests] = {}
        """By key of the setting."""
        self._actuators: dict[str, Callable[[str, FloatArray, float], None]] = {
            "admission": self._admit,
            "batch": self._limit_batches,
            "priority": self._shed,
            "battery": self._shave,
            "frequency": self._limit_frequency,
            "gpu_power": self._cap_gpus,
            "server_power": self._cap_servers,
        }
        """By target, in the order in which they act: given the key, the lowest of what is
        requested, and the time."""
        self._now_allowed = np.ones(self._servers)
        self._now_batch = np.full(self._servers, np.inf)

    def order(self, policy: int, commands: Sequence[Command], now_s: float) -> None:
        """Take commands of a policy; each is obeyed once its time has passed."""
        for command in commands:
            self._ordered += 1
            heapq.heappush(self._due, (now_s + command.after_s, self._ordered, policy, command))

    def expect(self, now_s: float, until_s: float) -> list[float]:
        """Moments inside the power step from now until then at which commands are due that can be
        obeyed at their own time; the GPUs' limits expect the changes.

        Batteries give and take by whole steps: their commands wait for the end of the step.
        """
        if not self._changing and not (self._due and self._due[0][0] < until_s - SAME_S):
            return []
        inside = [
            (due_s, command)
            for due_s, _, _, command in self._due
            if now_s + SAME_S < due_s < until_s - SAME_S and not command.whole_steps
        ]
        changing = [
            command.where for _, command in inside if command.slows and command.where is not None
        ]
        self._gpu_limits.expect(changing, now_s)
        self._changing = bool(changing)
        return sorted({due_s for due_s, _ in inside})

    def obey(self, now_s: float, inside: bool = False) -> None:
        """Carry out all that is due: at the end of a power step, or `inside` one."""
        touched: dict[str, Command] = {}
        """The last by each key."""
        waiting = []
        while self._due and self._due[0][0] <= now_s + SAME_S:
            order = heapq.heappop(self._due)
            _, _, policy, command = order
            if inside and command.whole_steps:
                waiting.append(order)
                continue
            self._take(policy, command)
            self._account.enter(policy, command, now_s)
            touched[command.key] = command
        for order in waiting:
            heapq.heappush(self._due, order)
        for target, actuator in self._actuators.items():
            for key, command in touched.items():
                if command.target == target:
                    actuator(key, np.minimum.reduce(list(self._requests[key].values())), now_s)
        if any(command.slows for command in touched.values()):
            self._gpu_limits.refresh(now_s)

    # --- requests --------------------------------------------------------------------------

    def _take(self, policy: int, command: Command) -> None:
        if command.target not in self._actuators:
            raise TypeError(f"no actuator sets '{command.target}' ({type(command).__name__})")
        requests = self._requests.setdefault(command.key, {})
        request = (policy, command.slot)
        if request not in requests:
            size = 1 if command.where is None else self._servers
            requests[request] = np.full(size, command.unlimited)
        where = slice(None) if command.where is None else command.where
        requests[request][where] = command.value

    def _admit(self, key: str, allowed: FloatArray, now_s: float) -> None:
        changed = (allowed != self._now_allowed)[self._server_index]
        for replica in np.flatnonzero(changed).tolist():
            is_allowed = bool(allowed[self._server_index[replica]])
            self._fleet.admit(self._fleet.replicas[replica], is_allowed, now_s)
        self._now_allowed = allowed

    def _limit_batches(self, key: str, batch: FloatArray, now_s: float) -> None:
        changed = (batch != self._now_batch)[self._server_index]
        for index in np.flatnonzero(changed).tolist():
            replica = self._fleet.replicas[index]
            most = batch[self._server_index[index]]
            size = replica.engine.max_num_seqs if math.isinf(most) else int(most)
            replica.limit_batch(size, now_s)
        self._now_batch = batch

    def _shed(self, key: str, keep: FloatArray, now_s: float) -> None:
        self._fleet.keep_priority = float(keep[0])

    def _shave(self, key: str, above_w: FloatArray, now_s: float) -> None:
        at = self._battery_at[key.partition(":")[2]]
        self._storage.shave_above_w[at] = min(self._stated_shave_w[at], float(above_w[0]))

    def _limit_frequency(self, key: str, ratio: FloatArray, now_s: float) -> None:
        self._gpu_limits.frequency_ratio = ratio[self._server_index]

    def _cap_gpus(self, key: str, cap_w: FloatArray, now_s: float) -> None:
        self._gpu_limits.gpu_cap_w = cap_w[self._server_index] * self._gpu_limits.gpus

    def _cap_servers(self, key: str, cap_w: FloatArray, now_s: float) -> None:
        self._gpu_limits.server_cap_w = cap_w
