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
        """Look up a GPU.

        Parameters
        ----------
        name
            Its key in the catalogue, such as "h100-sxm-80gb".

        Returns
        -------
        Gpu
            Its published figures, with sources.

        Raises
        ------
        CatalogueError
            If the catalogue does not have the name; the message suggests the nearest.
        """
        return _entry("GPU", name, self.gpus)

    def model(self, name: str) -> ServedModel:
        """Look up a served model.

        Parameters
        ----------
        name
            Its key in the catalogue, such as "llama-3-70b".

        Returns
        -------
        ServedModel
            Its shape and weights.

        Raises
        ------
        CatalogueError
            If the catalogue does not have the name.
        """
        return _entry("model", name, self.models)

    def server(self, name: str) -> ServerType:
        """Look up a server type.

        Parameters
        ----------
        name
            Its key in the catalogue, such as "dgx-a100-80gb".

        Returns
        -------
        ServerType
            Its GPUs, label and constant watts.

        Raises
        ------
        CatalogueError
            If the catalogue does not have the name.
        """
        return _entry("server", name, self.servers)

    def replica_config(self, model: str, gpu: str, tensor_parallel: int) -> ReplicaConfig:
        """Work out the constants of a replica, with which a power model is reset.

        Parameters
        ----------
        model, gpu
            Keys in the catalogue.
        tensor_parallel
            Number of GPUs of the replica.

        Returns
        -------
        ReplicaConfig
            Constants in SI units.

        Raises
        ------
        CatalogueError
            If the catalogue does not have a name.
        """
        return replica_config(self.model(model), self.gpu(gpu), tensor_parallel)

    def curve(self, name: str) -> Curve:
        """Look up the time-current curve of a breaker.

        Parameters
        ----------
        name
            Its key in the catalogue, such as "ul-489-1000a".

        Returns
        -------
        Curve
            Times to trip by multiple of the rating.

        Raises
        ------
        CatalogueError
            If the catalogue does not have the name.
        """
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
    """Read the shipped catalogue, and what DCSIM_CATALOGUE adds to it. It is read once.

    Parameters
    ----------
    timing_fits
        Whether GPUs have the timing that was fitted to measurements; without it they have the
        published one only, from which a new fit starts.

    Returns
    -------
    Catalogue
        Its entries by name.

    Raises
    ------
    ScenarioError
        If an entry that the user added is wrong; with all problems.
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
