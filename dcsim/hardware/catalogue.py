"""The catalogue: GPUs, served models, servers and curves that scenario files name. YAML, with
sources."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any, TypeVar

import yaml

from dcsim.errors import CatalogueError
from dcsim.hardware.curves import Curve, LossCurve
from dcsim.hardware.gpus import Gpu
from dcsim.hardware.models import ServedModel
from dcsim.hardware.own_catalogue import own_entries, own_folder
from dcsim.hardware.replicas import replica_config
from dcsim.hardware.servers import ServerType
from dcsim.ledger import ReplicaConfig
from dcsim.spec.base import Spec
from dcsim.spec.nearest import suggestion


class Catalogue(Spec):
    """GPUs, served models, servers and curves by name: what scenarios may refer to."""

    gpus: dict[str, Gpu]
    models: dict[str, ServedModel]
    servers: dict[str, ServerType]
    curves: dict[str, Curve]
    losses: dict[str, LossCurve]

    def gpu(self, name: str) -> Gpu:
        """Raises CatalogueError for an unknown name, as the other three do."""
        return _entry("GPU", name, self.gpus)

    def model(self, name: str) -> ServedModel:
        """A served model by name."""
        return _entry("model", name, self.models)

    def server(self, name: str) -> ServerType:
        """A server type by name."""
        return _entry("server", name, self.servers)

    def replica_config(self, model: str, gpu: str, tensor_parallel: int) -> ReplicaConfig:
        """The constants of a replica of a model on so many GPUs, all by name: what a power model
        is reset with."""
        return replica_config(self.model(model), self.gpu(gpu), tensor_parallel)

    def curve(self, name: str) -> Curve:
        """A time-current curve by name."""
        return _entry("curve", name, self.curves)


Entry = TypeVar("Entry")


def _entry(kind: str, name: str, entries: dict[str, Entry]) -> Entry:
    if name not in entries:
        hint = suggestion(name, entries)
        raise CatalogueError(f"no {kind} '{name}' in the catalogue" + (f"; {hint}" if hint else ""))
    return entries[name]


_FILES: dict[str, type[Spec]] = {
    "gpus": Gpu,
    "models": ServedModel,
    "servers": ServerType,
    "curves": Curve,
    "losses": LossCurve,
}


TIMING_FITS = "timing_fits.yaml"
"""Made by `benchmarks.timing_fit`, by GPU; never edited by hand."""


def load_catalogue(*, timing_fits: bool = True) -> Catalogue:
    """The shipped catalogue and what DCSIM_CATALOGUE adds to it, read once. Each entry's key is
    its name.

    Without `timing_fits`, GPUs have the published timing only: what a new fit starts from. Raises
    ScenarioError for a catalogue of one's own that is wrong.
    """
    return _load(timing_fits, own_folder())


@lru_cache(maxsize=4)
def _load(timing_fits: bool, folder: str) -> Catalogue:
    tables: dict[str, dict[str, Spec]] = {}
    fits = _rows(TIMING_FITS) if timing_fits else {}
    for table, kind in _FILES.items():
        tables[table] = {}
        for name, row in _rows(f"{table}.yaml").items():
            fit = {"timing_fit": fits[name]} if table == "gpus" and name in fits else {}
            tables[table][name] = kind.model_validate({"name": name, **row, **fit})
    if folder:
        for table, entries in own_entries(folder, _FILES, tables).items():
            tables[table] |= entries
    return Catalogue.model_validate(tables)


def _rows(file: str) -> dict[str, dict[str, Any]]:
    text = (resources.files("dcsim.hardware") / "data" / file).read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = yaml.load(
        text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return rows or {}
