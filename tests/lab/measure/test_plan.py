"""Campaign files and the plans made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dcsim.cli import app
from dcsim.errors import ScenarioError
from dcsim.lab.measure.campaign import load_campaign
from dcsim.lab.measure.plan import PROMPTS, make_plan
from tests.lab.measure.bench import campaign, written

URL = "http://localhost:8000"
PARTS = """parts:
  - {name: rest, kind: idle, duration: 1 min, before: 0 s, after: 0 s}
  - name: load
    kind: rates
    rates: [0.5 req/s, 4 req/s]
    burstiness: [1, 0.25]
    duration: 5 min
    repeats: 2
    tokens: [{kind: fit, name: sharegpt, output_max: 512}, {kind: fixed, prompt: 10, output: 5}]
  - name: stairs
    kind: staircase
    batches: [1, 4]
    rounds: 3
    rest: 2 s
    tokens: {kind: fixed, prompt: 100, output: 40}
  - {name: edges, kind: steps, batch: 8, period: 20 s, count: 5,
     tokens: {kind: fixed, prompt: 64, output: 300}}
"""


def test_parts_are_the_grid_of_what_is_asked(tmp_path: Path) -> None:
    parts = make_plan(campaign(tmp_path, URL, PARTS))
    assert len(parts) == 1 + 2 * 2 * 2 * 2 + 2
    assert len({part.name for part in parts}) == len(parts)
    assert parts[0].name == "01-rest" and parts[0].duration_s == 60.0 and not parts[0].asks
    assert parts[1].name == "02-load-r0.5-b1-t1-1"
    load = next(p for p in parts if p.name.endswith("load-r4-b1-t2-1"))
    assert abs(len(load.asks) - 1200) < 4 * np.sqrt(1200)  # Poisson
    assert {(a.prompt_tokens, a.output_tokens) for a in load.asks} == {(10, 5)}
    times = [a.at_s for a in load.asks]
    assert times == sorted(times) and times[0] >= 0 and times[-1] < 300
    stairs, edges = parts[-2:]
    assert len(stairs.asks) == 3 * (1 + 4) and all(a.at_s is None for a in stairs.asks)
    assert [a.stream for a in stairs.asks[3:11]] == [0, 1, 2, 3, 0, 1, 2, 3]
    # 3 rounds of 100 / 5000 + 40 x 25 ms on each stair, a rest between, 10 s idle at both ends
    assert stairs.duration_s == pytest.approx(2 * 3 * 1.02 + 2 + 20)
    assert [a.at_s for a in edges.asks] == [20.0 * (i // 8) for i in range(40)]
    assert (edges.prompt_tokens, edges.output_tokens) == (40 * 64, 40 * 300)


def test_burstier_arrivals_are_burstier(tmp_path: Path) -> None:
    parts = {p.name[3:]: p for p in make_plan(campaign(tmp_path, URL, PARTS))}
    for name, cv in (("load-r4-b1-t2-1", 1.0), ("load-r4-b0.25-t2-1", 2.0)):
        gaps = np.diff([a.at_s for a in parts[name].asks])
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.15)


def test_a_plan_is_the_same_again_and_parts_do_not_hang_on_each_other(tmp_path: Path) -> None:
    first = make_plan(campaign(tmp_path, URL, PARTS))
    assert make_plan(campaign(tmp_path, URL, PARTS)) == first
    without = make_plan(campaign(tmp_path, URL, PARTS.replace("0.5 req/s, ", "")))
    kept = {p.name[3:]: p.asks for p in first}
    assert all(kept[p.name[3:]] == p.asks for p in without)
    other = make_plan(campaign(tmp_path, URL, PARTS, "").model_copy(update={"seed": 4}))
    assert all(a.asks != b.asks for a, b in zip(first[1:9], other[1:9], strict=True))
    one, two = (next(p for p in first if p.name.endswith(f"r4-b1-t1-{n}")) for n in (1, 2))
    assert one.asks != two.asks  # repeats have seeds of their own
    draws = [part.generator(3, PROMPTS).integers(0, 10**9, 4).tolist() for part in first]
    assert len({tuple(draw) for draw in draws}) == len(first)


def test_the_digest_is_of_every_request(tmp_path: Path) -> None:
    part = make_plan(campaign(tmp_path, URL, PARTS))[1]
    changed = replace(part, asks=(replace(part.asks[0], output_tokens=7), *part.asks[1:]))
    assert part.to_dict()["digest"] != changed.to_dict()["digest"]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    bad = written(
        tmp_path,
        "localhost:8000",
        """client: {api: chat}
tensor_parallel: 2
meter: {gpu: {indices: [0], period: 1 s}}
parts:
  - {name: a, kind: idle, duration: 60}
  - {name: a, kind: rates, rates: [2 kg], duration: 1 min,
     tokens: [{kind: fit, name: sharegtp}, {kind: empirical, file: none.csv}]}
  - {name: c, kind: stairs}
""",
    )
    with pytest.raises(ScenarioError) as told:
        load_campaign(bad)
    text = str(told.value)
    for part in (
        f"{bad}:2: endpoint: expected an address such as 'http://localhost:8000'",
        "client: chat takes no token ids (add `prompts: words`)",
        "meter.gpu.indices: expected 2 different GPUs",
        "meter.gpu.period: must be less than or equal to 0.25",
        f"{bad}:9: parts.0.duration: expected a quantity with its unit",
        "parts.1.name: the name 'a' is taken by parts.0",
        "parts.1.rates.0: '2 kg' is not a quantity",
        "parts.1.tokens.0.name: there is no fit 'sharegtp'",
        f"parts.1.tokens.1.file: there is no file {tmp_path / 'none.csv'}",
        "parts.2.kind: expected",
    ):
        assert part in text, part
    done = CliRunner().invoke(app, ["measure", "plan", str(bad)])
    assert (done.exit_code == 2 and "11 problems" in done.stderr) or "10 problems" in done.stderr


def test_a_password_in_an_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="must not hold a password"):
        campaign(tmp_path, "http://me:secret@localhost:8000")


def test_plan_tells_parts_tokens_and_time(tmp_path: Path) -> None:
    path = written(tmp_path, URL, PARTS)
    done = CliRunner().invoke(app, ["measure", "plan", str(path)])
    assert done.exit_code == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
    assert rows["01-rest"][1:] == ["idle", "1:00", "0", "0", "0"]
    assert rows["18-stairs"][1:] == ["staircase", "0:28", "15", "1,500", "600"]
    total = sum(p.output_tokens for p in make_plan(load_campaign(path)))
    assert rows["all"][-1] == f"{total:,}"
    assert "18-stairs is shorter than the minute that training needs" in done.stderr
