"""From a campaign file to a simulated site with a pack of one's own, and no GPU: the steps of
docs/measure.md, from the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dcsim.cli import app
from tests.lab.measure.bench import written
from tests.lab.measure.conftest import FastClock
from tests.lab.measure.engine import Engine
from tests.lab.measure.gpus import Gpus

RATE = 10.0
TRIES = 3
"""A part that is not good (a busy machine lost samples) is measured again by the same command."""
PARTS = """server: {max_num_seqs: 256, max_num_batched_tokens: 8192}
parts:
  - name: load
    kind: rates
    rates: [1 req/s]
    duration: 60 s
    before: 8 s
    after: 8 s
    tokens: [{kind: lognormal, prompt_median: 80, prompt_sigma: 0.6, prompt_max: 400,
              output_median: 40, output_sigma: 0.6, output_max: 150}]
"""
SITE = """name: replay
seed: 1
duration: 100 s
workload:
  - name: collected
    model: qwen3-8b
    arrivals: {{kind: replay, file: {requests}, format: vllm}}
servers:
  - name: a100
    server: dgx-a100-80gb
    model: qwen3-8b
    tensor_parallel: 1
    power: {{pack: {pack}}}
facility:
  - {{name: site, kind: site, rating: 10 kW}}
  - {{name: server, kind: server, parent: site, group: a100}}
"""


def dcsim(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_from_a_plan_to_a_simulated_site(
    gpus: Gpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcsim.lab.measure.collect.MeasuringClock", lambda: FastClock(RATE))
    gpus.state.rate = RATE
    out, pack = tmp_path / "out", tmp_path / "mine.h5"
    with Engine(rate=RATE, power=gpus.draw) as engine:
        path = written(tmp_path, engine.url, PARTS)
        planned = json.loads(dcsim("measure", "plan", path, "--json").stdout)["parts"][0]
        for _ in range(TRIES):
            prompt_before, before = engine.prompt_total, engine.generation_total
            done = dcsim("measure", "run", path, "--out", out)
            if done.exit_code == 0:
                break
        assert done.exit_code == 0, done.stderr
        served = engine.generation_total - before - 4, engine.prompt_total - prompt_before - 8
    folder = out / "01-load-r1"
    checked = dcsim("measure", "check", folder, "--json")
    assert checked.exit_code == 0, checked.stdout
    figures = json.loads(checked.stdout)[0]["figures"]

    # plan, engine, client: the same requests and tokens, to the last one
    assert figures["requests"] == planned["requests"]
    assert served == (figures["output_tokens"], figures["prompt_tokens"])
    assert served == (planned["output_tokens"], planned["prompt_tokens"])
    with (folder / "engine.csv").open(newline="") as text:
        *_, last = csv.DictReader(text)
    assert (float(last["generation_total"]), float(last["prompt_total"])) == served

    trained = dcsim("power", "train", folder, "--out", pack, "--updates", 60)
    assert trained.exit_code == 0, trained.output
    judged = dcsim("power", "evaluate", folder, "--pack", pack, "--seeds", 2, "--json")
    assert judged.exit_code == 0, judged.output
    (row,) = json.loads(judged.stdout)
    assert row["evidence"] == "fitted" and row["configuration"] == "qwen3-8b/a100-sxm-80gb/tp1"
    assert row["energy_error_pct"] < 15  # after seconds of training

    site = tmp_path / "site.yaml"
    site.write_text(SITE.format(requests=folder / "requests.csv", pack=pack))
    ran = dcsim("run", site, "--json", "--quiet")
    assert ran.exit_code == 0, ran.output
    summary = json.loads(ran.stdout)
    assert summary["requests"]["arrived"] == summary["requests"]["completed"]
    assert summary["requests"]["completed"] == planned["requests"]
    tokens = summary["tokens"]
    assert (tokens["generated"], tokens["prompt"]) == served
    assert (tokens["cached"], tokens["lost"]) == (0, 0)
    assert summary["power_model"]["pack"] == "mine"
