"""The serving engine against queueing theory: the same replicas and routers, arranged as queues
whose answers are known.

The made-up model takes a constant `TICK_S` an iteration, whatever is in the batch, and a prompt
of one token is computed in the iteration that emits the first output token. So a request of n
output tokens is served for n ticks, by one of the batch's `max_num_seqs` servers. Thousands of
ticks a request make them as good as continuous, and cost nothing: a run of them is one event.

Two kinds of proof. Customer by customer, waits are those of Lindley's and of Kiefer and
Wolfowitz's recursions. On the average they are Pollaczek's, Khinchine's and Erlang's, within the
confidence interval of batch means.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dcsim.arrays import FloatArray, IntArray
from dcsim.clock import Clock
from dcsim.hardware.models import ServedModel
from dcsim.hardware.roofline import IterationModel
from dcsim.records import Status
from dcsim.scenario.models import Engine, Routing
from dcsim.serving.replica import Replica
from dcsim.serving.request import Request
from dcsim.serving.routers import Pool, build_router
from dcsim.serving.work import WorkTable
from tests.serving.rig import CONFIG

TICK_S = 2.0**-12
MEAN_TICKS = 4096
"""Of service: one second."""
SEEDS = (1, 2, 3)

WEIGHTLESS = ServedModel(
    name="weightless",
    title="a model without weights",
    family="weightless",
    n_layers=1,
    d_model=1,
    n_heads=1,
    n_kv_heads=1,
    head_dim=1,
    vocab_size=1,
    transformer_params=1.0,
    head_params=1.0,
    source="test",
)
INSTANT: Any = SimpleNamespace(
    peak_flops=1e40,
    hbm_bandwidth_bytes_s=1e40,
    hbm_bytes=1e12,
    timing_evidence="fitted",
    timing_fit=None,
    timing=SimpleNamespace(
        eff_flops=1.0,
        eff_bandwidth=1.0,
        per_message_s={1: 0.0},
        per_token_sample_s=0.0,
        first_token_overhead_s=0.0,
        base_overhead_s=TICK_S,
    ),
)


def sojourns(
    arrival_s: FloatArray, ticks: IntArray, seats: int, replicas: int, policy: str
) -> FloatArray:
    """Seconds from arrival to last token of each request, on replicas of `seats` servers."""
    clock = Clock()
    engine = Engine(max_num_seqs=seats, max_model_len=1 << 40)
    timing = IterationModel(WEIGHTLESS, INSTANT, 1, seats)
    capacity = 1 << 40
    work = WorkTable([CONFIG] * replicas, [timing.costs] * replicas, [capacity] * replicas)
    found = np.full(len(arrival_s), np.nan)

    def end(
        request: Request, replica: Replica, end_s: float, status: Status, generated: int
    ) -> None:
        assert generated == request.output_tokens
        found[request.id] = end_s - request.arrival_s
        router.changed(replica, end_s)

    fleet = [Replica(i, clock, timing, engine, capacity, work, end) for i in range(replicas)]
    pool = Pool(fleet, 0.0, np.random.SeedSequence(9))
    router = build_router(Routing.model_validate({"policy": policy}), pool)
    to_come = enumerate(zip(arrival_s.tolist(), ticks.tolist(), strict=True))
    pending = next(to_come)

    def arrive(now: float) -> None:
        nonlocal pending
        number, (_, output) = pending
        request = Request(number, 0, now, 1, output)
        replica = router.pick(request, now)
        assert replica is not None
        assert replica.submit(request, now)
        router.changed(replica, now)
        following = next(to_come, None)
        if following is not None:
            pending = following
            clock.set_alarm(alarm, following[1][0])

    alarm = clock.alarm(arrive)
    clock.set_alarm(alarm, pending[1][0])
    clock.play(math.inf)
    assert not np.isnan(found).any(), "a request never ended"
    return found


Ticks = Callable[[np.random.Generator, int], IntArray]


def geometric(rng: np.random.Generator, count: int) -> IntArray:
    """As good as exponential."""
    return rng.geometric(1.0 / MEAN_TICKS, count)


def mixed(rng: np.random.Generator, count: int) -> IntArray:
    """Nine short answers to a long one: squared coefficient of variation 2.25."""
    return np.where(rng.random(count) < 0.1, MEAN_TICKS * 11 // 2, MEAN_TICKS // 2)


def fixed(rng: np.random.Generator, count: int) -> IntArray:
    return np.full(count, MEAN_TICKS)


def traffic(
    seed: int, load: float, servers: int, count: int, ticks: Ticks
) -> tuple[FloatArray, IntArray]:
    """Poisson arrivals that keep each of the servers busy for `load` of the time."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.exponential(1.0 / (load * servers), count)), ticks(rng, count)


# --- customer by customer --------------------------------------------------------------------


def waits_by_recursion(arrival_s: FloatArray, service_s: FloatArray, servers: int) -> FloatArray:
    """Kiefer and Wolfowitz: the servers' workloads as each customer finds them, sorted; he waits
    for the least. With one server this is Lindley's recursion."""
    waits = np.empty(len(arrival_s))
    left = [0.0] * servers
    before = 0.0
    for i, (now, seconds) in enumerate(zip(arrival_s.tolist(), service_s.tolist(), strict=True)):
        left = [max(0.0, work - (now - before)) for work in left]
        waits[i] = left[0]
        left[0] += seconds
        left.sort()
        before = now
    return waits


@pytest.mark.parametrize("ticks", [geometric, mixed, fixed])
def test_each_wait_is_lindleys(ticks: Ticks) -> None:
    arrival_s, drawn = traffic(5, 0.9, 1, 5000, ticks)
    waits = sojourns(arrival_s, drawn, 1, 1, "least-outstanding") - drawn * TICK_S
    assert waits == pytest.approx(waits_by_recursion(arrival_s, drawn * TICK_S, 1), abs=1e-6)


def test_each_wait_in_a_batch_is_kiefers_and_wolfowitzs() -> None:
    """A batch of four is four servers with one queue. Newcomers join at the next tick, so waits
    differ by ticks, and by few: what one is late moves the next ones as well."""
    arrival_s, drawn = traffic(6, 0.9, 4, 20_000, geometric)
    waits = sojourns(arrival_s, drawn, 4, 1, "least-outstanding") - drawn * TICK_S
    late = waits - waits_by_recursion(arrival_s, drawn * TICK_S, 4)
    assert waits.mean() > 500 * TICK_S
    assert late.min() > -1e-6
    # Half a tick for those who find a seat; a queue repeats what went before it.
    assert 0.0 < late.mean() < 5 * TICK_S


# --- on the average --------------------------------------------------------------------------


def interval(runs: list[FloatArray], batches: int = 25) -> tuple[float, float]:
    """Mean over all runs and half its 99.9 % confidence interval, by batch means. The first
    tenth of each run is left out: it began empty."""
    means = np.concatenate(
        [[part.mean() for part in np.array_split(run[len(run) // 10 :], batches)] for run in runs]
    )
    error = means.std(ddof=1) / math.sqrt(len(means))
    return float(means.mean()), float(stats.t.ppf(0.9995, len(means) - 1) * error)


def pollaczek_khinchine_s(load: float, squared_cv: float) -> float:
    """Mean wait in M/G/1 for a mean service of one second."""
    return load / (1.0 - load) * (1.0 + squared_cv) / 2.0


def erlang_c_s(load: float, servers: int) -> float:
    """Mean wait in M/M/k for a mean service of one second."""
    offered = load * servers
    blocked = 1.0  # Erlang B by its recursion
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    delayed = blocked / (1.0 - load * (1.0 - blocked))
    return delayed / (servers * (1.0 - load))


LOADS = {0.5: (50_000, 0.15), 0.8: (60_000, 0.15), 0.95: (150_000, 0.3)}
"""Load: requests in each run, and how wide half the interval may be in terms of the mean: a wide
one would prove little. In M/M/1 the standard error of a mean wait is about
2 / ((1 - load) sqrt(requests)) of it."""
SQUARED_CV = {geometric: 1.0 - 1.0 / MEAN_TICKS, mixed: 2.25, fixed: 0.0}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("ticks", [geometric, mixed])
def test_one_seat_is_m_g_1(ticks: Ticks, load: float) -> None:
    count, width = LOADS[load]
    runs = []
    for seed in SEEDS:
        arrival_s, drawn = traffic(seed, load, 1, count, ticks)
        runs.append(sojourns(arrival_s, drawn, 1, 1, "least-outstanding") - drawn * TICK_S)
    mean_s, half_s = interval(runs)
    expected_s = pollaczek_khinchine_s(load, SQUARED_CV[ticks])
    assert half_s < width * expected_s
    assert abs(mean_s - expected_s) < half_s


@pytest.mark.parametrize("load", LOADS)
def test_a_batch_is_m_m_k(load: float) -> None:
    count, width = LOADS[load]
    runs = []
    for seed in SEEDS:
        arrival_s, drawn = traffic(seed, load, 4, count, geometric)
        runs.append(sojourns(arrival_s, drawn, 4, 1, "least-outstanding") - drawn * TICK_S)
    mean_s, half_s = interval(runs)
    expected_s = erlang_c_s(load, 4)
    assert half_s < width * expected_s
    assert abs(mean_s - expected_s) < half_s


def test_choosing_by_chance_makes_as_many_m_m_1() -> None:
    """Poisson arrivals dealt out by chance are Poisson at each replica."""
    runs = []
    for seed in SEEDS:
        arrival_s, drawn = traffic(seed, 0.8, 8, 30_000, geometric)
        runs.append(sojourns(arrival_s, drawn, 1, 8, "random") - drawn * TICK_S)
    mean_s, half_s = interval(runs)
    expected_s = pollaczek_khinchine_s(0.8, 1.0)
    assert half_s < 0.2 * expected_s
    assert abs(mean_s - expected_s) < half_s


def test_two_choices_are_mitzenmachers() -> None:
    """With many replicas the mean time in the system is the sum over i >= 1 of
    load^(2^i - 2) services (Mitzenmacher 2001), where choosing by chance takes 1 / (1 - load)."""
    runs = []
    for seed in SEEDS:
        arrival_s, drawn = traffic(seed, 0.8, 200, 40_000, geometric)
        runs.append(sojourns(arrival_s, drawn, 1, 200, "power-of-two"))
    mean_s, half_s = interval(runs)
    expected_s = sum(0.8 ** (2**i - 2) for i in range(1, 10))
    # The limit of infinitely many replicas: with 200 of them a per cent remains.
    assert half_s < 0.04 * expected_s
    assert abs(mean_s - expected_s) < half_s + 0.01 * expected_s
