"""How servers come back when they have power again: in groups, with inrush, boot and load."""

from __future__ import annotations

from collections import deque

import numpy as np

from dcsim.arrays import BoolArray, FloatArray
from dcsim.facility.tolerance import ROUNDING_S
from dcsim.scenario.models import Restart


class RestartSequence:
    """Which servers have power, which have booted and which may serve. Arrays are (servers,).

    A server that loses power is off at once. One whose supply is back waits in a queue, in server
    order; every `every_s` a group of it is switched on, draws `inrush` times its load for
    `inrush_for_s`, has booted after `boot_s`, and may serve when it has loaded its weights too.
    """

    def __init__(self, spec: Restart, servers: int, load_s: FloatArray | None = None) -> None:
        """`load_s`: how long each server takes from its boot to serving."""
        self._spec = spec
        self._load_s = np.zeros(servers) if load_s is None else load_s
        self.powered = np.ones(servers, dtype=bool)
        self.booted = np.ones(servers, dtype=bool)
        self.ready = np.ones(servers, dtype=bool)
        self._queue: deque[int] = deque()
        self._next_s = -np.inf
        self._calm_s = np.full(servers, -np.inf)
        """When a server's inrush is over."""
        self._booted_s = np.full(servers, -np.inf)
        self._ready_s = np.full(servers, -np.inf)
        self._busy = False
        """Whether anybody waits, boots or draws inrush."""
        self._some_off = False

    def supply(self, now_s: float, live: BoolArray) -> None:
        """The sockets with voltage have changed."""
        lost = self.powered & ~live
        self.powered &= live
        self.booted &= live
        self.ready &= live
        self._some_off = not self.powered.all()
        self._booted_s[lost] = self._ready_s[lost] = np.inf
        self._calm_s[lost] = -np.inf
        waiting = [server for server in self._queue if live[server]]
        back = live & ~self.powered
        back[waiting] = False
        self._queue = deque([*waiting, *np.flatnonzero(back).tolist()])
        self._busy = self._busy or bool(self._queue)

    def drop(self, now_s: float, dropped: BoolArray) -> None:
        """Servers that were without voltage for longer than their supplies hold, and have it again:
        off until the next step, at the earliest."""
        live = self.powered.copy()
        live[list(self._queue)] = True
        self.supply(now_s, live & ~dropped)
        self.supply(now_s, live)
        self._next_s = max(self._next_s, now_s + 2 * ROUNDING_S)

    def step(self, now_s: float) -> bool:
        """Switch on, boot and load the servers that are due; whether any was."""
        if not self._busy:
            return False
        spec = self._spec
        changed = False
        while self._queue and self._next_s <= now_s + ROUNDING_S:
            group = [
                self._queue.popleft()
                for _ in range(min(spec.group or len(self._queue), len(self._queue)))
            ]
            self.powered[group] = True
            self._calm_s[group] = now_s + spec.inrush_for_s
            self._booted_s[group] = now_s + spec.boot_s
            self._ready_s[group] = now_s + spec.boot_s + self._load_s[group]
            self._next_s = now_s + spec.every_s
            self._some_off = not self.powered.all()
            changed = True
            if spec.every_s > 0.0:
                break
        for done, due_s in ((self.booted, self._booted_s), (self.ready, self._ready_s)):
            due = self.powered & ~done & (due_s <= now_s + ROUNDING_S)
            if due.any():
                done[due] = True
                changed = True
        self._busy = bool(
            self._queue
            or (self.powered & ~self.ready).any()
            or (self._calm_s > now_s + ROUNDING_S).any()
        )
        return changed

    def drawn_w(self, now_s: float, step_s: float, server_w: FloatArray) -> FloatArray:
        """What servers draw in the mean over the step that ends now: nothing without power, and
        inrush for the part of the step that it lasts."""
        if self._some_off:
            server_w = server_w * self.powered
        if not self._busy:
            return server_w
        surge = np.clip((self._calm_s - (now_s - step_s)) / step_s, 0.0, 1.0)
        surge[surge * step_s < ROUNDING_S] = 0.0
        drawn_w: FloatArray = server_w * (1.0 + (self._spec.inrush - 1.0) * surge)
        return drawn_w
