"""Plays a campaign part by part; what is done is kept, and the same call goes on from there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dcsim.errors import MeasureError
from dcsim.lab.measure.campaign import Campaign
from dcsim.lab.measure.campaign_dir import archive, open_campaign_dir, part_is_done
from dcsim.lab.measure.check import check_folder
from dcsim.lab.measure.clock import MeasuringClock
from dcsim.lab.measure.endpoint import Asker, probe
from dcsim.lab.measure.engine import EnginePage, find_engine
from dcsim.lab.measure.errors import SampleError
from dcsim.lab.measure.meters import dcgm_reader, server_reader
from dcsim.lab.measure.nvml import Nvml
from dcsim.lab.measure.plan import PlannedPart, make_plan
from dcsim.lab.measure.record import Instruments, measure_part
from dcsim.lab.measure.scrape import Page

MAX_QUIET_WAIT_S = 30.0
"""How long an engine may take to finish what is not ours."""

Say = Callable[[str], None]


@dataclass
class CampaignOutcome:
    """What became of a campaign's parts, by name."""

    good: list[str] = field(default_factory=list)
    bad: dict[str, list[str]] = field(default_factory=dict)
    """Measured, and why they are not good."""
    left: list[str] = field(default_factory=list)
    """Not measured yet."""
    stopped: str = ""
    """Why the campaign ended before its end."""
    interrupted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "good": self.good,
            "not_good": self.bad,
            "left": self.left,
            "stopped": self.stopped or None,
        }


def collect(
    campaign: Campaign, out: Path, say: Say = lambda _: None, clock: MeasuringClock | None = None
) -> CampaignOutcome:
    """Measure all parts that are not good yet into folders under `out`.

    Raises MeasureError, with nothing measured, where the campaign cannot start, and OSError where
    `out` cannot be written. Ctrl-C ends the part in hand, which is kept and marked; so does a
    meter that is lost.
    """
    parts = make_plan(campaign)
    open_campaign_dir(out, campaign)
    outcome = CampaignOutcome()
    waiting = []
    for part in parts:
        done, why = part_is_done(out / part.name, part)
        if done:
            outcome.good.append(part.name)
        else:
            waiting.append(part)
            if why:
                say(f"{part.name}: measured again: {why}")
    outcome.left = [part.name for part in waiting]
    if outcome.good and waiting:
        say(f"{len(outcome.good)} of {len(parts)} parts are good already")
    if not waiting:
        return outcome
    clock = clock or MeasuringClock()
    site = _open(campaign, clock, say)
    try:
        for part in waiting:
            say(_line(part, len(outcome.good) + len(outcome.bad) + 1, len(parts)))
            archive(out / part.name)
            if not _measure(campaign, part, out / part.name, site, outcome, say):
                break
    except KeyboardInterrupt:
        outcome.interrupted = True
        outcome.stopped = "stopped from the keyboard"
    finally:
        site.close()
    return outcome


def _measure(
    campaign: Campaign,
    part: PlannedPart,
    folder: Path,
    site: Instruments,
    outcome: CampaignOutcome,
    say: Say,
) -> bool:
    """Measure one part and judge it; whether to go on."""
    stopped = measure_part(campaign, part, folder, site)
    outcome.left.remove(part.name)
    verdict = check_folder(folder)
    for warning in verdict.warnings:
        say(f"  warning: {warning}")
    if verdict.good:
        outcome.good.append(part.name)
        say("  good")
    else:
        outcome.bad[part.name] = verdict.errors
        for error in verdict.errors:
            say(f"  not good: {error}")
    if stopped:
        outcome.stopped = stopped
    return not stopped


def _line(part: PlannedPart, number: int, count: int) -> str:
    return (
        f"{number}/{count} {part.name}: about {part.duration_s:.0f} s, "
        f"{len(part.asks):,} requests, {part.output_tokens:,} tokens"
    )


def _open(campaign: Campaign, clock: MeasuringClock, say: Say) -> Instruments:
    """Everything that is needed, found before anything is measured."""
    asker = Asker(campaign)
    indices = campaign.meter.gpu.indices or tuple(range(campaign.tensor_parallel))
    dialect = asyncio.run(probe(asker, campaign, clock))
    if "ignore_eos" not in dialect.options:
        say("the endpoint takes no ignore_eos: answers may end before their planned length")
    gpus = Nvml(indices)
    try:
        engine = _engine(campaign)
        if engine is not None:
            say(f"engine: {engine.engine}, counting {', '.join(engine.columns)}")
        idle_kv = _quiet(engine)
        spec = campaign.meter
        return Instruments(
            clock=clock,
            asker=asker,
            dialect=dialect,
            gpus=gpus,
            engine=engine,
            idle_kv=idle_kv,
            kv_tokens=_kv_tokens(campaign, engine),
            dcgm=None if spec.dcgm is None else dcgm_reader(spec.dcgm.url),
            server=None if spec.server is None else server_reader(spec.server),
        )
    except MeasureError:
        gpus.close()
        raise


def _engine(campaign: Campaign) -> EnginePage | None:
    spec = campaign.meter.engine
    page = Page(spec.url or f"{campaign.endpoint}/metrics")
    hint = "give meter.engine.url, or `required: false` to go by what the client sees"
    try:
        engine = find_engine(page)
    except SampleError as error:
        if spec.required:
            raise MeasureError(f"no metrics of the engine: {error}; {hint}") from None
        return None
    if engine is None and spec.required:
        raise MeasureError(f"{page.url}: no engine that is known counts there; {hint}")
    return engine


def _kv_tokens(campaign: Campaign, engine: EnginePage | None) -> int | None:
    kv_tokens = campaign.meter.engine.kv_tokens or (engine.kv_tokens if engine else None)
    if kv_tokens is None and (engine is None or "kv" not in engine.columns):
        raise MeasureError(
            "nobody tells how full the KV cache is: give meter.engine.kv_tokens, the tokens that "
            "it holds (engines print it when they start)"
        )
    return kv_tokens


def _quiet(engine: EnginePage | None) -> float:
    """KV use at rest. Raises MeasureError where the engine works for somebody else."""
    if engine is None or "running" not in engine.columns:
        return 0.0
    until_s = time.monotonic() + MAX_QUIET_WAIT_S
    while True:
        try:
            reading = engine.read()
        except SampleError as error:
            raise MeasureError(f"no metrics of the engine: {error}") from None
        busy = reading["running"] + reading.get("waiting", 0.0)
        if busy == 0:
            return reading.get("kv", 0.0)
        if time.monotonic() > until_s:
            raise MeasureError(
                f"{engine.page.url}: the engine works on {busy:g} requests that are not ours"
            )
        time.sleep(0.2)
