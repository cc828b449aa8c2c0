"""One part, measured: meters started, requests played, the folder closed whatever happens."""

from __future__ import annotations

import asyncio
import platform
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.lab.measure.campaign import Campaign
from dcsim.lab.measure.client import PartStoppedError, Player
from dcsim.lab.measure.clock import ClockWatch, MeasuringClock
from dcsim.lab.measure.counts import engine_lines, engine_table, seen_by_client
from dcsim.lab.measure.endpoint import Asker, Dialect
from dcsim.lab.measure.engine import COLUMNS, EnginePage, null_block_share
from dcsim.lab.measure.folder import (
    AnswerBook,
    GpuFiles,
    local_offset_s,
    stamp,
    write_lines,
    write_manifest,
)
from dcsim.lab.measure.nvml import Nvml
from dcsim.lab.measure.plan import PROMPTS, PlannedPart
from dcsim.lab.measure.sampler import MeterSampler, open_csv
from dcsim.lab.measure.steady import steady
from dcsim.lab.prometheus import Sample

FORMAT = 1
PACKAGES = ("dcsim", "aiohttp", "nvidia-ml-py", "numpy")


@dataclass
class Instruments:
    """What a campaign measures with, open."""

    clock: MeasuringClock
    asker: Asker
    dialect: Dialect
    gpus: Nvml
    engine: EnginePage | None
    idle_kv: float
    kv_tokens: int | None
    dcgm: Callable[[], list[Sample]] | None = None
    server: Callable[[], float] | None = None

    def close(self) -> None:
        self.gpus.close()
        if self.engine is not None:
            self.engine.page.close()


def measure_part(campaign: Campaign, part: PlannedPart, folder: Path, site: Instruments) -> str:
    """Measure one part into a new folder; returns why it stopped, or nothing where it did not.

    Raises KeyboardInterrupt after closing the folder, marked as interrupted.
    """
    folder.mkdir()
    rng = part.generator(campaign.seed, PROMPTS)
    bodies = [site.asker.body(ask, site.dialect.options, rng) for ask in part.asks]
    run = _PartRecording(campaign, part, folder, site, bodies)
    run.write("running", "")
    status, why = "complete", ""
    try:
        with steady():
            run.start()
            asyncio.run(run.player.play())
    except PartStoppedError as stop:
        status, why = "stopped", str(stop)
    except KeyboardInterrupt:
        status, why = "interrupted", "stopped from the keyboard"
        raise
    except BaseException as error:
        status, why = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        with _undisturbed():
            run.finish()
            run.write(status, why)
    return why


class _PartRecording:
    """The meters, files and notes of one part."""

    def __init__(
        self,
        campaign: Campaign,
        part: PlannedPart,
        folder: Path,
        site: Instruments,
        bodies: list[bytes],
    ) -> None:
        self._campaign, self._part, self._folder, self._site = campaign, part, folder, site
        self.watch = ClockWatch(site.clock)
        self.offset_s = local_offset_s(self.watch.epoch(site.clock.monotonic()))
        self.book = AnswerBook(folder, self.watch)
        self.player = Player(site.asker, part, bodies, self.book.keep, site.clock)
        self._start_s = self.watch.epoch(site.clock.monotonic())
        self._anew_before = 0 if site.engine is None else site.engine.restarts
        self._engine_rows: list[tuple[float, dict[str, float]]] = []
        self._facts = site.gpus.facts
        self._gpu_files = GpuFiles(folder, len(self._facts), self.offset_s)
        self._seen_columns: list[str] = []
        self.samplers = self._make_samplers()

    def start(self) -> None:
        self.book.start()
        for sampler in self.samplers.values():
            sampler.start()

    def finish(self) -> None:
        """Stop the meters, then close the files; each file is closed though another cannot be."""
        for sampler in self.samplers.values():
            sampler.finish()
        self.book.finish()
        self._write_engine()

    def _make_samplers(self) -> dict[str, MeterSampler[Any]]:
        spec, site, folder = self._campaign.meter, self._site, self._folder
        files = self._gpu_files
        made: dict[str, MeterSampler[Any]] = {
            "power": MeterSampler(
                "NVML",
                spec.gpu.period_s,
                site.gpus.read,
                files.sample,
                self.watch,
                lost=self.player.halt,
                close=files.close,
                watches=True,
            )
        }
        if site.engine is not None:
            made["engine"] = MeterSampler(
                "engine metrics",
                spec.engine.period_s,
                site.engine.read,
                lambda at_s, row: self._engine_rows.append((at_s, row)),
                self.watch,
                lost=self.player.halt,
            )
        if site.dcgm is not None and spec.dcgm is not None:
            dcgm = open_csv(folder / "dcgm.csv", "epoch,gpu,field,value")

            def write_fields(at_s: float, samples: list[Sample]) -> None:
                dcgm.writelines(
                    f"{at_s:.4f},{labels.get('gpu', '')},{name},{value:.12g}\n"
                    for name, labels, value in samples
                )

            made["dcgm"] = MeterSampler(
                "DCGM", spec.dcgm.period_s, site.dcgm, write_fields, self.watch, close=dcgm.close
            )
        if site.server is not None and spec.server is not None:
            ac_meter = open_csv(folder / "server_power.csv", "epoch,ac_w")
            made["server"] = MeterSampler(
                "server power",
                spec.server.period_s,
                site.server,
                lambda at_s, watts: print(f"{at_s:.4f},{watts:.12g}", file=ac_meter),
                self.watch,
                close=ac_meter.close,
            )
        return made

    def _write_engine(self) -> None:
        site = self._site
        rows = list(self._engine_rows)
        if site.engine is None:
            period_s = self._campaign.meter.engine.period_s
            end_s = self.watch.epoch(site.clock.monotonic())
            epoch_s = np.arange(self._start_s, end_s, period_s)
            counted: dict[str, Any] = {}
        else:
            epoch_s = np.array([at_s for at_s, _ in rows])
            counted = {
                name: np.array([row[name] for _, row in rows]) for name in site.engine.columns
            }
        at_s = epoch_s - self.watch.anchor_s
        seen = seen_by_client(at_s, self.book.answers, site.kv_tokens)
        block = null_block_share(site.idle_kv, site.kv_tokens) if "kv" in counted else 0.0
        table = engine_table(at_s, counted, seen, block)
        self._seen_columns = [name for name in table if name not in counted]
        write_lines(self._folder / "engine.csv", engine_lines(epoch_s, table))

    def write(self, status: str, why: str) -> None:
        """The manifest, as things stand."""
        campaign, part, site = self._campaign, self._part, self._site
        answers = self.book.answers
        good = [answer for answer in answers if answer.ok]
        first_s = self._gpu_files.first_s or self._start_s
        edges = {name: self.watch.epoch(at_s) for name, at_s in self.player.edges.items()}
        engine = site.engine
        server: dict[str, Any] = dict(campaign.server)
        if isinstance(site.dialect.facts.get("max_model_len"), int):
            server.setdefault("max_model_len", site.dialect.facts["max_model_len"])
        write_manifest(
            self._folder,
            {
                "measure_format": FORMAT,
                "status": status,
                "stopped": why or None,
                "hardware": campaign.hardware or self._facts[0].hardware,
                "model": campaign.serves or campaign.model,
                "served_as": campaign.model,
                "tp": campaign.tensor_parallel,
                "clock": {
                    "power_first_timestamp": stamp(first_s, self.offset_s, "%Y/%m/%d %H:%M:%S"),
                    "local_utc_offset_s": self.offset_s,
                    "power_timestamp_basis": "local_wall_time",
                    "engine_timestamp_basis": "unix_epoch",
                    "request_timestamp_basis": "unix_epoch",
                    **self.watch.to_dict(),
                },
                "server": server,
                "devices": [asdict(facts) for facts in self._facts],
                "engine": {
                    "name": None if engine is None else engine.engine,
                    "columns_counted": [] if engine is None else list(engine.columns),
                    "columns_seen_by_client": self._seen_columns,
                    "columns_missing": [c for c in COLUMNS if not self._has(c)],
                    "kv_tokens": site.kv_tokens,
                    "counters_fell": 0 if engine is None else engine.restarts - self._anew_before,
                    "null_block_added": null_block_share(site.idle_kv, site.kv_tokens) > 0,
                },
                "client": {
                    "endpoint": campaign.endpoint,
                    "api": campaign.client.api,
                    "prompts": campaign.client.prompts,
                    "options": sorted(site.dialect.options),
                    **self.player.pulse.to_dict(),
                },
                "instrumentation": {name: s.to_dict() for name, s in self.samplers.items()},
                "probe": {
                    "campaign": campaign.name,
                    "seed": campaign.seed,
                    **part.to_dict(),
                    **edges,
                },
                "summary": {
                    "answered": len(good),
                    "failed": len(answers) - len(good),
                    "input_tokens": sum(answer.prompt_tokens for answer in good),
                    "output_tokens": sum(answer.output_tokens for answer in good),
                    "counted_by_engine": all(answer.counted for answer in good),
                },
                "versions": _versions(site),
            },
        )

    def _has(self, column: str) -> bool:
        engine = self._site.engine
        return column in self._seen_columns or (engine is not None and column in engine.columns)


def _versions(site: Instruments) -> dict[str, str | None]:
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    versions["gpu_driver"] = site.gpus.driver
    versions["engine"] = site.dialect.facts.get("version")
    versions["system"] = f"{platform.system()} {platform.release()}"
    return versions


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not cut off the closing of the files."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
