"""The power room: work ledgers in, watts out.

`model` is the contract; `nameplate`, `board_limit`, `mean`, `look_up`, `linear_ledger` and `gru`
are its implementations, `pack` the HDF5 files that a GRU is loaded from, `baseline_tables` what
`mean` and `look_up` read, `learn` how packs are made and judged.
"""

from __future__ import annotations

from collections.abc import Sequence

from dcsim.hardware.catalogue import Catalogue
from dcsim.ledger import ReplicaConfig
from dcsim.power.model import PowerModel
from dcsim.scenario.models import Power


def build(spec: Power, configs: Sequence[ReplicaConfig], catalogue: Catalogue) -> PowerModel:
    """The power model that a scenario names, for replicas of these configurations.

    Raises PackError for a pack that cannot be read; one that lacks a configuration is found out
    when the model is reset.
    """
    # Imported here, because only the GRU needs PyTorch, which takes over a second to import.
    if spec.model == "label":
        from dcsim.power.nameplate import Nameplate

        return Nameplate()
    if spec.model == "board-limit":
        from dcsim.power.board_limit import BoardLimit

        return BoardLimit()
    if spec.model == "ledger":
        from dcsim.power.linear_ledger import LinearLedger

        return LinearLedger(catalogue)
    if spec.model == "mean":
        from dcsim.power.mean import MeanPower

        return MeanPower()
    if spec.model == "lut":
        from dcsim.power.look_up import LookUpPower

        return LookUpPower(catalogue)
    from dcsim.power.gru import GruPower
    from dcsim.power.pack import find_pack

    return GruPower(find_pack(spec.pack, configs), catalogue, spec.extrapolate)
