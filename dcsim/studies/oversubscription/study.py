"""Oversubscription: how many racks fit under a limit, by power model and by policy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from dcsim.errors import StudyError
from dcsim.plant import Plant
from dcsim.results.fill_time import warm_up_of
from dcsim.scenario.models import Scenario
from dcsim.spec.units import Seconds, Watts
from dcsim.studies.answer import Answer
from dcsim.studies.ask import seeds_of
from dcsim.studies.busy import far_from_busy_sentences
from dcsim.studies.limits import continuous_w
from dcsim.studies.options import Seeds, SloLoss, Texts, must
from dcsim.studies.oversubscription.candidates import Bounds
from dcsim.studies.oversubscription.cases import by_breaker, by_paper
from dcsim.studies.oversubscription.findings import Case, Findings, nameplate_sentence
from dcsim.studies.oversubscription.words import rule_sentences, rule_uncertainty
from dcsim.studies.runner import Runner
from dcsim.studies.statistics import trials_to_show
from dcsim.studies.study import Study
from dcsim.studies.target import Counted, Under, find_target
from dcsim.studies.variants import (
    NAMEPLATE,
    SCENARIO_CHOICE,
    Policies,
    as_inputs,
    check_models,
    with_model,
    with_policy,
)

BUSY_HOURS = 1000.0
"""Four busy hours on each of 250 working days."""
HOURS_A_YEAR = 8766.0
SEEDS = 20
"""Runs that are carried on to years."""
MaxTrips = Annotated[
    float, must(lambda trips: trips > 0.0, "more than 0, such as 0.1 for one in ten years")
]
BusyHours = Annotated[
    float,
    must(
        lambda hours: 0.0 < hours <= HOURS_A_YEAR,
        "hours of a year, more than 0 and at most 8760",
    ),
]
Uncertainty = Annotated[
    float, must(lambda share: 0.0 <= share < 1.0, "a share from 0 to below 1, such as 0.05")
]


class OversubscriptionStudy(Study):
    """How many racks fit under a row, PDU or site limit, by power model and by policy?"""

    under: Under = None
    """Node whose limit applies. None: the node that feeds the racks."""
    counted: Counted = None
    """Kind of node to count: a row of the facility table under that node. None: racks."""
    limit_w: Watts | None = None
    """Use this limit instead of the node's rating, e.g. '600 kW'. It is taken as what may be
    carried continuously."""
    rule: Literal["breaker", "paper"] = "breaker"
    """breaker: simulated, no trip and the continuous rating kept. paper: 95th percentile over 200
    random subsets of the highest second."""
    models: Texts = (NAMEPLATE, SCENARIO_CHOICE)
    """Power models to compare: scenario (the file's own), nameplate (the makers' labels, no run
    needed), board-limit (every GPU at its limit, always), mean, lut, ledger, gru."""
    policies: Policies = Field(default={})
    """Policies to compare: none, scenario, NAME=FILE.yaml with a control block or NAME='[{policy:
    admission-throttle, nodes: row}]'."""
    seeds: Seeds | None = None
    """How many runs a candidate gets at most, or which: 1,2,9. None: 20, or as many as show
    --max-trip."""
    fill: Literal["continuous", "rating"] = "continuous"
    """Up to what each node may carry for good (80 % of a standard-rated breaker), or up to the
    ratings."""
    max_trips_per_year: MaxTrips = 0.1
    """Most trips allowed in a year's busy hours, at 95 % confidence: a breaker of a row should not
    open in the life of the servers below it."""
    busy_hours: BusyHours = BUSY_HOURS
    """Hours in a year that are as busy as the run: four on each of 250 working days."""
    level_error: Uncertainty | None = None
    """Loads may be higher by this share, 95 % sure. None: by what the watts stand on."""
    day_spread: Uncertainty | None = None
    """Standard deviation of a day's load as a share of it. None: 0.024, of weekdays in a public
    trace."""
    max_trip: float | None = None
    """Criterion by counting runs instead: highest probability that a run fails."""
    max_slo_loss: SloLoss = 0.01
    """Largest share of requests that may miss their SLO."""
    window_s: Seconds = 900.0
    """Averaging time of the load compared with the continuous rating; of a shorter run all that it
    measures."""
    traffic: Literal["scaled", "fixed"] = "scaled"
    """scaled: each server keeps its share, so that more racks bring more requests. fixed: the
    site's traffic is spread over more."""
    draws: Annotated[int, must(lambda draws: draws > 0, "one or more; the paper's are 200")] = 200
    """Number of random subsets in the screening."""
    quantile: Annotated[
        float, must(lambda share: 0.0 < share < 1.0, "between 0 and 1, such as 0.95")
    ] = 0.95
    """Quantile of the subsets' peaks to use."""

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """The largest count of each case.

        By rule `breaker`, no run trips a breaker or has a mean over the window above what the
        limit's node and all that feeds it may carry, and trips in a year and SLO loss are within
        their bounds (`dcsim.studies.risk`); a screen of recorded units says where to start.
        `count_all` is the count with the level's error and the spread of days
        (`dcsim.studies.uncertainty`). By rule `paper`, nothing is simulated beyond the scenario as
        it is.
        """
        check_models(self.models)
        target = find_target(scenario, self.under, self.counted, self.limit_w)
        seeds = self._seeds(scenario)
        allowed_w: dict[str, float] = {}
        limited = scenario
        if self.rule == "breaker" and self.fill == "continuous" and self.limit_w is None:
            allowed_w = continuous_w(scenario)
            held_w = allowed_w.get(target.watched[0], target.limit_w)
            target = replace(target, limit_w=held_w)
        elif self.rule == "breaker":
            limited = target.limited()
        policies = self.policies or {SCENARIO_CHOICE: None}
        cases = [
            Case(model, policy, with_model(with_policy(limited, policy, block), model))
            for model in self.models
            if model != NAMEPLATE
            for policy, block in policies.items()
        ]
        by_nameplate = target.nameplate_count()
        findings = Findings(target, by_nameplate, self.max_trip is not None)
        if NAMEPLATE in self.models:
            findings.nameplate()
        measured_s = scenario.duration_s - warm_up_of(Plant.build(scenario)).cut_s
        bounds = Bounds(
            self.max_trip,
            self.max_slo_loss,
            _whole_window_s(scenario, min(self.window_s, measured_s)),
            self.max_trips_per_year,
            self.busy_hours,
            measured_s / 3600.0,
            allowed_w,
        )
        for case in cases:
            if self.rule == "paper":
                by_paper(findings, case, seeds, self, runner)
            else:
                by_breaker(findings, case, seeds, bounds, self, runner)
        recorded = cases[0].scenario if cases else scenario
        return Answer(
            headline=(*findings.headline(), *far_from_busy_sentences(recorded, findings.outcomes)),
            reasons=(
                nameplate_sentence(target, by_nameplate),
                *rule_sentences(self, target, bounds),
                *findings.reasons,
            ),
            uncertainty=(*rule_uncertainty(self, seeds, scenario, bounds, findings.uncertainties),),
            inputs={
                "under": target.under_name,
                "counted": target.counted_name,
                "limit_w": target.limit_w,
                "policies": as_inputs(policies),
                "seeds": seeds,
                "fill": self.fill if self.limit_w is None else "given",
            },
            figures=findings.figures(),
            cards=findings.cards(),
            tables=findings.tables(),
            plots=findings.plots(),
            runs=findings.outcomes,
        )

    def _seeds(self, scenario: Scenario) -> tuple[int, ...]:
        """Choose the seeds. Raises StudyError where they cannot show the bound."""
        if self.rule == "paper":
            return seeds_of(scenario, 1 if self.seeds is None else self.seeds)
        if self.max_trip is None:
            return seeds_of(scenario, SEEDS if self.seeds is None else self.seeds)
        if not 0.0 < self.max_trip < 1.0:
            raise StudyError(
                f"--max-trip: no number of runs shows a probability of {self.max_trip:g}: give a "
                "bound between 0 and 1, such as 0.05, which 59 seeds without a trip show"
            )
        needed = trials_to_show(self.max_trip)
        seeds = seeds_of(scenario, needed if self.seeds is None else self.seeds)
        if len(seeds) < needed:
            best = 1.0 - 0.05 ** (1.0 / len(seeds))
            raise StudyError(
                f"--seeds: {len(seeds)} runs without a trip do not show a probability of at most "
                f"{self.max_trip:g}: give --seeds {needed}, or --max-trip "
                f"{math.ceil(100 * best) / 100:g}"
            )
        return seeds


def _whole_window_s(base: Scenario, window_s: float) -> float:
    """Return the averaging time, or all of a shorter run: whole power steps either way."""
    step_s = base.power_step_s
    return max(step_s, math.floor(min(window_s, base.duration_s) / step_s + 1e-9) * step_s)
