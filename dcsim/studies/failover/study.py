"""Failover: at which instants of a run would the site have survived the loss of each node?

One run is played with all in order. Then, for every interval of it and every node that may be
lost, the loads are laid over what remains: is any node above its rating, and which breaker would
open, when? At last each loss is played in full at its worst instant, breakers, cascade, requests
and all, because what moves to the survivors is not in the redistributed loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd

from dcsim.errors import StudyError
from dcsim.facility.contingency import ContingencyFlow
from dcsim.facility.inputs import SiteInputs
from dcsim.plant import Plant
from dcsim.plant.topology import Topology
from dcsim.scenario.models import Scenario
from dcsim.spec.nearest import suggestion
from dcsim.spec.units import SECOND, Seconds
from dcsim.studies.answer import Answer, Card, Plot, Table
from dcsim.studies.ask import (
    averaging_times_s,
    variant,
)
from dcsim.studies.failover.limits import (
    LIMIT_COLUMNS,
    LIMIT_SHOWN,
    LossLimits,
    left_out_sentences,
    limit_frame,
    loss_sentences,
    usual_sentences,
)
from dcsim.studies.failover.remainder import (
    COLUMNS,
    SHOWN,
    TIME_COLUMNS,
    Remainder,
    interval_rows,
    loss_row,
    over_when_whole,
    remainder_of,
    rms_load_w,
)
from dcsim.studies.failover.words import headline, reasons
from dcsim.studies.jobs import Keep, job
from dcsim.studies.options import Typed
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.runner import Runner
from dcsim.studies.study import Study

LOSABLE = ("utility", "feeder", "transformer", "switchgear", "ups", "pdu")
"""Kinds of nodes that may be lost where nothing is asked."""
AFTER_S = 900.0
"""Loss played in full: so long after it, or to the end of the run."""


class FailoverStudy(Study):
    """At which instants would the site survive the loss of each feed, UPS and PDU?"""

    nodes: Annotated[tuple[str, ...] | None, Typed(flag="node", metavar="NODE")] = None
    """Node or kind of node that may be lost. None: every utility, feeder, transformer, switchgear,
    UPS and PDU."""
    redistribute_only: bool = False
    """Only redistribute loads; do not simulate each loss at its worst instant."""
    window_s: Seconds = 60.0
    """The instants: means over this long, a multiple of `record.server_step`."""
    seed: int | None = None
    """Use this seed instead of the file's."""

    def play(self, scenario: Scenario, runner: Runner) -> Answer:
        """One run with all in order, each loss laid over it, and played in full at its worst
        instant."""
        window_s = self.window_s
        if scenario.faults:
            raise StudyError(
                "the scenario has faults of its own: failover asks for a run in which all is in "
                "order (leave them out with --set faults=[])"
            )
        step_s = scenario.record.server_step_s
        if window_s < step_s or abs(window_s / step_s - round(window_s / step_s)) > 1e-9:
            raise StudyError(
                f"--window: must be a whole multiple of record.server_step, {SECOND.format(step_s)}"
            )
        plant = Plant.build(scenario)
        topology = plant.topology
        lost = _losable(topology, self.nodes or ())
        if not np.isfinite(topology.rating_w).any():
            raise StudyError("no node of the facility has a rating: give one the key `rating`")
        if scenario.duration_s < window_s:
            raise StudyError(
                f"the run lasts {SECOND.format(scenario.duration_s)}, a window "
                f"{SECOND.format(window_s)}: play a longer run, or give a shorter --window"
            )
        seed = scenario.seed if self.seed is None else self.seed
        windows_s = averaging_times_s(window_s)
        (whole,) = runner.play(
            [job(scenario, seed, keep=(Keep("server", window_s),), windows_s=windows_s)],
            "all in order",
        )
        series = runner.series(whole).series["server"]
        worst: dict[int | None, Remainder] = {}
        inputs = SiteInputs.of_plant(plant)
        losses = {node: ContingencyFlow(inputs, node) for node in (None, *lost)}
        for node, loss in losses.items():
            limits = LossLimits(inputs, series.step_s, series.start_s)
            worst[node] = remainder_of(topology, loss, series, limits)
        in_order_w = rms_load_w(losses[None], series)
        outcomes: dict[int | None, RunOutcome] = {}
        if not self.redistribute_only:
            outcomes = _play(scenario, seed, topology, worst, lost, window_s, runner)
        rows = [
            loss_row(
                topology,
                losses[node],
                worst[node],
                node,
                window_s,
                in_order_w,
                whole,
                outcomes.get(node),
            )
            for node in lost
        ]
        frame = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(
            ["survived", "dark_servers", "worst_of_limit"],
            ascending=[True, False, False],
            kind="stable",
            ignore_index=True,
        )
        times = interval_rows(topology, {node: worst[node] for node in lost}, series.step_s)
        others = limit_frame(
            {
                None if at is None else topology.names[at]: remainder.limits
                for at, remainder in worst.items()
            }
        )
        return Answer(
            headline=(
                *headline(frame, over_when_whole(worst[None], topology)),
                *loss_sentences(others)[:1],
            ),
            reasons=(
                *reasons(frame),
                *usual_sentences(others),
                *loss_sentences(others)[1:],
            ),
            uncertainty=(
                f"One run of {SECOND.format(scenario.duration_s)}, seed {seed}; loads are means "
                f"over {SECOND.format(series.step_s)}: shorter peaks are not seen.",
                "Loads redistributed: servers that keep power draw what they did. Batteries give "
                "nothing: they bridge, they do not carry on.",
                "No loss was played in full: what moves to the survivors is not in these figures."
                if self.redistribute_only
                else "Losses played in full hold what moves to the survivors, breakers and their "
                "memory.",
                *left_out_sentences(scenario, whole, others, series.step_s),
            ),
            inputs={"nodes": [topology.names[node] for node in lost], "seed": seed},
            figures={
                "losses": len(frame),
                "survived_always": int((frame["survived"] == 1.0).sum()),
                "worst_lost": frame.loc[0, "lost"],
                "worst_survived": float(frame["survived"].to_numpy()[0]),
                "worst_of_limit": float(frame["worst_of_limit"].max()),
            },
            cards=(
                Card("losses", "losses played"),
                Card("survived_always", "of these survived for as long as was played"),
                Card("worst_lost", "the worst loss"),
                Card("worst_survived", "of the time survived then"),
                Card("worst_of_limit", "highest load by its limit, of what is left"),
            ),
            tables={
                "losses": Table(frame, "what the rest of the site would carry", COLUMNS, SHOWN),
                "limits": Table(
                    others[list(LIMIT_COLUMNS)],
                    "continuous allowances and demand limits",
                    LIMIT_COLUMNS,
                    LIMIT_SHOWN,
                    brief=max(5, int((others["of_limit"] > 1.0).sum())),
                ),
                "times": Table(times, "every interval", TIME_COLUMNS),
            },
            plots=(
                Plot(
                    "times",
                    "load of the tightest node that is left",
                    "time_s",
                    ["of_limit"],
                    "lost",
                ),
                Plot("losses", "share of the time survived", "lost", ["survived"], kind="bar"),
            ),
            runs=[whole, *outcomes.values()],
        )


def _losable(topology: Topology, names: Sequence[str]) -> list[int]:
    losable = names or LOSABLE
    nodes: list[int] = []
    problems = []
    for name in losable:
        same = [
            node
            for node, (node_name, kind) in enumerate(
                zip(topology.names, topology.kinds, strict=True)
            )
            if name in (node_name, kind)
        ]
        if names and not same:
            known = {*topology.names, *topology.kinds}
            problems.append(
                f"--node: the site has no '{name}', nor a kind of node ({suggestion(name, known)})"
            )
        nodes += [node for node in same if node not in nodes]
    if problems:
        raise StudyError(*problems)
    if not nodes:
        raise StudyError(
            f"the facility has none of {', '.join(LOSABLE)}: name what may be lost, such as "
            "--node row"
        )
    if any(topology.kinds[node] in ("site", "server") for node in nodes):
        raise StudyError("--node: without its site nothing is left, and a single server is no feed")
    return nodes


def _play(
    base: Scenario,
    seed: int,
    topology: Topology,
    worst: dict[int | None, Remainder],
    lost: Sequence[int],
    window_s: float,
    runner: Runner,
) -> dict[int | None, RunOutcome]:
    """Play each loss in full, from the start of its worst interval on."""
    variants = {}
    # So early that there is time to see what becomes of it.
    for node in lost:
        remainder = worst[node]
        early = max(1, int((base.duration_s - AFTER_S - remainder.start_s) / window_s + 1e-9))
        at_s = remainder.start_s + int(np.argmax(remainder.of_limit[:early])) * window_s
        fault: dict[str, Any] = {"at": f"{at_s:.6f} s", "fail": topology.names[node]}
        if topology.specs[node].has_bypass:
            fault["with_bypass"] = True  # what is asked is what the rest can carry
        end_s = min(base.duration_s, at_s + AFTER_S)
        variants[node] = variant(
            base,
            {"faults": [fault], "duration": f"{end_s:.6f} s"},
            f"loss of {topology.names[node]}",
        )
    outcomes = runner.play([job(changed, seed) for changed in variants.values()], "losses")
    return dict(zip(variants, outcomes, strict=True))
