"""How servers come back when they have power again: in groups, with inrush, and a boot."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from dcsim.scenario.models import Restart as Spec

ROUNDING_S = 5e-7


class Restart:
    """Which servers have power and which may serve. Arrays are (servers,).

    A server that loses power is off at once. One whose supply is back waits in a queue, in server
    order; every `every_s` a group of it is switched on, draws `inrush` times its load for
    `inrush_for_s`, and may serve after `boot_s`.
    """

    def __init__(self, spec: Spec, servers: int) -> None:
        self._spec = spec
        self.powered = np.ones(servers, dtype=bool)
        self.ready = np.ones(servers, dtype=bool)
        self._queue: deque[int] = deque()
        self._next_s = -np.inf
        self._calm_s = np.full(servers, -np.inf)
        """When a server's inrush is over."""
        self._ready_s = np.full(servers, -np.inf)
        self._busy = False
        """Whether anybody waits, boots or draws inrush."""
        self._dark = False

    def supply(self, now_s: float, live: npt.NDArray[np.bool_]) -> None:
        """The sockets with voltage have changed."""
        lost = self.powered & ~live
        self.powered &= live
        self.ready &= live
        self._dark = not self.powered.all()
        self._ready_s[lost] = np.inf
        self._calm_s[lost] = -np.inf
        waiting = [server for server in self._queue if live[server]]
        back = live & ~self.powered
        back[waiting] = False
        self._queue = deque([*waiting, *np.flatnonzero(back).tolist()])
        self._busy = self._busy or bool(self._queue)

    def step(self, now_s: float) -> bool:
        """Switch on and boot whoever is due; whether anybody was."""
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
            self._ready_s[group] = now_s + spec.boot_s
            self._next_s = now_s + spec.every_s
            self._dark = not self.powered.all()
            changed = True
            if spec.every_s > 0.0:
                break
        due = self.powered & ~self.ready & (self._ready_s <= now_s + ROUNDING_S)
        if due.any():
            self.ready |= due
            changed = True
        self._busy = bool(
            self._queue
            or (self.powered & ~self.ready).any()
            or (self._calm_s > now_s + ROUNDING_S).any()
        )
        return changed

    def drawn_w(
        self, now_s: float, step_s: float, server_w: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """What servers draw over the step that ends now: nothing in the dark, and inrush."""
        if self._dark:
            server_w = server_w * self.powered
        if not self._busy:
            return server_w
        surge = self._calm_s > now_s - step_s + ROUNDING_S
        return np.where(surge, server_w * self._spec.inrush, server_w)
