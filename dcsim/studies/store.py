"""The folder of runs played: a file or two for each, complete or absent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.files import atomic_path, atomic_write
from dcsim.studies.heating import Heating
from dcsim.studies.outcome import LoadSeries, RunOutcome


class Store:
    """Outcomes by their job's key.

    `KEY.json` holds the figures, `KEY.npz` the series of those runs that keep any. The JSON is
    written last and each file takes its name when it is whole, so that whatever stops the study,
    a run is there or is not. Several studies may share a folder, at the same time too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __contains__(self, key: str) -> bool:
        return self._figures(key).exists()

    def keys(self) -> Iterator[str]:
        """Yield the keys of all runs that are there."""
        return (path.stem for path in sorted(self.folder.glob("*.json")))

    def write(self, outcome: RunOutcome) -> None:
        """Keep an outcome. Raises OSError."""
        if outcome.series:
            arrays: dict[str, Any] = {}
            for kind, series in outcome.series.items():
                arrays[f"{kind}.load_w"] = series.load_w
                arrays[f"{kind}.names"] = np.array(series.names)
                arrays[f"{kind}.step_s"] = np.array(series.step_s)
                arrays[f"{kind}.start_s"] = np.array(series.start_s)
            with atomic_path(self._arrays(outcome.key)) as part, part.open("wb") as file:
                np.savez_compressed(file, **arrays)
        content = {
            "key": outcome.key,
            "seed": outcome.seed,
            "wall_s": outcome.wall_s,
            "series": sorted(outcome.series),
            "summary": outcome.summary,
            "loads": outcome.loads,
            "flags": outcome.flags,
            "heating": {name: heating.as_row() for name, heating in outcome.heating.items()},
        }
        atomic_write(self._figures(outcome.key), json.dumps(content, allow_nan=False))

    def read(self, key: str, *, series: bool = True) -> RunOutcome:
        """An outcome kept before. Raises KeyError where there is none, or a damaged one."""
        try:
            content = json.loads(self._figures(key).read_text(encoding="utf-8"))
            series_by_kind = {}
            if series and content["series"]:
                with np.load(self._arrays(key), allow_pickle=False) as arrays:
                    for kind in content["series"]:
                        series_by_kind[kind] = LoadSeries(
                            tuple(arrays[f"{kind}.names"].tolist()),
                            float(arrays[f"{kind}.step_s"]),
                            arrays[f"{kind}.load_w"],
                            float(arrays[f"{kind}.start_s"]),
                        )
            return RunOutcome(
                content["key"],
                content["seed"],
                content["summary"],
                content["loads"],
                content["flags"],
                content["wall_s"],
                series_by_kind,
                {name: Heating.of_row(row) for name, row in content["heating"].items()},
            )
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise KeyError(key) from error

    def whole(self, key: str) -> bool:
        """Whether a run is there and can be read; a damaged one is put away, to be played anew."""
        if key not in self:
            return False
        try:
            self.read(key)
        except KeyError:
            for path in (self._figures(key), self._arrays(key)):
                path.unlink(missing_ok=True)
            return False
        return True

    def _figures(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _arrays(self, key: str) -> Path:
        return self.folder / f"{key}.npz"
