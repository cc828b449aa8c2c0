"""Routers: whom they may choose, whom they must, and what old news do (invariants 13 and 14)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcsim.scenario.models import Engine, Routing
from dcsim.serving.replica import Replica
from dcsim.serving.request import Request
from dcsim.serving.routers import Pool, PowerAware, Router, build_router
from dcsim.workload.stream import Prefix
from tests.serving.rig import Bench

POLICIES = (
    "random",
    "round-robin",
    "least-outstanding",
    "power-of-two",
    "prefix-aware",
    "power-aware",
)
TICK_S = 2.0**-20
"""Sums of such are exact."""


def replicas(count: int) -> list[Replica]:
    """Bare replicas whose state a test sets itself; their indices are not 0, 1, 2 ..."""
    made = []
    for number in range(count):
        replica = Bench(Engine(max_num_seqs=1), 10).replica
        replica.index = 7 + 3 * number
        made.append(replica)
    return made


def router(
    policy: str, among: list[Replica], seed: int = 0, delay_s: float = 0.0, **options: Any
) -> Router:
    """Feeds alternate from replica to replica."""
    routing = Routing.model_validate(
        {"policy": policy, "signal_delay": f"{delay_s!r} s", **options}
    )
    feeds = [number % 2 for number in range(len(among))]
    pool = Pool(among, routing.signal_delay_s, np.random.SeedSequence(seed), feeds)
    return build_router(routing, pool)


def request(prefix: Prefix | None = None) -> Request:
    made = Request(0, 0, 0.0, 100, 10)
    made.prefix = prefix
    return made


def is_open(replica: Replica) -> bool:
    return replica.up and replica.admitting


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 3 << 20),  # ticks since the event before
        st.integers(0, 5),  # replica
        st.sampled_from(["ask", "ask", "ask", "end", "close", "open", "dark", "light", "watts"]),
        st.integers(0, 3),  # prompt
    ),
    max_size=60,
)


def play(events: list[tuple[int, int, str, int]], policy: str, delay_s: float) -> tuple[int, int]:
    """Requests served and not, by a router that lives through the events; each pick is open."""
    fleet = replicas(6)
    options = {"balance_requests": 2} if policy in POLICIES[4:] else {}
    made = router(policy, fleet, delay_s=delay_s, **options)
    now = 0.0
    served = refused = 0
    for ticks, at, event, prompt in events:
        now += ticks * TICK_S
        replica = fleet[at]
        if event == "ask":
            chain = tuple((1 + prompt * 10 + part, 16) for part in range(prompt))
            taken = made.pick(request(Prefix(chain)), now)
            if taken is None:
                refused += 1
                assert delay_s > 0.0 or not any(map(is_open, fleet))
                continue
            served += 1
            assert is_open(taken), "a closed replica was given"
            if policy == "least-outstanding" and delay_s == 0.0:
                assert taken.outstanding == min(r.outstanding for r in fleet if is_open(r))
            taken.outstanding += 1
            made.changed(taken, now)
            continue
        if event == "watts":
            if isinstance(made, PowerAware):
                made.observe(now, [float(at), float(prompt)])
            continue
        if event == "end":
            replica.outstanding = max(0, replica.outstanding - 1)
        elif event in ("close", "open"):
            replica.admitting = event == "open"
        else:
            replica.up = event == "light"
            replica.outstanding = 0
        made.changed(replica, now)
    assert made.failovers == 0 or delay_s > 0.0
    return served, refused


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.sampled_from(POLICIES), st.sampled_from([0.0, 0.5, 4.0]))
def test_only_open_replicas_are_given(
    events: list[tuple[int, int, str, int]], policy: str, delay_s: float
) -> None:
    """Invariant 13, whatever the delay; without one, somebody is found wherever somebody is
    open, `least-outstanding` gives one of the least, and nobody ever refuses."""
    served, refused = play(events, policy, delay_s)
    assert served + refused == sum(event == "ask" for _, _, event, _ in events)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1 << 20), st.integers(0, 4), st.integers(0, 9)),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from(POLICIES),
    st.integers(1, 3 << 20),
)
@example([(118, 4, 0), (1, 4, 1)], "power-aware", 1)
def test_a_delay_is_a_log_shifted(log: list[tuple[int, int, int]], policy: str, delay: int) -> None:
    """Invariant 14: with a delay of d the router chooses as one without that hears each change
    d later. Replica 4 of the log stands for a request, or for a report of watts."""
    delay_s = delay * TICK_S
    late = replicas(4)
    shifted = replicas(4)
    one = router(policy, late, delay_s=delay_s)
    other = router(policy, shifted)
    merged = []
    now = 0
    for number, (ticks, at, count) in enumerate(log):
        now += ticks
        merged.append((now, 2, number, "one", at, count))
        if at < 4 or count == 0:
            # What was shifted comes before anything of the same instant, in its own order.
            merged.append((now + delay, 1, number, "other", at, count))
    for ticks, _, number, who, at, count in sorted(merged):
        time_s = ticks * TICK_S
        heard = one if who == "one" else other
        if at < 4:
            replica = (late if who == "one" else shifted)[at]
            replica.outstanding = count
            heard.changed(replica, time_s)
        elif count == 0:
            if isinstance(heard, PowerAware):
                heard.observe(time_s, [float(number % 7), 3.0])
        else:
            prefix = Prefix(((count % 3, 16), (100 + count, 16)))
            first, second = one.pick(request(prefix), time_s), other.pick(request(prefix), time_s)
            assert first is not None and second is not None
            assert first.index == second.index
    assert one.failovers == 0


def test_reports_of_watts_are_shifted_too() -> None:
    """The headroom of a power step is heard after the delay, not before."""
    fleet = replicas(2)
    made = router("power-aware", fleet, delay_s=1.0)
    assert isinstance(made, PowerAware)
    made.observe(0.0, [5.0, 6.0])
    made.observe(0.5, [9.0, 6.0])
    for now, feed in ((0.75, 0), (1.0, 1), (1.25, 1), (1.5, 0)):
        assert made.pick(request(), now) is fleet[feed]


def test_a_refusal_is_counted_once_and_the_next_choice_taken() -> None:
    """On old news a dark replica looks best: the request fails over, later ones leave it alone,
    and when it is back and known to be, it is chosen again."""
    fleet = replicas(2)
    made = router("least-outstanding", fleet, delay_s=1.0)
    fleet[1].outstanding = 3
    made.changed(fleet[1], 0.0)
    fleet[0].up = False
    made.changed(fleet[0], 2.0)
    assert [made.pick(request(), now) for now in (2.1, 2.2, 2.3)] == [fleet[1]] * 3
    assert made.failovers == 1
    fleet[0].up = True
    made.changed(fleet[0], 4.0)
    assert made.pick(request(), 4.9) is fleet[1]
    assert made.pick(request(), 5.0) is fleet[0]
    assert made.failovers == 1


def test_nobody_left_to_fail_over_to() -> None:
    fleet = replicas(3)
    for policy in POLICIES:
        made = router(policy, fleet, delay_s=1.0)
        for replica in fleet:
            replica.admitting = False
            made.changed(replica, 0.5)
        assert made.pick(request(), 0.75) is None
        assert made.failovers == 3
        for replica in fleet:
            replica.admitting = True


# --- by chance -------------------------------------------------------------------------------


def test_random_draws_each_open_replica_alike() -> None:
    fleet = replicas(5)
    made = router("random", fleet)
    fleet[2].up = False
    made.changed(fleet[2], 0.0)
    seen = Counter(fleet.index(taken) for _ in range(8000) if (taken := made.pick(request(), 0.0)))
    assert set(seen) == {0, 1, 3, 4}
    # Chi-square with 3 degrees of freedom: 16.3 is passed once in a thousand.
    assert sum((n - 2000) ** 2 / 2000 for n in seen.values()) < 16.3


@given(st.lists(st.integers(0, 9), min_size=2, max_size=2, unique=True), st.integers(0, 99))
def test_power_of_two_never_takes_the_worse_of_two(loads: list[int], seed: int) -> None:
    fleet = replicas(2)
    made = router("power-of-two", fleet, seed)
    for replica, load in zip(fleet, loads, strict=True):
        replica.outstanding = load
        made.changed(replica, 0.0)
    assert all(made.pick(request(), 0.0) is fleet[loads.index(min(loads))] for _ in range(20))


def test_power_of_two_draws_two_different_ones() -> None:
    """Of n with different loads the i-th least is taken with probability 2 (n - i) / (n (n - 1)):
    it must be drawn, and the other must be one of the n - i worse."""
    fleet = replicas(5)
    made = router("power-of-two", fleet, 3)
    for load, replica in enumerate(fleet):
        replica.outstanding = load
        made.changed(replica, 0.0)
    draws = 20_000
    seen = Counter(fleet.index(taken) for _ in range(draws) if (taken := made.pick(request(), 0)))
    assert seen[4] == 0
    expected = [draws * 2 * (5 - i) / 20 for i in range(1, 5)]
    assert sum((seen[i] - e) ** 2 / e for i, e in enumerate(expected)) < 16.3


def test_luck_is_the_seeds() -> None:
    fleet = replicas(6)
    for policy in ("random", "power-of-two"):
        picks = [
            [made.pick(request(), 0.0) for _ in range(50)]
            for made in (router(policy, fleet, seed) for seed in (1, 1, 2))
        ]
        assert picks[0] == picks[1] != picks[2]


# --- each in turn, and the least --------------------------------------------------------------


def test_round_robin_goes_round() -> None:
    fleet = replicas(4)
    made = router("round-robin", fleet)
    fleet[1].admitting = False
    made.changed(fleet[1], 0.0)
    picks = [made.pick(request(), 0.0) for _ in range(6)]
    assert picks == [fleet[0], fleet[2], fleet[3]] * 2


def test_among_equals_the_one_that_waited_longest() -> None:
    fleet = replicas(3)
    made = router("least-outstanding", fleet)
    order = []
    for _ in range(6):
        taken = made.pick(request(), 0.0)
        assert taken is not None
        taken.outstanding += 1
        made.changed(taken, 0.0)
        order.append(fleet.index(taken))
    assert order == [0, 1, 2, 0, 1, 2]


# --- prefixes --------------------------------------------------------------------------------

CHAT = Prefix(((1, 32), (2, 64)), becomes=3)


def load(made: Router, replica: Replica, outstanding: int) -> None:
    replica.outstanding = outstanding
    made.changed(replica, 0.0)


def test_a_known_start_goes_where_it_was() -> None:
    fleet = replicas(4)
    made = router("prefix-aware", fleet, balance_requests=4)
    first = made.pick(request(CHAT), 0.0)
    assert first is fleet[0]
    load(made, first, 4)
    assert made.pick(request(), 0.0) is not first
    assert made.pick(request(CHAT), 0.0) is first
    # The next turn knows the first one's answer; another chat shares the start only.
    assert made.pick(request(Prefix(((1, 32), (2, 64), (3, 80)))), 0.0) is first
    assert made.pick(request(Prefix(((1, 32), (9, 10)))), 0.0) is first
    # Too far ahead of the least loaded: another learns it, and of the two the less loaded goes on.
    load(made, first, 5)
    second = made.pick(request(CHAT), 0.0)
    assert second is not first
    assert made.pick(request(CHAT), 0.0) is second


def test_the_factor_lets_large_numbers_differ() -> None:
    fleet = replicas(2)
    made = router("prefix-aware", fleet, balance_requests=4, balance_factor=1.5)
    load(made, fleet[1], 1)
    assert made.pick(request(CHAT), 0.0) is fleet[0]
    load(made, fleet[1], 100)
    load(made, fleet[0], 150)
    assert made.pick(request(CHAT), 0.0) is fleet[0]
    load(made, fleet[0], 151)
    assert made.pick(request(CHAT), 0.0) is fleet[1]


def test_the_longest_known_start_counts() -> None:
    fleet = replicas(3)
    made = router("prefix-aware", fleet)
    assert made.pick(request(Prefix(((1, 16),))), 0.0) is fleet[0]
    load(made, fleet[0], 40)
    assert made.pick(request(Prefix(((1, 16), (2, 16)))), 0.0) is fleet[1]
    load(made, fleet[1], 3)
    load(made, fleet[0], 2)
    assert made.pick(request(Prefix(((1, 16), (2, 16), (5, 1)))), 0.0) is fleet[1]
    assert made.pick(request(Prefix(((1, 16), (7, 16)))), 0.0) is fleet[0]


def test_memory_is_bounded_and_power_loss_forgets() -> None:
    fleet = replicas(2)
    made: Any = router("prefix-aware", fleet, prefix_entries=10)
    for number in range(1, 1000):
        made.pick(request(Prefix(((number, 16),), becomes=10_000 + number)), 0.0)
    assert sum(map(len, made._known)) <= 20
    assert len(made._holders) <= 20
    held = fleet[0] if 999 in made._known[0] else fleet[1]
    other = fleet[1] if held is fleet[0] else fleet[0]
    load(made, held, 5)
    assert made.pick(request(Prefix(((999, 16),))), 0.0) is held
    assert made.pick(request(Prefix(((1, 16),))), 0.0) is other  # long forgotten
    held.up = False
    made.changed(held, 0.0)
    assert made.pick(request(Prefix(((999, 16),))), 0.0) is other
    load(made, other, 9)
    held.up = True
    load(made, held, 6)
    assert made.pick(request(Prefix(((999, 16),))), 0.0) is other


def test_what_is_used_is_kept() -> None:
    """The segments longest unused go first, whenever they came."""
    fleet = replicas(2)
    made = router("prefix-aware", fleet, prefix_entries=2)
    load(made, fleet[1], 3)
    for segment in (1, 2, 1, 3):
        assert made.pick(request(Prefix(((segment, 16),))), 0.0) is fleet[0]
    load(made, fleet[0], 5)
    for segment, at in ((1, 0), (3, 0), (2, 1)):
        assert made.pick(request(Prefix(((segment, 16),))), 0.0) is fleet[at]


def test_a_closed_holder_has_not_forgotten() -> None:
    fleet = replicas(2)
    made = router("prefix-aware", fleet)
    assert made.pick(request(CHAT), 0.0) is fleet[0]
    fleet[0].admitting = False
    made.changed(fleet[0], 0.0)
    assert made.pick(request(CHAT), 0.0) is fleet[1]
    fleet[0].admitting = True
    load(made, fleet[0], 0)
    load(made, fleet[1], 1)
    assert made.pick(request(CHAT), 0.0) is fleet[0]


# --- watts -----------------------------------------------------------------------------------


def powered(among: list[Replica], **options: Any) -> PowerAware:
    made = router("power-aware", among, **options)
    assert isinstance(made, PowerAware)
    return made


def test_most_headroom_first_then_fewest_requests() -> None:
    fleet = replicas(4)  # feeds 0, 1, 0, 1
    made = powered(fleet)
    load(made, fleet[1], 2)
    load(made, fleet[3], 1)
    made.observe(0.0, [100.0, 200.0])
    assert made.pick(request(), 0.0) is fleet[3]
    made.observe(0.25, [200.0, 100.0])
    load(made, fleet[0], 1)
    assert made.pick(request(), 0.25) is fleet[2]
    made.observe(0.5, [100.0, 100.0])
    load(made, fleet[2], 3)
    load(made, fleet[3], 0)
    assert made.pick(request(), 0.5) is fleet[3]
    load(made, fleet[3], 2)
    assert made.pick(request(), 0.5) is fleet[0]
    # A feed with nobody open has no say, however much is left there.
    made.observe(0.75, [100.0, float("inf")])
    for replica in (fleet[1], fleet[3]):
        replica.admitting = False
        made.changed(replica, 0.75)
    assert made.pick(request(), 0.75) is fleet[0]


def test_watts_do_not_pile_requests_up_without_end() -> None:
    fleet = replicas(2)
    made = powered(fleet, balance_requests=8)
    made.observe(0.0, [1000.0, 10.0])
    for _ in range(100):
        taken = made.pick(request(), 0.0)
        assert taken is not None
        load(made, taken, taken.outstanding + 1)
    assert fleet[0].outstanding == pytest.approx(1.5 * fleet[1].outstanding, abs=2)
