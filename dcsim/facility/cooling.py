"""Cooling as a load: so many watts for each IT watt, by load and outdoor temperature."""

from __future__ import annotations

import numpy as np

from dcsim.scenario.models import Cooling
from dcsim.scenario.series import read_series


class CoolingLaw:
    """(PUE(load) - 1) x factor(temperature) x IT watts.

    Both curves are straight lines between their points, their ends held. Raises SeriesError for
    a weather file that cannot be read.
    """

    def __init__(self, spec: Cooling, clock_s: float | None = None) -> None:
        """`clock_s`: time of day at which the run starts. A weather file's times then count from
        that day's midnight, and one of no more than a day holds for each; else they count from the
        start of the run."""
        self._spec = spec
        self._clock_s = clock_s
        self._weather = None if spec.weather is None else read_series(spec.weather, "temperature_c")
        self._load = np.array(spec.by_load)
        self._temperature = np.array(spec.by_temperature)

    @property
    def runs(self) -> bool:
        """Whether there is any cooling to count."""
        return self._spec.pue > 1.0 or bool(self._spec.by_load)

    def pue(self, now_s: float, it_w: float) -> float:
        """Watts of IT and cooling over those of IT."""
        spec = self._spec
        over = spec.pue - 1.0
        if spec.by_load:
            assert spec.design_load_w is not None, "the models ask for it"
            over = float(np.interp(it_w / spec.design_load_w, *self._load.T)) - 1.0
        if spec.by_temperature:
            outside_c = spec.temperature_c
            if self._weather is not None:
                outside_c = self._weather.straight(self._weather.at_s(now_s, self._clock_s))
            assert outside_c is not None, "the models ask for it"
            over *= float(np.interp(outside_c, *self._temperature.T))
        return 1.0 + over

    def load_w(self, now_s: float, it_w: float) -> float:
        """What the plant draws while the servers draw `it_w`."""
        return (self.pue(now_s, it_w) - 1.0) * it_w
