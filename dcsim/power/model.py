"""The power-model contract: work in, watts out, one batched call a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.ledger import ReplicaConfig, WorkLedger

Evidence = Literal["measured", "fitted", "extrapolated"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model's watts come from. `evidence` is the weakest kind that entered them."""

    evidence: Evidence
    source: str
    """One line: data sets, fits and assumptions, fit to print beside a figure."""
    error: float | None = None
    """Median absolute error of mean watts on what the model has not seen, as a share; None where
    nobody has looked."""


@runtime_checkable
class PowerModel(Protocol):
    """Watts of GPUs, causal and batched: one call a step serves every replica that shares the
    model.

    The watts are those of a replica's GPUs; the rest of the server is the chassis model's.
    """

    name: str
    """What summaries call it."""
    pack: str | None
    """File name of its fitted parameters; None where it has none."""

    def reset(
        self, configs: Sequence[ReplicaConfig], step_s: float, seed: np.random.SeedSequence
    ) -> None:
        """Forget the past and prepare for a run.

        Parameters
        ----------
        configs
            One a replica, in the order of the ledger's rows.
        step_s
            Length of a power step.
        seed
            Where all that the model draws comes from.
        """

    def step(self, ledger: WorkLedger) -> FloatArray:
        """Turn the work of a power step into watts.

        Parameters
        ----------
        ledger
            Work of the step that has just ended, a row a replica.

        Returns
        -------
        numpy.ndarray
            Mean watts of each replica's GPUs over the step, shape (n,). The next call may reuse
            the array.
        """

    def provenance(self, config: ReplicaConfig) -> Provenance:
        """Say what stands behind the watts of a configuration.

        Parameters
        ----------
        config
            Any of those that the model was reset with.

        Returns
        -------
        Provenance
            Kind of evidence, source and error.
        """
