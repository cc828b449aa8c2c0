"""What an oversubscription study says of its rule, and of how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dcsim.facility.limit_words import label
from dcsim.facility.limits import stated_limits
from dcsim.plant import Plant
from dcsim.scenario.models import Scenario
from dcsim.spec.units import SECOND
from dcsim.studies.ask import promise
from dcsim.studies.oversubscription.candidates import OTHER_LIMITS, Bounds
from dcsim.studies.statistics import share_mean_at_most
from dcsim.studies.target import CountTarget
from dcsim.studies.uncertainty import LoadUncertainty, level_sentence, uncertainty_sentences

if TYPE_CHECKING:
    from dcsim.studies.oversubscription.study import OversubscriptionStudy


def rule_sentences(
    study: OversubscriptionStudy, target: CountTarget, bounds: Bounds
) -> tuple[str, ...]:
    """Say what a candidate is held to."""
    scenario, watched = target.scenario, target.watched_and_above
    others = [
        f"{row['node']}, {label(row)}"
        for row in stated_limits(Plant.build(scenario))
        if row["kind"] in OTHER_LIMITS and row["node"] in watched
    ]
    if study.rule == "paper":
        return (
            f"Rule `paper`: of {study.draws} random subsets of the recorded units, the "
            f"{100 * study.quantile:.0f} % quantile of the peak, the highest 1 s mean, is at most "
            "the limit.",
            "More racks bring no traffic of their own here, each keeps what it was recorded with.",
            *([f"Not judged by it: {'; '.join(others)}."] if others else []),
        )
    keeps = (
        "Each server keeps its share of the traffic, which grows with the servers."
        if study.traffic == "scaled"
        else "The traffic stays as it is, spread over more servers."
    )
    allowed = "its continuous allowance" if bounds.allowed_w else "its limit"
    if bounds.max_trip is None:
        risk = (
            f"no run may, and breakers trip at most {bounds.max_trips_per_year:g} times in "
            f"{bounds.busy_hours:g} busy hours a year, with 95 % confidence"
        )
    else:
        risk = (
            f"that has a probability of at most {bounds.max_trip:g} a run with 95 % confidence, "
            "by counting"
        )
    return (
        "Rule `breaker`: a run fails where a breaker trips, or a mean over "
        f"{bounds.window_s:g} s is above what a node may carry ({allowed}); {risk}. The SLO loss "
        f"is at most {bounds.max_slo_loss:g}.",
        *(
            [
                f"Nor may a run pass: {'; '.join(others)}. A demand window that no run fills is "
                "judged by the mean over all that the run measures. By nameplate only the limit of "
                f"{target.under_name} counts."
            ]
            if others
            else []
        ),
        f"Peak means the highest mean over {bounds.window_s:g} s throughout.",
        f"SLO loss is the {promise(scenario)}.",
        keeps,
    )


def rule_uncertainty(
    study: OversubscriptionStudy,
    seeds: Sequence[int],
    scenario: Scenario,
    bounds: Bounds,
    uncertainties: Sequence[LoadUncertainty] = (),
) -> tuple[str, ...]:
    """Say what the answer stands on, and what is not in it."""
    length = SECOND.format(scenario.duration_s)
    if study.rule == "paper":
        return (
            f"Intervals are of the {100 * study.quantile:.0f} % quantile over {study.draws} "
            "draws, whatever its distribution; draws share the same recording.",
            f"{len(seeds)} recording{'s' if len(seeds) > 1 else ''} of {length}: another day "
            "is not in it, nor what breakers and queues would do.",
            *dict.fromkeys(level_sentence(uncertainty) for uncertainty in uncertainties),
        )
    return (
        f"Runs of {length} differ in traffic, tokens and routing of {len(seeds)} seeds; all "
        "candidates met the same seeds.",
        *(_years_sentences(bounds) if bounds.max_trip is None else ()),
        f"SLO loss is bounded by betting over runs, whatever its distribution; {len(seeds)} runs "
        f"without loss show at most {share_mean_at_most(np.zeros(len(seeds))):.2%}. Where they "
        "could not show the bound asked for, their mean is held to it.",
        *_beside_seeds(uncertainties),
        "What fits is searched for as if more racks were never safer; candidates not in the table "
        "were not played.",
        *(
            [f"Runs last {length}: what the continuous rating would see later is not in them."]
            if scenario.duration_s < 3600.0
            else []
        ),
    )


def _beside_seeds(uncertainties: Sequence[LoadUncertainty]) -> tuple[str, ...]:
    """Say what is uncertain besides seeds, and how it enters the second count."""
    if not uncertainties:
        return ()
    return (
        *dict.fromkeys(
            line for uncertainty in uncertainties for line in uncertainty_sentences(uncertainty)
        ),
        "The count with all that is the largest at which runs of any day at the higher level stay "
        "within what nodes may carry with 95 %, and trips a year within the bound, summed over "
        "days; found by scaling the runs' loads, then played.",
    )


def _years_sentences(bounds: Bounds) -> tuple[str, ...]:
    """Say how runs are carried on to years."""
    return (
        "Trips a year: how near a load came is its trip ratio, its share of the load of the same "
        "course at which a breaker at the earliest edge of its band, warm from the run, trips; "
        f"where there is no breaker, of one whose mean over {bounds.window_s:g} s is the rating. "
        "No trip is possible where every server at its label stays under the pick-up. Else the "
        "better of two bounds, each at 97.5 %: bursts above all that was seen, at the labels' "
        "load, as many as a breaker trips after, in pieces of time whose neighbours do not hang "
        "together (or as long as a row-budget takes to act, above what it allows); or a Gumbel "
        "tail of the highest ratios of such blocks, at last of whole runs, no heavier since loads "
        "are bounded, where the data do not speak against it and are enough to tell. Where "
        f"neither says anything, nothing fits. {bounds.busy_hours:g} hours a year are like the "
        f"{bounds.run_hours:.3g} h of a run, all others quieter.",
    )
