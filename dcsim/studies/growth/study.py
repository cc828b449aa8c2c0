"""Growth: when does more traffic meet a limit, which one first, and what would put it off."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from dcsim.errors import StudyError
from dcsim.scenario.models import Scenario
from dcsim.spec.units import SECOND, Seconds
from dcsim.studies.answer import Answer, Card, Plot, Table
from dcsim.studies.ask import (
    averaging_times_s,
    play_cases,
    promise,
    seeds_of,
    slo_loss,
    variant,
    with_traffic,
)
from dcsim.studies.busy import far_from_busy_sentences
from dcsim.studies.figures import NAN, fitting_window_s
from dcsim.studies.fixes import Fix
from dcsim.studies.growth.rows import (
    BREACH_COLUMNS,
    BREACH_SHOWN,
    FIX_COLUMNS,
    FIX_SHOWN,
    LEVEL_COLUMNS,
    LOAD_COLUMNS,
    SERVICE_COLUMNS,
    SERVICE_SHOWN,
    Pace,
    breach_rows,
    level_rows,
    load_rows_by_factor,
    not_met,
    sentences,
    service_rows,
)
from dcsim.studies.limits import left_out, limits_of
from dcsim.studies.options import (
    Day,
    GrowthFactor,
    Numbers,
    Seeds,
    SloLoss,
    Typed,
    from_text,
    must,
)
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.runner import Runner
from dcsim.studies.study import Study
from dcsim.studies.uncertainty import uncertainty_of, uncertainty_sentences

OUT_OF_RANGE = "must be above 0 and at most 1000"
UNLIMITED = (
    "the facility has no limit that traffic could meet: give a node the key `rating`, or the site "
    "a `demand` limit",
)
MONTHS = {"per_month": 1, "per_quarter": 3, "per_year": 12}


class GrowthStudy(Study):
    """When does more traffic meet a limit, which one first, and what would put it off?"""

    factors: Annotated[
        Numbers,
        must(lambda factors: len(set(factors)) > 1, "give two or more, such as 1.0:2.0:0.1"),
        must(lambda factors: min(factors) > 0 and max(factors) <= 1000, OUT_OF_RANGE),
    ] = Field(default="1:2:0.1", validate_default=True)
    """Traffic as multiples of the file's, two or more: 1:2:0.1 or 1,1.5,2."""
    per_month: GrowthFactor | None = None
    """Growth per month, compound: '5 %', or the factor 1.05. Factors become months."""
    per_quarter: GrowthFactor | None = None
    """Growth per quarter instead: '10 %', or 1.10."""
    per_year: GrowthFactor | None = None
    """Growth per year instead: '40 %', or 1.40."""
    start: Day | None = None
    """Date at which the traffic equals the file's. Months become dates."""
    max_slo_loss: SloLoss = 0.01
    """Share of requests that may miss their SLO."""
    fixes: Annotated[
        tuple[Annotated[Fix, from_text(Fix.parse)], ...],
        must(
            lambda fixes: len({fix.name for fix in fixes}) == len(fixes),
            "two fixes have the same name",
        ),
        Typed(flag="fix", metavar="'NAME | COST | PATH=VALUE'"),
    ] = ()
    """A measure that could be taken, and its cost in any one currency: 'bigger feeder | 40000 |
    facility.row.rating=700 kW'. It is played from the factor of the first breach on."""
    seeds: Seeds = 3
    """Number of seeds, counting up from the file's, or a list of them (1,2,9)."""
    window_s: Seconds = 60.0
    """Averaging time of the loads compared with ratings; all other limits have their own."""

    @model_validator(mode="after")
    def _growth_is_given_once(self) -> Self:
        given = [f"--{span.replace('_', '-')}" for span in MONTHS if getattr(self, span)]
        if len(given) > 1:
            raise StudyError(f"{' and '.join(given)}: choose one")
        if self.start is not None and not given:
            raise StudyError("--start: a date needs a pace: give --per-month 1.05 too")
        return self

    @property
    def pace(self) -> Pace:
        """The pace of traffic, whichever span the growth is given for."""
        for span, months in MONTHS.items():
            factor = getattr(self, span)
            if factor is not None:
                return Pace(factor ** (1.0 / months), self.start)
        return Pace(None, None)

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """The scenario at every factor, limits of all kinds, and each fix. Between two factors the
        peak is taken to run straight."""
        grid = tuple(round(factor, 9) for factor in sorted(set(self.factors)))
        pace = self.pace
        seeds = seeds_of(scenario, self.seeds)
        # Fixes are checked before hours are spent.
        mended = {
            fix.name: variant(scenario, fix.changes, f"--fix {fix.name}") for fix in self.fixes
        }
        outcomes = self._at(runner, scenario, grid, seeds, "growth")
        window_s = fitting_window_s(outcomes[grid[0]][0], self.window_s)
        breaches = breach_rows(outcomes, window_s, pace)
        executed = [run for runs in outcomes.values() for run in runs]
        unjudged = left_out(executed)
        if breaches.empty:
            raise StudyError(*unjudged or UNLIMITED)
        service = service_rows(outcomes, pace)
        first = breaches.iloc[0]
        met = math.isfinite(first["factor"])
        fixes = None
        if self.fixes and met:
            fixes = self._fixes(mended, grid, float(first["factor"]), seeds, window_s, runner)
        slo_at = service.loc[service["slo_loss"] > self.max_slo_loss, "factor"].min()
        tables = {
            "breaches": Table(
                breaches,
                "where each limit is met, the first on top",
                BREACH_COLUMNS,
                BREACH_SHOWN,
                brief=int((breaches["reached"] > 0).sum()),
                rest=not_met(breaches, grid),
            ),
            "levels": Table(
                level_rows(outcomes, window_s, pace),
                "of each level the node nearest to its limit",
                LEVEL_COLUMNS,
            ),
            "loads": Table(
                load_rows_by_factor(outcomes, window_s, pace),
                "load of every node at every factor",
                LOAD_COLUMNS,
            ),
            "service": Table(service, "what requests felt", SERVICE_COLUMNS, SERVICE_SHOWN),
        }
        if fixes is not None:
            tables["fixes"] = Table(
                fixes, "what would put it off, the cheapest on top", FIX_COLUMNS, FIX_SHOWN
            )
        headline, reasons = sentences(first, slo_at, self.max_slo_loss, grid, breaches, fixes, pace)
        at_first = outcomes[grid[0]]
        return Answer(
            headline=headline,
            reasons=(
                *reasons,
                f"SLO loss is the {promise(scenario)}.",
            ),
            uncertainty=(
                f"Ratings are held to the highest mean over {SECOND.format(window_s)} in "
                f"{SECOND.format(scenario.duration_s)}, other limits to their own; a longer run "
                "has a higher peak.",
                *unjudged,
                f"Intervals are 95 % of the mean factor over {len(seeds)} seeds (Student): a "
                "further run meets a limit earlier than each of them with a chance of 1 in "
                f"{len(seeds) + 1}."
                if len(seeds) > 1
                else "One seed: the spread of a breach is unknown; give --seeds 5.",
                *uncertainty_sentences(uncertainty_of(at_first[0].summary)),
                *_early_sentence(breaches),
                "Between two factors the peak is interpolated linearly.",
                "Growth is taken to be the same for all streams and to keep its pace.",
                *far_from_busy_sentences(scenario, at_first),
            ),
            inputs={
                "factors": grid,
                "per_month": pace.per_month,
                "seeds": seeds,
                "window_s": window_s,
            },
            figures={
                "first_breach_node": first["node"] if met else None,
                "first_breach_limit": first["limit"] if met else None,
                "first_breach_kind": first["limit_kind"] if met else None,
                "first_breach_factor": first["factor"],
                "first_breach_factor_low": first["factor_low"],
                "first_breach_factor_high": first["factor_high"],
                "first_breach_factor_in_doubt": breaches["factor_in_doubt"].min(),
                "first_breach_month": first["month"],
                "first_breach_date": first["date"],
                "slo_breach_factor": slo_at,
                "cheapest_fix": None
                if fixes is None or not fixes["removes"].any()
                else fixes.loc[fixes["removes"], "fix"].iloc[0],
            },
            cards=(
                Card("first_breach_node", "limit met first"),
                Card("first_breach_factor", "times the traffic of the file, when it is met"),
                Card("first_breach_month", "months until then"),
                Card("first_breach_date", "the day"),
                Card("slo_breach_factor", "times the traffic, when the SLO is lost"),
                Card("cheapest_fix", "cheapest fix listed that helps"),
            ),
            tables=tables,
            plots=(
                Plot(
                    "levels",
                    "highest load as a share of the limit: of each level the node nearest to its "
                    "own",
                    "factor",
                    ["of_limit"],
                    "line",
                ),
                *(
                    [Plot("service", "SLO loss", "factor", ["slo_loss"])]
                    if (service["slo_loss"] > 0).any()
                    else []
                ),
            ),
            runs=executed,
        )

    def _at(
        self,
        runner: Runner,
        scenario: Scenario,
        factors: Sequence[float],
        seeds: Sequence[int],
        what: str,
    ) -> dict[float, list[RunOutcome]]:
        """Play a scenario at each factor."""
        cases = {factor: with_traffic(scenario, factor) for factor in factors}
        return play_cases(runner, cases, seeds, what, averaging_times_s(self.window_s))

    def _fixes(
        self,
        mended: Mapping[str, Scenario],
        grid: Sequence[float],
        breach: float,
        seeds: Sequence[int],
        window_s: float,
        runner: Runner,
    ) -> pd.DataFrame:
        """Play each fix, from the last factor before the breach on."""
        pace = self.pace
        above = [factor for factor in grid if factor >= breach]
        factors = [*[factor for factor in grid if factor < breach][-1:], *above]
        rows = []
        for fix in self.fixes:
            outcomes = self._at(runner, mended[fix.name], factors, seeds, f"fix: {fix.name}")
            at_breach = outcomes[above[0]]
            first = breach_rows(outcomes, window_s, pace).iloc[0]
            met = math.isfinite(first["factor"])
            # At least so much later, where the fix carries to the last factor.
            later = pace.months(first["factor"] if met else grid[-1]) - pace.months(breach)
            rows.append(
                {
                    "fix": fix.name,
                    "cost": fix.cost,
                    "removes": not any(
                        figure.met
                        for run in at_breach
                        for figure in limits_of(run, rating_window_s=window_s)
                    ),
                    "factor": first["factor"],
                    "binding": f"{first['node']}, {first['limit']}" if met else None,
                    "gained_months": later,
                    "cost_per_month": fix.cost / later if later > 0 else NAN,
                    "slo_loss": float(np.mean([slo_loss(run.summary) for run in at_breach])),
                }
            )
        table = pd.DataFrame(rows, columns=list(FIX_COLUMNS))
        order = table.assign(last=~table["removes"]).sort_values(["last", "cost"], kind="stable")
        return table.loc[order.index].reset_index(drop=True)


def _early_sentence(breaches: pd.DataFrame) -> tuple[str, ...]:
    """Say at which factor the first limit is met with what is uncertain besides seeds."""
    reached = breaches[breaches["factor_in_doubt"].notna()]
    if reached.empty:
        return ()
    early = reached.sort_values("factor_in_doubt", kind="stable").iloc[0]
    return (
        f"With both, {early['node']}, {early['limit']}, is met at x{early['factor_in_doubt']:.2f} "
        "already with a chance of 5 %.",
    )
