"""A run folder while it is written: the four files that `dcsim power train` reads, and beside them
what else was measured (docs/measure.md lists the columns)."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dcsim.files import atomic_write
from dcsim.lab.measure import nvml
from dcsim.lab.measure.answers import ParsedAnswer, RawAnswer, parse_answer
from dcsim.lab.measure.clock import ClockWatch
from dcsim.lab.measure.sampler import open_csv

MANIFEST = "manifest.json"
REQUESTS = (
    "start,input_tokens,output_tokens,ttft,end,number,planned_start,planned_input,planned_output"
)
FAILURES = "start,end,number,http,planned_input,planned_output,pieces,trouble"


def local_offset_s(epoch_s: float) -> float:
    """Local less universal time, as it is at a moment; one for the whole part, so that no change
    to summer time falls into it."""
    return float(time.localtime(epoch_s).tm_gmtoff)


def stamp(epoch_s: float, offset_s: float, form: str = "%H:%M:%S") -> str:
    """Local wall time to the millisecond, as power.csv has it."""
    whole_ms = round(1000.0 * epoch_s)
    return f"{time.strftime(form, time.gmtime(whole_ms // 1000 + offset_s))}.{whole_ms % 1000:03d}"


class GpuFiles:
    """power.csv and telemetry.csv, a sample at a time."""

    def __init__(self, folder: Path, gpus: int, offset_s: float) -> None:
        self._offset_s = offset_s
        self.first_s: float | None = None
        names = ",".join(f"gpu{i}" for i in range(gpus))
        self._power = open_csv(folder / "power.csv", f"t,{names}")
        self._rest = open_csv(folder / "telemetry.csv", f"epoch,gpu,{','.join(nvml.COLUMNS)}")

    def sample(self, epoch_s: float, readings: Sequence[nvml.GpuReading]) -> None:
        if self.first_s is None:
            self.first_s = epoch_s
        watts = ",".join(f"{reading['power_w']:.3f}" for reading in readings)
        self._power.write(f"{stamp(epoch_s, self._offset_s)},{watts}\n")
        for gpu, reading in enumerate(readings):
            cells = (f"{reading[name]:.12g}" if name in reading else "" for name in nvml.COLUMNS)
            self._rest.write(f"{epoch_s:.4f},{gpu},{','.join(cells)}\n")

    def close(self) -> None:
        self._power.close()
        self._rest.close()


class AnswerBook(threading.Thread):
    """Takes answers apart in a thread of its own, and writes a row as each is understood, so that
    even a crash leaves them; `finish` puts them in order."""

    def __init__(self, folder: Path, watch: ClockWatch) -> None:
        super().__init__(name="answers", daemon=True)
        self.answers: list[ParsedAnswer] = []
        self._folder, self._watch = folder, watch
        self._waiting: queue.SimpleQueue[RawAnswer | None] = queue.SimpleQueue()
        self._file = open_csv(folder / "requests.csv", REQUESTS)

    def keep(self, raw: RawAnswer) -> None:
        """From any thread."""
        self._waiting.put(raw)

    def run(self) -> None:
        while (raw := self._waiting.get()) is not None:
            answer = parse_answer(raw)
            self.answers.append(answer)
            if answer.ok:
                self._file.write(self._row(answer) + "\n")

    def finish(self) -> None:
        """Wait for what was kept; requests.csv in order of time, failures.csv, streams.h5."""
        if self.is_alive():
            self._waiting.put(None)
            self.join()
        self._file.close()
        self.answers.sort(key=lambda answer: (answer.sent_s, answer.ask.number))
        good = [answer for answer in self.answers if answer.ok]
        bad = [answer for answer in self.answers if not answer.ok]
        requests = self._folder / "requests.csv"
        write_lines(requests, [REQUESTS, *map(self._row, good)])
        if not good:
            requests.unlink()  # readers take a table without rows for damage
        write_lines(self._folder / "failures.csv", [FAILURES, *map(self._failure, bad)])
        self._streams(self._folder / "streams.h5")

    def _row(self, answer: ParsedAnswer) -> str:
        epoch, ask = self._watch.epoch, answer.ask
        return (
            f"{epoch(answer.sent_s):.6f},{answer.prompt_tokens},{answer.output_tokens},"
            f"{answer.first_s - answer.sent_s:.6f},{epoch(answer.end_s):.6f},{ask.number},"
            f"{epoch(answer.planned_s):.6f},{ask.prompt_tokens},{ask.output_tokens}"
        )

    def _failure(self, answer: ParsedAnswer) -> str:
        epoch, ask = self._watch.epoch, answer.ask
        error = answer.error.replace('"', "'")
        return (
            f"{epoch(answer.sent_s):.6f},{epoch(answer.end_s):.6f},{ask.number},{answer.http},"
            f'{ask.prompt_tokens},{ask.output_tokens},{len(answer.text_s)},"{error}"'
        )

    def _streams(self, path: Path) -> None:
        """Every instant at which text came: `text_s` (after sending) of request i is from
        `first[i]` to `first[i + 1]`."""
        counts = [len(answer.text_s) for answer in self.answers]
        with h5py.File(path, "w") as file:
            file["number"] = np.array([a.ask.number for a in self.answers], dtype=np.int32)
            file["ok"] = np.array([a.ok for a in self.answers], dtype=bool)
            file["start"] = np.array([self._watch.epoch(a.sent_s) for a in self.answers])
            file["output_tokens"] = np.array(
                [a.output_tokens for a in self.answers], dtype=np.int32
            )
            file["first"] = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            text = [(a.text_s - a.sent_s).astype(np.float32) for a in self.answers]
            file.create_dataset(
                "text_s",
                data=np.concatenate([np.empty(0, np.float32), *text]),
                compression="gzip",
                chunks=True,
                maxshape=(None,),
            )


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Complete or not at all."""
    atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    atomic_write(path, "\n".join(lines) + "\n")
