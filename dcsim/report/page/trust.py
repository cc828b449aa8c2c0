"""What stands behind a run's figures, and what was not modelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import yaml
from pydantic import ValidationError

from dcsim.evidence import EVIDENCE
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.hardware.timing import timing_of
from dcsim.report.page.parts import card, evidence_table
from dcsim.results import Results
from dcsim.results.goodput import TenantSlo
from dcsim.scenario.models import FacilityNode, Scenario

NOT_MODELLED = (
    "Voltage, short circuits and their selectivity, harmonics and neutral currents, cable losses.",
    "Generators: batteries are all that carries a site whose utility is lost.",
    "Ambient heat at breakers and thermal drift of GPUs.",
    "The network between the router and the servers, and replicas over several servers.",
    "Users who give up or ask again after a rejection, unless the scenario says so; conversations "
    "that wait for an answer.",
    "Anything within a power step: what happens is felt from the next step on.",
)


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One line of evidence."""

    what: str
    evidence: str
    source: str


@dataclass(frozen=True, slots=True)
class Trust:
    """A scenario's words about itself, and the evidence by figure."""

    name: str
    description: str
    facility: tuple[FacilityNode, ...] | None
    """None where the file's scenario cannot be read by this version."""
    slos: tuple[TenantSlo, ...]
    rows: tuple[EvidenceRow, ...]
    watts: str
    """Shares of the site's watts, such as `58 % fitted, 42 % assumed`; of files without them, the
    weakest evidence of a power model."""
    latency: str
    seed: int
    versions: Mapping[str, str]

    @classmethod
    def from_results(cls, results: Results) -> Trust:
        """From a results file. A scenario of a later version is read as far as it goes."""
        data = yaml.safe_load(results.scenario_yaml)
        plain = data if isinstance(data, dict) else {}
        try:
            scenario = Scenario.model_validate(plain)
        except ValidationError:
            scenario = None
        rows = [
            EvidenceRow(f"GPU power of {row['configuration']}", row["evidence"], row["source"])
            for row in _power_rows(results.summary.get("power_model"))
        ]
        watts = weakest([row.evidence for row in rows])
        evidence = results.summary.get("evidence") or {}
        if evidence.get("mean_w") is not None:
            watts = evidence["text"]
        times: list[EvidenceRow] = []
        if scenario is not None:
            catalogue = load_catalogue()
            times, rest = _serving_rows(scenario, catalogue), _chassis_rows(scenario, catalogue)
            rows += [*times, *rest]
        tenants = () if scenario is None else scenario.tenants
        slos = tuple(map(TenantSlo.from_tenant, tenants))
        return cls(
            str(plain.get("name", results.path.stem)),
            str(plain.get("description", "")),
            None if scenario is None else scenario.facility,
            slos,
            tuple(rows),
            watts,
            weakest([row.evidence for row in times]),
            results.seed,
            results.versions,
        )

    def html(self) -> str:
        """The section: evidence by line, versions, what is not modelled."""
        used = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        left_out = "".join(f"<li>{escape(line)}</li>" for line in NOT_MODELLED)
        rows = ((row.what, row.evidence, row.source) for row in self.rows)
        note = f"Seed {self.seed}; {used}. The same scenario and seed give the same figures."
        return card(
            evidence_table(rows, "The file does not say what its figures stand on.")
            + f'<p class="small">{escape(note)}</p>',
            "Evidence",
        ) + card(f"<ul>{left_out}</ul>", "What is not modelled")


def weakest(kinds: Sequence[str]) -> str:
    """The weakest kind of evidence; `unknown` of nothing."""
    return max(kinds, key=EVIDENCE.index) if kinds and set(kinds) <= set(EVIDENCE) else "unknown"


def _power_rows(models: Any) -> list[Mapping[str, Any]]:
    every = models if isinstance(models, list) else [models] if models else []
    return [row for model in every for row in model.get("provenance", ())]


def _serving_rows(scenario: Scenario, catalogue: Catalogue) -> list[EvidenceRow]:
    rows = {}
    for group in scenario.servers:
        kind, model = catalogue.servers.get(group.server), catalogue.models.get(group.model)
        if kind is None or model is None:
            continue
        timing = timing_of(model, catalogue.gpus[kind.gpu])
        what = f"Times of {group.model} on {kind.gpu}"
        rows[what] = EvidenceRow(what, timing.evidence, "iteration-time constants of the catalogue")
    return list(rows.values())


def _chassis_rows(scenario: Scenario, catalogue: Catalogue) -> list[EvidenceRow]:
    rows = {}
    for group in scenario.servers:
        kind = catalogue.servers.get(group.server)
        if kind is not None:
            what = f"CPUs, fans and conversion of {group.server}"
            rows[what] = EvidenceRow(what, kind.non_gpu_evidence, "the catalogue's server type")
    return list(rows.values())
