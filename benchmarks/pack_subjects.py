"""What packs learn from: published mixtures, measured runs, and levels of steady loads."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.steady_levels import Level, example_of, laws, own_law
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.bench import campaign
from dcsim.lab.learn.measured import measured_subjects
from dcsim.lab.learn.published import published_key, read_published
from dcsim.lab.learn.runs import MeasuredRun, read_run
from dcsim.lab.learn.states import (
    STATES,
    Mixture,
    fit_mixture,
)
from dcsim.lab.learn.subjects import Example, Subject
from dcsim.lab.learn.transfer import PowerQuantiles, is_idle, rank_transfer
from dcsim.lab.learn.true_power import true_watts
from dcsim.lab.ledger_series import LedgerSeries
from dcsim.lab.sensor import TRAILING_S
from dcsim.ledger import ReplicaConfig, split_key

REPEATS = 2
MEASURED_SHARE = 4.0
"""Of the training windows, a published configuration's being 1: real series are worth more."""
LEVEL_SHARE = 0.5
"""Of the training windows, for a configuration of which only levels are known."""
LEAST_LEVELS = 3
ALIKE = 0.1
"""Where the simulated share of idle time differs by more from the published one, the mixture was
measured under another load than ours, and does not teach `any`."""
NOISE = 0.5
"""Within-state correlation where none was published."""
IDLE_STATES_BELOW = 1.3
"""States with a mean under this multiple of the lowest are idle: published configurations have
one at rest and one about 1.22 times as high, after which working states follow from 1.4 on."""
TABLE = 4001
PUBLISHED_SOURCE = (
    "states: powertrace-sim's published mixture of measured power ({name}, {points} samples, "
    "nvidia-smi); dynamics: its linear ledger model on simulated ShareGPT work"
)
LEVELS_SOURCE = (
    "levels: {count} steady loads of ML.ENERGY's leaderboard, batches {low:.0f} to {high:.0f}; "
    "between and below them by a law fitted to all such levels on the GPU; dynamics: that law on "
    "simulated ShareGPT work; idle: {idle:.0f} W a GPU{assumed}"
)
ALSO_SOURCE = "; beyond them levels of {count} steady loads (ML.ENERGY)"


def quantiles_of_mixture(mixture: Mixture) -> PowerQuantiles:
    """The two parts of a mixture. A wide state's tails are cut at two sigma beyond the outermost
    means: nothing was measured below idle."""
    idle = mixture.mean_w < IDLE_STATES_BELOW * mixture.mean_w[0]
    if idle.all():
        raise ValueError("all states are within 30 % of the lowest: none is a working state")
    low = mixture.mean_w[0] - 2 * mixture.std_w[0]
    high = mixture.mean_w[-1] + 2 * mixture.std_w[-1]
    share = (np.arange(TABLE) + 0.5) / TABLE
    tables = []
    for chosen in (idle, ~idle):
        part = Mixture(
            mixture.weight[chosen] / mixture.weight[chosen].sum(),
            mixture.mean_w[chosen],
            mixture.std_w[chosen],
        )
        tables.append(np.clip(part.quantile(share), low, high))
    return PowerQuantiles(*tables)


def idle_share(work: Sequence[LedgerSeries]) -> float:
    """Share of the time in which the meter shows nothing but rest."""
    return float(np.concatenate([is_idle(series) for series in work]).mean())


def published_subjects(gpu: str, catalogue: Catalogue, data: Path) -> list[Subject]:
    """The configurations of a GPU of which the mixture is published."""
    subjects = []
    for file in sorted((data / "published" / "state_distributions").glob("*.json")):
        key = published_key(file.stem)
        model, on, parallel = split_key(key)
        if on != gpu:
            continue
        points = json.loads(file.read_text())["num_train_points"]
        samples = "unstated number of" if points is None else f"{points:,}"
        mixture, phi = read_published(file)
        work = campaign(
            catalogue.replica_config(model, gpu, parallel), catalogue, parallel, REPEATS
        )
        levels = quantiles_of_mixture(mixture)
        watts = rank_transfer(work, work, levels, catalogue, np.random.default_rng(parallel))
        idle = float(mixture.weight[mixture.mean_w < IDLE_STATES_BELOW * mixture.mean_w[0]].sum())
        figures = {"idle_share_published": idle, "idle_share_simulated": idle_share(work)}
        source = PUBLISHED_SOURCE.format(name=file.stem, points=samples)
        if gpu in TRAILING_S:
            # The mixture is of what the meter showed; the states are of what made it show that.
            watts = true_watts(work, watts)
            mixture = fit_mixture(np.concatenate(watts)[::5])
            source += "; states refitted to the true watts behind the meter's one-second mean"
        subjects.append(
            Subject(
                key=key,
                mixture=mixture,
                sequences=[Example(s, w, timed=False) for s, w in zip(work, watts, strict=True)],
                quantiles=None if gpu in TRAILING_S else levels,
                evidence="fitted",
                source=source,
                noise_correlation=NOISE if phi is None or gpu in TRAILING_S else phi,
                figures=figures,
                campaign="published mixtures",
            )
        )
    return subjects


def run_subjects(runs: Sequence[MeasuredRun]) -> list[Subject]:
    """The configurations of measured runs."""
    return [
        replace(one, share=MEASURED_SHARE, campaign="measured runs")
        for one in measured_subjects(runs)
    ]


def level_subjects(
    levels: Sequence[Level], catalogue: Catalogue, known: Collection[str]
) -> list[Subject]:
    """The configurations of which only levels are known: the campaign's work, with the watts that
    the law says, moved to the configuration's own levels."""
    subjects = []
    law_of = laws(levels, catalogue)
    for key in sorted({one.series.config.key for one in levels} - set(known)):
        own = [one for one in levels if one.series.config.key == key]
        if len(own) < LEAST_LEVELS:
            continue
        config = own[0].series.config
        law = own_law(law_of[catalogue.models[config.model].n_experts > 1], own, key)
        work = _campaign(config, catalogue)
        rng = np.random.default_rng(config.gpus)
        # A little spread, as of a meter, so that idle is a state and not a point.
        examples = [
            Example(
                series,
                np.where(
                    series.columns["busy_fraction"] > 0,
                    example_of(Level(series, 1.0, 0.0, ""), index).power_w,
                    1.0 + 0.005 * rng.standard_normal(len(series)),
                )
                * law(series),
                timed=False,
            )
            for index, series in enumerate(work)
        ]
        measured = [example_of(one, index) for index, one in enumerate(own)]
        watts = np.concatenate([one.power_w for one in [*examples[::2], *measured]])
        batches = [one.batch for one in own]
        gpu = catalogue.gpus[config.gpu]
        subjects.append(
            Subject(
                key=key,
                mixture=fit_mixture(watts[::5], STATES + 4),
                sequences=examples,
                evidence="extrapolated",
                source=LEVELS_SOURCE.format(
                    count=len(own),
                    low=min(batches),
                    high=max(batches),
                    idle=gpu.ledger_power.idle_w,
                    assumed=", assumed" if config.gpu.startswith("b200") else "",
                ),
                noise_correlation=NOISE,
                prior=law,
                measured_out_of_range=measured,
                share=LEVEL_SHARE,
                campaign="steady levels",
            )
        )
    return subjects


_CAMPAIGNS: dict[str, list[LedgerSeries]] = {}


def _campaign(config: ReplicaConfig, catalogue: Catalogue) -> list[LedgerSeries]:
    """Played once a process: judging models left out asks for the same again and again."""
    if config.key not in _CAMPAIGNS:
        _CAMPAIGNS[config.key] = campaign(config, catalogue, config.gpus, 1)
    return _CAMPAIGNS[config.key]


def with_levels(
    subjects: Sequence[Subject], levels: Sequence[Level], catalogue: Catalogue
) -> list[Subject]:
    """The subjects, made-up work beyond theirs drawing what the law of levels says, and measured
    levels above all that their sequences drew."""
    if not levels:
        return list(subjects)
    law_of = laws(levels, catalogue)
    found = []
    for subject in subjects:
        config = subject.sequences[0].series.config
        own = [one for one in levels if one.series.config.key == subject.key]
        law = own_law(law_of[catalogue.models[config.model].n_experts > 1], own, subject.key)
        top_w = np.quantile(np.concatenate([one.power_w for one in subject.sequences]), 0.99)
        above = [one for one in own if one.power_w > top_w]
        source = subject.source + (ALSO_SOURCE.format(count=len(above)) if above else "")
        also = [example_of(one, index) for index, one in enumerate(above)]
        found.append(replace(subject, prior=law, measured_out_of_range=also, source=source))
    return found


def alike(subject: Subject) -> bool:
    """Whether our campaign is the one that its mixture was measured under."""
    told = subject.figures
    if "idle_share_published" not in told:
        return True
    return abs(told["idle_share_published"] - told["idle_share_simulated"]) <= ALIKE


def measured_runs(data: Path, catalogue: Catalogue, gpu: str) -> list[MeasuredRun]:
    """The measured runs on a GPU."""
    folders = sorted((data / "measured" / "vllm_runs").iterdir())
    runs = [read_run(folder, catalogue) for folder in folders]
    return [run for run in runs if run.series.config.gpu == gpu]
