"""Campaigns on the stand-ins: what is written, and everything that may go wrong meanwhile."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dcsim.errors import MeasureError
from dcsim.lab.measure import collect as collecting
from dcsim.lab.measure.check import check_folder
from dcsim.lab.measure.collect import collect
from tests.lab.measure.bench import SHORT, campaign
from tests.lab.measure.conftest import FastClock
from tests.lab.measure.engine import Engine
from tests.lab.measure.gpus import Gpus

RATE = 10.0
PART = "01-load-r2"


@pytest.fixture
def heard() -> Iterator[None]:
    """SIGINT is heard, even by tests that a shell began in the background: it lets those ignore
    the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def engine(gpus: Gpus) -> Engine:
    gpus.state.rate = RATE
    return Engine(rate=RATE, power=gpus.draw)


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as text:
        return list(csv.DictReader(text))


def once(ready: Callable[[], bool], call: Callable[[], object]) -> threading.Thread:
    """Call when something is so, whatever the machine's pace; never after a minute."""

    def wait() -> None:
        deadline = time.monotonic() + 60.0
        while not ready():
            if time.monotonic() > deadline:
                return
            time.sleep(0.005)
        call()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def measuring(out: Path) -> int:
    """So many parts have begun to be measured."""
    return sum(path.stat().st_size > 400 for path in out.glob("0*/power.csv"))


def error_text(folder: Path) -> str:
    """All that is wrong but for how short a test is."""
    return "; ".join(f for f in check_folder(folder).errors if "share less than a minute" not in f)


def test_what_a_part_leaves(engine: Engine, tmp_path: Path) -> None:
    with engine:
        spec = campaign(tmp_path, engine.url)
        collect(spec, tmp_path / "out", clock=FastClock(RATE))
    folder = tmp_path / "out" / PART
    told = manifest(folder)
    assert (told["status"], told["hardware"], told["tp"]) == ("complete", "A100", 1)
    assert told["model"] == "Qwen/Qwen3-8B" and told["server"] == {"max_model_len": 32768}
    assert told["versions"]["engine"] == "0.10.1-standin"
    assert told["devices"][0]["limit_w"] == 400.0
    found = rows(folder / "requests.csv")
    assert len(found) == told["probe"]["requests"] == told["summary"]["answered"] > 10
    assert {(r["input_tokens"], r["output_tokens"]) for r in found} == {("50", "20")}
    # prompts are ids of exactly the planned length, and no two begin alike
    prompts = [tuple(body["prompt"]) for body in engine.bodies[1:]]
    assert {len(prompt) for prompt in prompts} == {50}
    assert len({prompt[:4] for prompt in prompts}) == len(prompts)
    assert all(body["min_tokens"] == 20 and body["ignore_eos"] for body in engine.bodies[1:])
    with h5py.File(folder / "streams.h5") as file:
        first, text_s = file["first"][:], file["text_s"][:]
        assert np.diff(first).tolist() == [20] * len(found)
        for i, row in enumerate(found):
            own = text_s[first[i] : first[i + 1]]
            assert own[0] == pytest.approx(float(row["ttft"]), abs=1e-4)
            assert (np.diff(own) >= 0).all()
            assert own[-1] <= float(row["end"]) - float(row["start"]) + 1e-4
    engine_rows = rows(folder / "engine.csv")
    assert float(engine_rows[0]["generation_total"]) == 0
    assert float(engine_rows[-1]["generation_total"]) == 20 * len(found)
    assert float(engine_rows[-1]["prompt_total"]) == 50 * len(found)
    telemetry = rows(folder / "telemetry.csv")
    power = rows(folder / "power.csv")
    assert len(telemetry) == len(power)
    assert telemetry[0]["throttle"] == ""  # unknown is not 0
    assert float(power[0]["gpu0"]) == 80.0 and max(float(r["gpu0"]) for r in power) > 180
    assert rows(folder / "failures.csv") == []


PARTS = """parts:
  - {name: one, kind: steps, batch: 3, period: 4 s, count: 2, before: 1 s, after: 1 s,
     tokens: {kind: fixed, prompt: 30, output: 20}}
  - {name: two, kind: staircase, batches: [1, 3], rounds: 2, rest: 1 s, before: 1 s, after: 1 s,
     tokens: {kind: fixed, prompt: 30, output: 20}}
"""


def test_steps_come_at_once_and_stairs_hold_their_batch(engine: Engine, tmp_path: Path) -> None:
    with engine:
        collect(campaign(tmp_path, engine.url, PARTS), tmp_path / "out", clock=FastClock(RATE))
    begin = manifest(tmp_path / "out/01-one")["probe"]["begin"]
    sent = [float(r["planned_start"]) - begin for r in rows(tmp_path / "out/01-one/requests.csv")]
    assert np.allclose(sorted(sent), [0, 0, 0, 4, 4, 4], atol=0.3)
    found = rows(tmp_path / "out/02-two/requests.csv")
    assert len(found) == 2 * (1 + 3)
    spans = [(float(r["start"]), float(r["end"])) for r in found]
    most = [sum(a <= start < b for a, b in spans) for start, _ in spans]
    assert max(most) == 3 and most[0] == most[1] == 1  # one stream twice, then three


@pytest.mark.usefixtures("heard")
def test_going_on_keeps_what_is_good(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    judged: set[Path] = set()
    real = collecting.check_folder

    def short_is_fine(folder: Path) -> Any:
        found = real(folder)
        found.errors = [f for f in found.errors if "share less than a minute" not in f]
        judged.add(folder)
        return found

    monkeypatch.setattr("dcsim.lab.measure.collect.check_folder", short_is_fine)
    monkeypatch.setattr("dcsim.lab.measure.campaign_dir.check_folder", short_is_fine)
    with engine:
        spec = campaign(tmp_path, engine.url, PARTS)
        watcher = once(lambda: measuring(out) == 2, lambda: os.kill(os.getpid(), signal.SIGINT))
        first = collect(spec, out, clock=FastClock(RATE))
        watcher.join()
        assert first.interrupted and first.stopped
        assert first.left and set(first.good + first.left) == {"01-one", "02-two"}
        stopped = first.left[0]
        told = manifest(out / stopped)
        assert told["status"] == "interrupted"
        assert "interrupted" in error_text(out / stopped)
        assert (out / stopped / "power.csv").stat().st_size > 20  # kept
        asked = engine.asked
        kept = {p: p.stat().st_mtime_ns for name in first.good for p in (out / name).iterdir()}
        said: list[str] = []
        second = collect(spec, out, said.append, FastClock(RATE))
        assert second.good == ["01-one", "02-two"] and not second.left
        assert any(f"{stopped}: measured again: it was not finished" in line for line in said)
        assert (out / f"{stopped}.aside-1" / "manifest.json").is_file()
        assert {p: p.stat().st_mtime_ns for p in kept} == kept
        assert engine.asked > asked
        asked = engine.asked
        third = collect(spec, out, clock=FastClock(RATE))
        assert third.good == second.good and engine.asked == asked  # nothing left to ask
    other = spec.model_copy(update={"seed": 9})
    with pytest.raises(MeasureError, match="holds another campaign"):
        collect(other, out)
    with pytest.raises(MeasureError, match="not empty and does not contain a campaign"):
        collect(spec, tmp_path)


TROUBLES = {
    3: ("429", 0, "HTTP 429: too busy"),
    5: ("500", 0, "HTTP 500: internal error"),
    7: ("drop", 3, "the connection broke"),
    9: ("stall", 3, "timed out"),
    11: ("garbage", 20, "not the protocol"),
    13: ("error", 20, "the engine: out of memory"),
}
"""By number of the request, 0 being the probe: what befalls it, the pieces of text that came, and
what is said of it."""


def test_requests_that_fail_are_kept_as_failed(engine: Engine, tmp_path: Path) -> None:
    engine.fault = lambda number: TROUBLES[number][0] if number in TROUBLES else ""
    with engine:
        spec = campaign(tmp_path, engine.url, more="client: {timeout: 6 s}\n")
        collect(spec, tmp_path / "out", clock=FastClock(RATE))
    folder = tmp_path / "out" / PART
    failed = {int(row["number"]) + 1: row for row in rows(folder / "failures.csv")}
    assert set(failed) == set(TROUBLES)
    for number, (_, pieces, why) in TROUBLES.items():
        assert int(failed[number]["pieces"]) == pieces
        assert failed[number]["trouble"].startswith(why)
    planned = manifest(folder)["probe"]["requests"]
    assert len(rows(folder / "requests.csv")) == planned - 6
    assert f"6 of {planned} requests were not answered in full (1 x " in error_text(folder)


def test_short_answers_are_told(engine: Engine, tmp_path: Path) -> None:
    engine.accepts = ("stream_options",)
    engine.fault = lambda number: "short" if number > 2 else ""
    said: list[str] = []
    with engine:
        collect(campaign(tmp_path, engine.url), tmp_path / "out", said.append, FastClock(RATE))
    folder = tmp_path / "out" / PART
    assert any("takes no ignore_eos" in line for line in said)
    assert not {"ignore_eos", "min_tokens"} & set(engine.bodies[-1])
    count = len(rows(folder / "requests.csv"))
    assert f"{count} answers have another length than planned" in check_folder(folder).warnings
    assert manifest(folder)["summary"]["output_tokens"] == 18 * count
    assert error_text(folder) == ""  # tokens still agree with the engine's


def test_a_dead_endpoint_ends_the_part(engine: Engine, tmp_path: Path) -> None:
    engine.fault = lambda number: "500" if number > 3 else ""
    with engine:
        spec = campaign(tmp_path, engine.url, SHORT.replace("[2 req/s]", "[8 req/s]"))
        outcome = collect(spec, tmp_path / "out", clock=FastClock(RATE))
    assert outcome.stopped.startswith("20 requests in a row failed, the last: HTTP 500")
    assert manifest(tmp_path / "out/01-load-r8")["status"] == "stopped"


def test_a_gpu_that_vanishes_ends_the_part(engine: Engine, gpus: Gpus, tmp_path: Path) -> None:
    with engine:
        out = tmp_path / "out"
        watcher = once(lambda: measuring(out) == 1, lambda: gpus.state.lost.__setitem__(0, 1))
        outcome = collect(campaign(tmp_path, engine.url), out, clock=FastClock(RATE))
        watcher.join()
    folder = tmp_path / "out" / PART
    assert "GPU is lost" in outcome.stopped
    assert "GPU is lost" in manifest(folder)["stopped"]
    assert "it was not finished: stopped" in error_text(folder)
    assert any(r["trouble"] == "cut off by the client" for r in rows(folder / "failures.csv")) or (
        manifest(folder)["summary"]["answered"] < manifest(folder)["probe"]["requests"]
    )


def test_a_clock_that_is_set_makes_the_part_not_good(engine: Engine, tmp_path: Path) -> None:
    clock = FastClock(RATE)
    with engine:
        out = tmp_path / "out"
        watcher = once(lambda: measuring(out) == 1, lambda: setattr(clock, "set_by_s", -3.0))
        collect(campaign(tmp_path, engine.url), out, clock=clock)
        watcher.join()
    folder = tmp_path / "out" / PART
    assert "the wall clock was set by -3.000 s meanwhile" in error_text(folder)
    starts = [float(row["start"]) for row in rows(folder / "requests.csv")]
    assert starts == sorted(starts)  # our own stamps do not jump


def test_somebody_elses_work_is_noticed(engine: Engine, tmp_path: Path) -> None:
    with engine:
        out = tmp_path / "out"
        meddle = lambda: setattr(engine, "generation_total", 10_000)  # noqa: E731
        watcher = once(lambda: measuring(out) == 1, meddle)
        collect(campaign(tmp_path, engine.url), out, clock=FastClock(RATE))
        watcher.join()
    assert "the engine's generation_total grew by" in error_text(tmp_path / "out" / PART)


def test_without_metrics_the_clients_view_stands_in(engine: Engine, tmp_path: Path) -> None:
    engine.metrics = False
    more = "meter: {engine: {required: false, kv_tokens: 480000}}\n"
    with engine:
        collect(campaign(tmp_path, engine.url, more=more), tmp_path / "out", clock=FastClock(RATE))
        generated = engine.generation_total - 4  # the probe's
    folder = tmp_path / "out" / PART
    last = rows(folder / "engine.csv")[-1]
    assert float(last["generation_total"]) == generated
    assert "iterations" not in last
    doubts = " ".join(check_folder(folder).warnings)
    assert "the engine does not count running, waiting, kv" in doubts
    assert "nobody counted iterations" in doubts and error_text(folder) == ""


def test_chat_takes_words(engine: Engine, tmp_path: Path) -> None:
    with engine:
        spec = campaign(
            tmp_path,
            engine.url,
            more="client: {api: chat, prompts: words}\n",
        )
        collect(spec, tmp_path / "out", clock=FastClock(RATE))
    assert len(engine.bodies[-1]["messages"][0]["content"].split()) == 50
    assert error_text(tmp_path / "out" / PART) == ""


def test_refusals_come_before_anything_is_measured(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.key = "sesame"
    out = tmp_path / "out"

    def refused(why: str, url: str = "", more: str = "") -> None:
        spec = campaign(tmp_path, url or engine.url, more=more)
        shutil_free(out)
        with pytest.raises(MeasureError, match=why):
            collect(spec, out, clock=FastClock(RATE))
        assert [p.name for p in out.iterdir()] == ["campaign.json"]

    with engine:
        refused("nobody answers there", url="http://127.0.0.1:1")
        refused("a first request failed: HTTP 401: wrong key")
        refused("the variable NO_KEY is not set", more="client: {api_key_env: NO_KEY}\n")
        monkeypatch.setenv("MY_KEY", "sesame")
        key = "client: {api_key_env: MY_KEY}\n"
        refused("no GPU 5", more=key + "meter: {gpu: {indices: [5]}}\n")
        engine.metrics = False
        refused("no metrics of the engine: .* answered 404", more=key)
        more = key + "meter: {engine: {required: false}}\n"
        refused("give meter.engine.kv_tokens", more=more)
        engine.metrics = True
        monkeypatch.setattr("dcsim.lab.measure.collect.MAX_QUIET_WAIT_S", 0.0)
        engine.foreign = 2
        refused("works on 2 requests that are not ours", more=key)
        spec = campaign(tmp_path, engine.url, more=key).model_copy(update={"model": "other"})
        shutil_free(out)
        with pytest.raises(MeasureError, match=r"no model 'other'; it serves Qwen/Qwen3-8B"):
            collect(spec, out, clock=FastClock(RATE))
    text = (out / "campaign.json").read_text()
    assert "sesame" not in text and "MY_KEY" in text


def shutil_free(folder: Path) -> None:
    """An empty place."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}-{time.monotonic_ns()}"))
