"""What an oversubscription study finds, as it finds it: rows, tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dcsim.scenario.models import Scenario
from dcsim.studies.answer import Card, Plot, Table
from dcsim.studies.ask import load_rows
from dcsim.studies.figures import NAN, fitting_window_s
from dcsim.studies.limits import continuous_w
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.oversubscription.candidates import Candidate
from dcsim.studies.oversubscription.screen import Screen
from dcsim.studies.target import CountTarget
from dcsim.studies.uncertainty import LoadUncertainty
from dcsim.studies.variants import NAMEPLATE, SCENARIO_CHOICE

MOST_SHOWN = 2.0
"""Times the limit that the line by nameplate is drawn up to."""
ANSWER_COLUMNS = {
    "model": "power model",
    "policy": "policies in force",
    "count": "most units that fit under one limit, with the spread over seeds alone",
    "count_all": "most with all that is uncertain: the level of loads and days too",
    "level_error": "by which loads may be higher, 95 % sure, as a share",
    "count_level_low": "most if all loads are as much higher as `level_error` says; rule paper",
    "count_level_high": "most if all loads are as much lower; empty: not shown",
    "count_low": "fewest that the interval allows",
    "open_ended": "more may fit: no more were tried",
    "count_high": "most that the interval allows; empty: not shown",
    "to_nameplate": "over what the nameplate allows",
    "limit_w": "the limit, W",
    "peak_w": "highest mean over the averaging time that is held to the limit, at that count, W: "
    "the window by rule breaker (mean over runs), 1 s by rule paper",
    "peak_low_w": "its 95 % interval, W",
    "peak_high_w": "its 95 % interval, W",
    "trip_probability": "share of runs that failed at that count",
    "trip_low": "95 % interval of that probability (Clopper and Pearson)",
    "trip_high": "95 % interval of that probability",
    "trip_at_most": "one-sided 95 % bound of that probability, by counting",
    "trips_per_year_at_most": "one-sided 95 % bound on trips in a year's busy hours",
    "risk_by": "what bounds them: `constant` load, `labels`, `bursts` or `tail`",
    "slo_loss": "mean over runs",
    "slo_loss_at_most": "one-sided 95 % bound of that mean",
    "runs": "runs of that count",
    "next_fails": "why one step more does not fit",
    "count_with_overhead": "most units if each watt also bore the site's overhead",
}
CANDIDATE_COLUMNS = {
    "model": "power model",
    "policy": "policies in force",
    "count": "units under one limit",
    "passes": "whether it holds the bounds",
    "why": "or what it breaks",
    "runs": "runs until that was certain",
    "tripped": "of which a breaker tripped",
    "over": "of which were above the continuous rating",
    "fail_low": "share of the runs with either",
    "fail_high": "one-sided 95 % bound of that probability, by counting",
    "trips_per_year_at_most": "one-sided 95 % bound on trips in a year's busy hours; empty where "
    "nothing can be said",
    "risk_by": "what bounds them: `constant` load, `labels`, `bursts` or `tail`",
    "tail_index": "fitted to the blocks' highest trip ratios: above 0 heavier than Gumbel's",
    "peak_w": "highest mean over the window under the limit, mean over runs, W",
    "instant_w": "highest power step, mean over runs, W",
    "slo_loss": "mean over runs",
    "slo_loss_at_most": "one-sided 95 % bound of that mean",
    "binding": "node nearest to its limit",
    "limit_w": "the limit, W",
}
TOGETHER_COLUMNS = {
    "count": "units under one limit",
    "line": "simulated, by power model and policy, or by nameplate",
    "load_w": "load of the node with the limit, W: by nameplate with its cooling and losses; "
    "simulated as it is held to the limit",
    "limit_w": "the limit asked about, W",
    "rating_w": "the node's rating, where that is another, W",
    "allowance_w": "what it may carry continuously, W",
}
SCREEN_COLUMNS = {
    "model": "power model",
    "policy": "policies in force",
    "count": "units in a random subset",
    "peak_w": "quantile over draws (of rule breaker the median) of the highest mean over the "
    "averaging time that is held to the limit, W",
    "peak_low_w": "95 % interval of that quantile; empty: too few draws",
    "peak_high_w": "95 % interval of that quantile",
    "exceeding": "share of draws above the limit",
    "limit_w": "the limit, W",
}


@dataclass(frozen=True)
class Case:
    """One line of the comparison."""

    model: str
    policy: str
    scenario: Scenario


class Findings:
    """What the cases have shown so far: rows, runs and sentences, in the order they come."""

    def __init__(self, target: CountTarget, by_nameplate: int, by_counting: bool = False) -> None:
        self.target = target
        self.by_counting = by_counting
        self.by_nameplate = by_nameplate
        self.answers: list[dict[str, Any]] = []
        self.candidates: list[dict[str, Any]] = []
        self.screens: list[dict[str, Any]] = []
        self.outcomes: list[RunOutcome] = []
        self.reasons: list[str] = []
        self.uncertainties: list[LoadUncertainty] = []
        self._safe: list[tuple[int, str, float]] = []

    def nameplate(self) -> None:
        """Add the row that needs no run."""
        count = self.by_nameplate
        peak_w = self.target.nameplate_load_w(count) if count else NAN
        self.answer(NAMEPLATE, "none", count, (count, count), count_all=count, peak_w=peak_w)

    def answer(
        self, model: str, policy: str, count: int, ends: tuple[float, float], **more: Any
    ) -> None:
        """Add one line of the comparison."""
        row: dict[str, Any] = dict.fromkeys(ANSWER_COLUMNS, NAN)
        row["next_fails"], row["open_ended"], row["risk_by"] = None, False, None
        row |= {
            "model": model,
            "policy": policy,
            "count": count,
            "count_low": ends[0],
            "count_high": ends[1],
            "to_nameplate": count / self.by_nameplate if self.by_nameplate else NAN,
            "limit_w": self.target.limit_w,
            **more,
        }
        self.answers.append(row)

    def screened(self, case: Case, result: Screen) -> None:
        """Add the curve of a screen."""
        for count in range(1, result.longest + 1):
            low, high = result.interval_w(count)
            self.screens.append(
                {
                    "model": case.model,
                    "policy": case.policy,
                    "count": count,
                    "peak_w": result.peak_w(count),
                    "peak_low_w": low if math.isfinite(low) else NAN,
                    "peak_high_w": high if math.isfinite(high) else NAN,
                    "exceeding": result.exceeding(count),
                    "limit_w": result.limit_w,
                }
            )

    def candidate(self, case: Case, candidate: Candidate) -> None:
        """Add a candidate that was simulated."""
        self.outcomes.extend(candidate.outcomes)
        self.candidates.append(
            {
                "model": case.model,
                "policy": case.policy,
                "count": candidate.count,
                "passes": candidate.passes,
                "why": candidate.why,
                "runs": candidate.runs,
                "tripped": candidate.tripped,
                "over": candidate.over,
                "fail_low": candidate.failed / candidate.runs,
                "fail_high": candidate.failing_at_most,
                "trips_per_year_at_most": candidate.trips_per_year_at_most
                if math.isfinite(candidate.trips_per_year_at_most)
                else NAN,
                "risk_by": candidate.risk.way,
                "tail_index": candidate.risk.tail.shape,
                "peak_w": candidate.peak_w,
                "instant_w": candidate.instant_w,
                "slo_loss": candidate.slo_loss,
                "slo_loss_at_most": candidate.slo_loss_at_most,
                "binding": candidate.binding,
                "limit_w": self.target.limit_w,
            }
        )

    def headline(self) -> tuple[str, ...]:
        """Write one sentence for each line of the comparison."""
        return tuple(self._sentence(row) for row in self.answers)

    def _sentence(self, row: Mapping[str, Any]) -> str:
        target = self.target
        case = ", ".join(
            name for name in (row["model"], row["policy"]) if name not in (SCENARIO_CHOICE, "none")
        )
        if row["model"] == NAMEPLATE:
            case = NAMEPLATE
        count = f"{row['count']}{' or more' if row['open_ended'] else ''}"
        return (
            f"{case + ': ' if case else ''}{count} {target.kind}s fit under "
            f"{target.under_name} ({target.limit_w / 1e3:g} kW)"
            + (
                ""
                if row["model"] == NAMEPLATE or math.isnan(row["to_nameplate"])
                else f", {row['to_nameplate']:.2f} times the nameplate's {self.by_nameplate}"
            )
            + self._risk(row)
            + self._with_uncertainty(row)
            + "."
        )

    def _with_uncertainty(self, row: Mapping[str, Any]) -> str:
        """Say how many fit with what is uncertain besides seeds."""
        if math.isnan(row["level_error"]) or not row["count"]:
            return ""
        if not math.isnan(row["count_level_low"]):
            high = row["count_level_high"]
            most = "more" if math.isnan(high) else f"{high:.0f}"
            return (
                f"; {row['count_level_low']:.0f} to {most} if all loads are "
                f"{100 * row['level_error']:.1f} % higher or lower than modelled"
            )
        return (
            f"; {row['count_all']:.0f} if loads may also be {100 * row['level_error']:.1f} % "
            "higher than modelled and days differ"
        )

    def _risk(self, row: Mapping[str, Any]) -> str:
        """Say how often breakers may trip, where years are asked about."""
        yearly = row["trips_per_year_at_most"]
        if self.by_counting or math.isnan(yearly):
            return ""
        if yearly <= 0.0:
            constant = row["risk_by"] == "constant"
            return ": no trip, " + (
                "its load is constant" if constant else "not even with every server at its label"
            )
        years = min(1000, math.floor(1.0 / yearly + 1e-9))
        frequency = f"1 trip in {years} years" if years > 1 else f"{yearly:.2g} trips a year"
        return f": at most {frequency}, 95 % sure, if its busy hours are like this run"

    def figures(self) -> dict[str, Any]:
        """Return the figures by model and policy."""
        figures: dict[str, Any] = {
            "nameplate_count": self.by_nameplate,
            "limit_w": self.target.limit_w,
        }
        for row in self.answers:
            name = row["model"] if row["model"] == NAMEPLATE else f"{row['model']}_{row['policy']}"
            for key in (
                "count",
                "count_all",
                "count_level_low",
                "count_level_high",
                "count_low",
                "count_high",
                "trip_at_most",
                "trips_per_year_at_most",
                "slo_loss_at_most",
            ):
                figures[f"{name}_{key}"] = row[key]
        return figures

    def tables(self) -> dict[str, Table]:
        """Return the tables that have rows."""
        unit = self.target.kind
        shown: tuple[str, ...] = (
            "model",
            "policy",
            "count",
            "count_all",
            "count_low",
            "count_high",
        )
        shown += ("to_nameplate", "peak_w")
        paper = not self.candidates
        shown += (
            ("count_level_low", "count_level_high", "count_with_overhead")
            if paper
            else ("trips_per_year_at_most", "slo_loss", "slo_loss_at_most", "runs")
        )
        answers = pd.DataFrame(self.answers, columns=list(ANSWER_COLUMNS))
        tables = {"answer": Table(answers, f"{unit}s that fit", ANSWER_COLUMNS, shown)}
        if self.candidates:
            frame = pd.DataFrame(self.candidates, columns=list(CANDIDATE_COLUMNS))
            frame = frame.sort_values(["model", "policy", "count"]).reset_index(drop=True)
            shown = ("model", "policy", "count", "runs", "tripped", "over", "peak_w", "why")
            tables["candidates"] = Table(frame, "what was simulated", CANDIDATE_COLUMNS, shown)
        if self.screens:
            frame = pd.DataFrame(self.screens, columns=list(SCREEN_COLUMNS))
            tables["screen"] = Table(frame, "peaks of random subsets", SCREEN_COLUMNS)
        title = f"load by number of {unit}s: simulated and by nameplate"
        tables["together"] = Table(self.together(), title, TOGETHER_COLUMNS)
        return tables

    def safe(self, case: Case, count: int, runs: Sequence[RunOutcome], window_s: float) -> None:
        """Add what is drawn with so few units that nothing can trip."""
        loads = [load_rows(run, fitting_window_s(run, window_s)) for run in runs]
        peaks_w = [max(load[name]["peak_w"] for name in self.target.watched) for load in loads]
        self._safe.append((count, _line(case.model, case.policy), sum(peaks_w) / len(peaks_w)))

    def together(self) -> pd.DataFrame:
        """Load by count: simulated, and by nameplate, a row a point; each with the limits."""
        target = self.target
        rows: list[tuple[int, str, float]] = []
        for row in sorted(self.candidates, key=lambda row: int(row["count"])):
            rows.append((row["count"], _line(row["model"], row["policy"]), row["peak_w"]))
        for row in self.screens if not self.candidates else ():
            rows.append((row["count"], _line(row["model"], row["policy"]), row["peak_w"]))
        rows += self._safe
        rows.sort(key=lambda row: row[0])
        step, fit = target.step, self.by_nameplate
        counts = {row[0] for row in rows} | {step, fit, fit + step, fit * 3 // 2 // step * step}
        for count in sorted(count for count in counts if count):
            load_w = target.nameplate_load_w(count)
            # Far above the limit the line would only press the others down.
            if load_w <= MOST_SHOWN * target.limit_w:
                rows.append((count, "by nameplate", load_w))
        frame = pd.DataFrame(rows, columns=["count", "line", "load_w"])
        rating_w = target.rating_w
        return frame.assign(
            limit_w=target.limit_w,
            rating_w=NAN if rating_w in (None, target.limit_w) else rating_w,
            allowance_w=continuous_w(target.scenario).get(target.watched[0], NAN),
        )

    def cards(self) -> tuple[Card, ...]:
        """Return the counts as cards."""
        unit = self.target.kind
        cards = [Card("limit_w", f"limit of {self.target.under_name}")]
        cards.append(Card("nameplate_count", f"{unit}s that fit by nameplate"))
        for row in self.answers:
            if row["model"] == NAMEPLATE:
                continue
            line = _line(row["model"], row["policy"])
            least = " at least" if row["open_ended"] else ""
            name = f"{row['model']}_{row['policy']}_count"
            cards.append(Card(name, f"{unit}s that fit{least}, {line}"))
        return tuple(cards)

    def plots(self) -> tuple[Plot, ...]:
        """Load, nameplate and limit together; the screen's curves where nothing was simulated."""
        by = "policy" if len({row["policy"] for row in self.answers}) > 2 else "model"
        unit = self.target.kind
        plots = [
            Plot(
                "together",
                f"load of {self.target.under_name} by number of {unit}s, nameplate and limit",
                "count",
                ["load_w"],
                "line",
                limit="limit_w",
                levels=("rating_w", "allowance_w"),
            )
        ]
        if self.screens and not self.candidates:
            title = f"peak of random subsets of {self.target.kind}s"
            plots.append(Plot("screen", title, "count", ["peak_w"], by, limit="limit_w"))
        return tuple(plots)


def _line(model: str, policy: str) -> str:
    """Name a case: `simulated, ledger, budget`."""
    parts = [part for part in (model, policy) if part not in (SCENARIO_CHOICE, "none")]
    return ", ".join(["simulated", *parts])


def nameplate_sentence(target: CountTarget, count: int) -> str:
    """Say why so many fit by their labels."""
    kind, label = target.kind, f"{target.unit_nameplate_w() / 1e3:g} kW a {target.kind}"
    more = target.nameplate_load_w(count + target.step) / 1e3
    limit = f"{target.limit_w / 1e3:g} kW"
    if not count:
        return (
            f"By nameplate no {kind} fits under {limit}: with {target.step} all that hangs there "
            f"would draw {more:,.1f} kW, with its cooling and losses ({label})."
        )
    return (
        f"By nameplate {count} {kind}s fit ({label}): all that hangs there would draw "
        f"{target.nameplate_load_w(count) / 1e3:,.1f} kW of {limit}, with its cooling and losses, "
        f"and {more:,.1f} kW with {count + target.step}."
    )
