"""The power room: work ledgers in, watts out.

`model` is the contract; `constant`, `mean`, `look_up`, `linear_ledger` and `gru` are its
implementations, `pack` the HDF5 files that a GRU is loaded from, `baseline_tables` what
`mean` and `look_up` read, `learn` how packs are made and judged.
"""

from __future__ import annotations

from collections.abc import Sequence

from dcsim.hardware.catalogue import Catalogue
from dcsim.ledger import ReplicaConfig
from dcsim.power.constant import board_limit, label
from dcsim.power.linear_ledger import LinearLedger
from dcsim.power.look_up import LookUpPower
from dcsim.power.mean import MeanPower
from dcsim.power.model import PowerModel
from dcsim.power.pack import find_pack
from dcsim.power.passed import PassedPower
from dcsim.registry import create, register
from dcsim.scenario.models import Power, PowerSpec


def _gru(spec: Power, configs: Sequence[ReplicaConfig], catalogue: Catalogue) -> PowerModel:
    from dcsim.power.gru import GruPower  # with scipy.special, which takes 0.1 s

    return GruPower(find_pack(spec.pack, configs), catalogue, spec.extrapolate)


register("power_models", "gru", Power, _gru)
register("power_models", "ledger", Power, lambda _, configs, catalogue: LinearLedger(catalogue))
register("power_models", "lut", Power, lambda _, configs, catalogue: LookUpPower(catalogue))
register("power_models", "mean", Power, lambda _, configs, catalogue: MeanPower())
register("power_models", "board-limit", Power, lambda _, configs, catalogue: board_limit())
register("power_models", "label", Power, lambda _, configs, catalogue: label())


def build(spec: PowerSpec, configs: Sequence[ReplicaConfig], catalogue: Catalogue) -> PowerModel:
    """The power model that a scenario names, for replicas of these configurations.

    Raises PluginError, and PackError for a pack that cannot be read; a configuration that a model
    lacks shows when the model is reset.
    """
    if isinstance(spec, PassedPower):
        return spec.take()
    model: PowerModel = create("power_models", spec.model, spec, configs, catalogue)
    return model
