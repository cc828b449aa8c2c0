"""Caps cost time: whole runs against the closed form, at every power step. Invariant 32."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from dcsim.arrays import FloatArray
from dcsim.engine import Simulation, simulate
from dcsim.hardware.catalogue import load_catalogue
from dcsim.hardware.roofline import IterationModel
from dcsim.hardware.timing import timing_of
from dcsim.plant import Plant
from dcsim.power.gpu_limits import GpuLimits
from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario

FILE = """
name: one
seed: 3
duration: {duration} s
power_step: {step}
workload:
  - name: prompts
    model: llama-3-70b
    arrivals: {{kind: replay, file: "{file}", format: csv}}
servers:
  - {{name: a, server: {server}, model: llama-3-70b, tensor_parallel: {parallel}, power: {power}}}
facility:
  - {{name: site, kind: site, rating: 60 kW}}
  - {{name: server, kind: server, parent: site, count: 1, group: a}}
control: {control}
"""
BOARDS = {"dgx-a100-80gb": ("a100-sxm-80gb", 400.0), "dgx-h100": ("h100-sxm-80gb", 700.0)}
EXPONENT = math.log((320.0 - 70.12) / (400.0 - 70.12)) / math.log(1.10 / 1.41)
"""POLCA: an A100 at 1.1 of 1.41 GHz draws a fifth less than its 400 W."""
BUDGET = 2048


@dataclass(frozen=True)
class Played:
    ttft_s: float
    tpot_s: float
    above_j: float
    """Of the run, above what the server draws at rest."""
    energy_j: float
    """Of the GPUs, for a request."""
    peak_w: float
    done: int


def text(
    folder: Path,
    prompt: int,
    output: int,
    step: str = "250 ms",
    server: str = "dgx-a100-80gb",
    power: str = "{model: ledger}",
    cap: dict[str, Any] | Sequence[dict[str, Any]] = (),
    duration: float = 12,
    every_s: float = math.inf,
    parallel: int = 8,
) -> str:
    """A scenario with one request at the start, or one each `every_s`, its trace in `folder`."""
    count = 1 if math.isinf(every_s) else int(duration / every_s)
    rows = [f"{place * every_s if place else 0.0},{prompt},{output}" for place in range(count)]
    file = folder / "trace.csv"
    file.write_text("\n".join(["time,prompt,output", *rows]))
    caps = [cap] if isinstance(cap, dict) else cap
    return FILE.format(
        file=file,
        step=step,
        server=server,
        power=power,
        control=json.dumps([{"policy": "static-cap"} | each for each in caps]),
        duration=duration,
        parallel=parallel,
    )


def play(prompt: int, output: int, **changes: Any) -> Played:
    with TemporaryDirectory() as folder:
        return _play(loads(text(Path(folder), prompt, output, **changes)))


def _play(scenario: Scenario) -> Played:
    kind = scenario.servers[0].server
    with simulate(scenario) as run:
        requests = run.requests().query("status == 'completed'")
        site = run.summary["nodes"][0]
        gpu = load_catalogue().gpus[BOARDS[kind][0]]
        gpus_w = 8 * gpu.ledger_power.idle_w
        rest_w = load_catalogue().servers[kind].non_gpu_w + gpus_w
        answer_s = requests["end_s"] - requests["arrival_s"] - requests["ttft_s"]
        busy_s = requests["end_s"] - requests["arrival_s"]
        energy_j = site["energy_wh"] * 3600 - rest_w * scenario.duration_s
        return Played(
            ttft_s=float(requests["ttft_s"].mean()),
            tpot_s=float((answer_s / (requests["output_tokens"] - 1)).mean()),
            above_j=energy_j,
            energy_j=energy_j / len(requests) + gpus_w * float(busy_s.mean()),
            peak_w=float(site["peak_w"]),
            done=len(requests),
        )


@lru_cache(maxsize=4)
def timing(gpu: str) -> IterationModel:
    catalogue = load_catalogue()
    return IterationModel(catalogue.models["llama-3-70b"], catalogue.gpus[gpu], 8, 256)


def by_hand(
    prompt: int,
    output: int,
    server: str,
    cap_w: float,
    windows: Sequence[tuple[float, float, float]] = (),
) -> Played:
    """The closed form: each iteration at the highest clock at which its own watts, by the published
    coefficients, are under the cap; computing takes the longer for it, the rest as long as ever.

    `windows` are further caps, each from one time to another, with its watts; an iteration does
    its work at the speed of the moment.
    """
    name, board_w = BOARDS[server]
    gpu = load_catalogue().gpus[name]
    power, full, model = gpu.ledger_power, timing(name), load_catalogue().models["llama-3-70b"]
    weights = model.weight_bytes / 8 / gpu.hbm_bytes
    costs = full.costs
    edges = sorted({edge for start_s, end_s, _ in windows for edge in (start_s, end_s)})

    def iteration(
        shape: tuple[float, ...], flops: float, moved: float, now_s: float
    ) -> tuple[float, float]:
        """Seconds, and joules above rest of all GPUs, of an iteration that begins now."""
        full_s = full.mixed_s(*shape)
        util = flops / full_s / (8 * gpu.peak_flops)
        traffic = moved / full_s / (8 * gpu.hbm_bandwidth_bytes_s)
        above_w = power.active_weight_w * weights + power.compute_w * util
        above_w += power.memory_w * math.sqrt(traffic)
        above_w = min(above_w, board_w - power.idle_w)
        begun_s, left, joules = now_s, 1.0, 0.0
        while True:
            caps_w = [watts for start_s, end_s, watts in windows if start_s <= now_s < end_s]
            room_w = min([cap_w, *caps_w]) - power.idle_w
            clock = 1.0 if above_w <= room_w else (room_w / above_w) ** (1.0 / EXPONENT)
            seconds = full.at_clock(clock).mixed_s(*shape)
            until_s = min((edge for edge in edges if edge > now_s), default=math.inf)
            spent_s = min(left * seconds, until_s - now_s)
            joules += 8 * min(above_w, room_w) * spent_s
            if now_s + left * seconds <= until_s:
                return now_s + left * seconds - begun_s, joules
            left -= spent_s / seconds
            now_s = until_s

    ttft_s = energy_j = 0.0
    for before in range(0, prompt, BUDGET):
        chunk = min(BUDGET, prompt - before)
        ends = before + chunk == prompt
        pairs, reads = chunk * (before + chunk / 2), before + chunk / 2 + chunk
        flops = chunk * costs.flops_per_token + pairs * costs.flops_per_context
        flops += ends * costs.flops_per_logit
        moved = costs.bytes_per_iteration + chunk * costs.bytes_per_token + reads * costs.kv_bytes
        moved -= (not ends) * costs.head_bytes
        took_s, took_j = iteration((0, 0, chunk, pairs, reads, float(ends)), flops, moved, ttft_s)
        ttft_s += took_s
        energy_j += took_j
    answer_s = 0.0
    for context in range(prompt, prompt + output - 1):
        flops = costs.flops_per_token + costs.flops_per_logit + context * costs.flops_per_context
        moved = costs.bytes_per_iteration + costs.bytes_per_token + (context + 1) * costs.kv_bytes
        took_s, took_j = iteration((1, context, 0, 0.0, 0.0, 0.0), flops, moved, ttft_s + answer_s)
        answer_s += took_s
        energy_j += took_j
    overhead_s = timing_of(model, gpu).first_token_overhead_s
    energy_j += 8 * power.idle_w * (ttft_s + overhead_s + answer_s)
    return Played(ttft_s + overhead_s, answer_s / (output - 1), math.nan, energy_j, math.nan, 1)


def agrees(found: Played, expected: Played) -> None:
    """TTFT, time per token and energy of a request, within 1 %."""
    assert found.ttft_s == pytest.approx(expected.ttft_s, rel=0.01)
    assert found.tpot_s == pytest.approx(expected.tpot_s, rel=0.01)
    assert found.energy_j == pytest.approx(expected.energy_j, rel=0.01)


@pytest.mark.parametrize("step", ["10 ms", "50 ms", "250 ms", "1 s"])
@pytest.mark.parametrize("share", [0.4, 0.55, 0.8, 1.0])
@pytest.mark.parametrize("prompt", [256, 1400, 6000, 30_000])
def test_a_prompt_takes_its_time_over_the_speed_that_the_cap_leaves(
    prompt: int, share: float, step: str
) -> None:
    """TTFT, time per token and energy of a request, within 1 % of the closed form."""
    server = "dgx-a100-80gb" if share in (0.4, 0.8) else "dgx-h100"
    cap_w = share * BOARDS[server][1]
    # Energy is counted over the power steps: the long ones must hold all of the request.
    found = play(prompt, 120, step=step, server=server, cap={"gpu_power": f"{cap_w} W"})
    expected = by_hand(prompt, 120, server, cap_w)
    agrees(found, expected)


@pytest.mark.parametrize("cap", [(), {"gpu_power": "300 W"}, {"clock": 0.7}])
@pytest.mark.parametrize(("prompt", "output", "every_s"), [(300, 6, 0.1), (2300, 40, 0.3)])
def test_energy_does_not_depend_on_the_power_step(
    prompt: int, output: int, every_s: float, cap: dict[str, Any] | tuple[()]
) -> None:
    """Short requests, so that a step of 1 s holds rest, prompts and answers, and prompts that meet
    the answers of others. What the linear model says of such a step is the mean of what it says of
    short ones: its root is taken of each kind of work, not of the step's mean (4 % more)."""
    load: dict[str, Any] = {"every_s": every_s, "duration": 10, "cap": cap}
    fine = play(prompt, output, step="10 ms", **load)
    for step in ("250 ms", "1 s"):
        coarse = play(prompt, output, step=step, **load)
        assert coarse.above_j == pytest.approx(fine.above_j, rel=0.002)
        assert coarse.ttft_s == pytest.approx(fine.ttft_s, rel=1e-6)


def test_what_the_closed_form_says_of_a_cap_at_half() -> None:
    """Figures that anybody can check: a prompt of 1,400 tokens pays half as much again on an H100
    at 350 of 700 W, as one of 30,000 does."""
    for prompt, ratio in ((1400, 1.52), (30_000, 1.68)):
        free, held = (by_hand(prompt, 2, "dgx-h100", cap_w) for cap_w in (700.0, 350.0))
        assert held.ttft_s / free.ttft_s == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize("power", ["{model: ledger}", "{model: gru}"])
def test_a_server_cap_is_that_of_its_gpus(power: str) -> None:
    """A DGX A100 draws 1 kW beside its GPUs: 2.6 kW at the wall leave each of eight 200 W."""
    gpus = play(6000, 20, power=power, cap={"gpu_power": "200 W"}, every_s=2.0, duration=20)
    server = play(6000, 20, power=power, cap={"server_power": "2.6 kW"}, every_s=2.0, duration=20)
    assert server == gpus


def test_replicas_that_share_a_server_share_its_cap() -> None:
    """Two replicas of four GPUs: while one rests, the other may have all that the cap leaves, and
    a cap that both together do not reach costs nothing."""
    alone = play(3000, 2, step="50 ms", cap={"gpu_power": "290 W"}, parallel=4)
    # 1 kW, four GPUs at rest at 70.1 W, and four at 290 W.
    shared = play(3000, 2, step="50 ms", cap={"server_power": "2440.5 W"}, parallel=4)
    assert shared.ttft_s == pytest.approx(alone.ttft_s, rel=0.01)
    free = play(3000, 2, step="50 ms", parallel=4)
    assert alone.ttft_s > 1.1 * free.ttft_s
    roomy = play(3000, 2, step="50 ms", cap={"server_power": "3 kW"}, parallel=4)
    assert roomy == free
    busy = play(3000, 2, step="50 ms", cap={"server_power": "2440.5 W"}, parallel=4, every_s=0.5)
    assert busy.ttft_s > 1.3 * shared.ttft_s
    assert busy.peak_w <= 2440.5 * (1 + 1e-6)


# --- models that draw at random ------------------------------------------------------------


@pytest.mark.parametrize("share", [0.45, 0.6, 0.75])
def test_work_and_watts_belong_together_where_watts_are_drawn_at_random(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that does nothing but prompts, by the GRU's watts. By hand, from what the model
    says of each step at full clock: watts are cut at the cap, and work is what the clock leaves
    that would draw so much."""
    load: dict[str, Any] = {"power": "{model: gru}", "every_s": 0.15, "duration": 120}
    free = play(2048, 2, **load)
    said: list[float] = []
    limit = GpuLimits.limit

    def heard(self: GpuLimits, full_w: FloatArray, server_gpu_w: FloatArray) -> FloatArray:
        said.append(float(full_w[0]))
        return limit(self, full_w, server_gpu_w)

    monkeypatch.setattr(GpuLimits, "limit", heard)
    held = play(2048, 2, cap={"gpu_power": f"{share * 400.0} W"}, **load)
    full_w = np.array(said[8:]) / 8
    room_w = np.clip(full_w, None, share * 400.0) - 70.12
    clock = (room_w / (full_w - 70.12)) ** (1.0 / EXPONENT)
    full = timing("a100-sxm-80gb")
    prompt = (1, 2048, 2047, 2047 * 1024.0, 3070.0, 1.0)
    full_s = full.mixed_s(*prompt)
    speed = np.mean([full_s / full.at_clock(round(c, 3)).mixed_s(*prompt) for c in clock])
    assert speed < 0.95
    assert held.done / free.done == pytest.approx(speed, rel=0.02)
    assert held.above_j / 120.0 / 8 == pytest.approx(room_w.mean(), rel=0.02)
    assert held.peak_w <= 1000.0 + 8 * share * 400.0 * (1 + 1e-6)


@pytest.mark.parametrize(("prompt", "output", "cap_w"), [(900, 200, 170), (2300, 40, 230)])
def test_a_cap_costs_the_same_time_by_the_look_up_table(
    prompt: int, output: int, cap_w: float
) -> None:
    """Its shares go by the tokens of an iteration, whatever part of it a power step holds."""
    load: dict[str, Any] = {"power": "{model: lut}", "every_s": 0.8, "duration": 15}
    cap = {"gpu_power": f"{cap_w} W"}
    played = [play(prompt, output, step=step, cap=cap, **load) for step in ("10 ms", "250 ms")]
    fine, coarse = played
    assert coarse.ttft_s == pytest.approx(fine.ttft_s, rel=0.01)
    assert coarse.tpot_s == pytest.approx(fine.tpot_s, rel=0.01)
    assert coarse.energy_j == pytest.approx(fine.energy_j, rel=0.03)
    assert fine.ttft_s > 1.1 * play(prompt, output, **load).ttft_s


def test_time_per_token_grows_below_some_clock() -> None:
    """At 423 MHz no A100 decodes at full speed; at 1.1 GHz one does (POLCA)."""
    found = {clock: play(500, 60, cap={"clock": clock}).tpot_s for clock in (1.0, 0.78, 0.3)}
    assert found[0.78] / found[1.0] < 1.03
    assert found[0.3] / found[1.0] > 1.45


def test_a_cap_that_nobody_reaches_changes_nothing() -> None:
    for power in ("{model: ledger}", "{model: gru}"):
        load: dict[str, Any] = {"power": power, "every_s": 0.5}
        assert play(900, 40, **load) == play(900, 40, cap={"gpu_power": "1 kW"}, **load)


# --- limits that begin and end inside a power step -----------------------------------------

STEPS_S = {"10 ms": 0.01, "50 ms": 0.05, "250 ms": 0.25, "1 s": 1.0}


def window(start_s: float, end_s: float, share: float, board_w: float) -> dict[str, Any]:
    return {"gpu_power": f"{share * board_w} W", "start": f"{start_s} s", "end": f"{end_s} s"}


@pytest.mark.parametrize("step", STEPS_S)
@pytest.mark.parametrize("part", [0.1, 0.37, 0.9])
@pytest.mark.parametrize(
    ("prompt", "share"), [(256, 0.45), (1400, 0.6), (6000, 0.4), (6000, 0.8), (30_000, 0.5)]
)
def test_a_cap_binds_at_its_own_time(prompt: int, share: float, part: float, step: str) -> None:
    """It begins in the middle of a prompt and at a part of a step, and ends while the answer is
    under way, as awkwardly. Where no step begins within the prompt, it begins in the first."""
    server, board_w = "dgx-h100", 700.0
    step_s, free = STEPS_S[step], by_hand(prompt, 60, "dgx-h100", 700.0)
    start_s = step_s * (int(0.4 * free.ttft_s / step_s) + part)
    if start_s > free.ttft_s:
        start_s = part * free.ttft_s
    end_s = start_s + free.ttft_s + 0.4 * 60 * free.tpot_s
    caps = [(start_s, end_s, share * board_w)]
    expected = by_hand(prompt, 60, server, board_w, caps)
    duration = math.ceil(expected.ttft_s + 60 * expected.tpot_s) + 1
    cap = window(start_s, end_s, share, board_w)
    agrees(play(prompt, 60, step=step, server=server, cap=cap, duration=duration), expected)


@pytest.mark.parametrize("step", ["50 ms", "250 ms", "1 s"])
def test_several_caps_within_a_step(step: str) -> None:
    """A cap shorter than a step, two that overlap, one that follows; on an A100, whose prompt of
    6,000 tokens takes 0.9 s. The tightest of those in force holds."""
    spans = [(0.11, 0.34, 0.5), (0.21, 0.463, 0.4), (0.463, 0.617, 0.7), (0.81, 0.817, 0.45)]
    caps = [window(*span, 400.0) for span in spans]
    windows = [(start_s, end_s, share * 400.0) for start_s, end_s, share in spans]
    expected = by_hand(6000, 40, "dgx-a100-80gb", 400.0, windows)
    assert expected.ttft_s > 1.1 * by_hand(6000, 40, "dgx-a100-80gb", 400.0).ttft_s
    agrees(play(6000, 40, step=step, cap=caps, duration=4), expected)


def test_a_step_draws_what_its_parts_draw(tmp_path: Path) -> None:
    """By hand: GPUs that do nothing but prompts, under a cap of 250 W from 37 % of a step on: the
    step draws 37 % of what it drew before and 63 % of the cap's watts. A server's cap and a clock
    limit, which leaves 0.5 ** 1.12 of what is above rest, alike."""
    load: dict[str, Any] = {"every_s": 0.4, "step": "1 s", "duration": 16}
    above_w = 8 * 250.0 + 1000.0
    for cap, held_w in (
        ({"gpu_power": "250 W"}, above_w),
        ({"server_power": "3 kW"}, above_w),
        ({"clock": 0.5}, None),
    ):
        scenario = loads(text(tmp_path, 4000, 2, cap=cap | {"start": "8.37 s"}, **load))
        with simulate(scenario) as run:
            watts = run.load_w("site").to_numpy().reshape(-1)
        free_w, mixed_w, after_w = watts[7], watts[8], watts[9]
        rest_w = 1000.0 + 8 * 70.12
        expected_w = rest_w + 0.5**EXPONENT * (free_w - rest_w) if held_w is None else held_w
        assert after_w == pytest.approx(expected_w, rel=0.01)
        assert mixed_w == pytest.approx(0.37 * free_w + 0.63 * expected_w, rel=0.01)


@pytest.mark.parametrize("parallel", [4, 8])
def test_parts_of_steps_where_watts_are_drawn_at_random(parallel: int) -> None:
    """A cap that is in force for 37 % of each step costs a model that draws at random as much work
    and saves as many watts as one in force for 37 % of the seconds, in whole steps."""
    load: dict[str, Any] = {
        "power": "{model: gru}", "every_s": 0.15, "duration": 50, "parallel": parallel
    }  # fmt: skip
    cap = {"server_power": "2.4 kW"}
    held: list[dict[str, Any]] = []
    whole: list[dict[str, Any]] = []
    for step in range(200):
        start_s = 0.25 * step + 0.05
        held.append(cap | {"start": f"{start_s} s", "end": f"{start_s + 0.0925} s"})
        if (step * 37) % 100 < 37:
            whole.append(cap | {"start": f"{0.25 * step} s", "end": f"{0.25 * (step + 1)} s"})
    parts, steps = (play(2048, 2, cap=caps, **load) for caps in (held, whole))
    free = play(2048, 2, **load)
    assert steps.done < 0.95 * free.done
    assert parts.done == pytest.approx(steps.done, rel=0.02)
    assert parts.above_j == pytest.approx(steps.above_j, rel=0.02)


def test_what_is_known_of_a_models_steady_watts(tmp_path: Path) -> None:
    """The linear model knows itself; one that draws at random is known to a per cent or two."""
    for power, noisy in (("{model: ledger}", False), ("{model: gru}", True)):
        scenario = loads(text(tmp_path, 10, 2, power=power, duration=1))
        steady = Simulation(Plant.build(scenario)).server_power.limits._steady(0)
        assert steady.random == noisy
        if noisy:
            assert 0.8 < min(steady.batches) < max(steady.prompts) < 1.4
        else:
            assert np.allclose([*steady.prompts, *steady.batches], 1.0)
            assert steady.rest_w == pytest.approx(8 * 70.12, abs=0.1)
