"""What each feature of the serving room costs: python -m benchmarks.serving_features

240 servers (Llama 3 70B on 8 A100 each, Azure conversation lengths, 0.5 requests/s a server),
events alone, no power steps. Each variant turns one thing on. Processor time is measured, not
wall time, because machines are shared; variants take turns, and the least of `--repeats` counts.

What to look for: the cost of a feature on, in the last column, for the traffic that needs it.
`as it was` is the same engine with nothing on; it is what `benchmarks.speed` plays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import yaml

SERVERS = 240
BASE = """
name: features
seed: 1
duration: {duration_s} s
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {{kind: poisson, rate: 120 req/s}}
    tokens: {{kind: fit, name: azure-2023-conv}}
servers:
  - {{name: a100, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8}}
facility:
  - {{name: site, kind: site, rating: 2 MW}}
  - {{name: rack, kind: rack, parent: site, count: 60}}
  - {{name: server, kind: server, parent: rack, count: 4, group: a100}}
"""
TENANTS = """
tenants:
  - {name: interactive, share: 3, slo: {ttft: 500 ms, tpot: 50 ms}}
  - {name: batch, priority: 10}
"""
POOLS = """
servers:
  - {name: a100, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8, role: prefill}
  - {name: b, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8, role: decode}
facility:
  - {name: site, kind: site, rating: 2 MW}
  - {name: rack, kind: rack, parent: site, count: 60}
  - {name: one, kind: server, parent: rack, count: 2, group: a100}
  - {name: two, kind: server, parent: rack, count: 2, group: b}
"""
SESSIONS = """
turns: {kind: geometric, mean: 4}
think_time: {kind: exponential, mean: 20 s}
"""
EXPERTS = "qwen3-235b-a22b-fp8"
CHANGES: dict[str, dict[str, str]] = {
    "as it was": {},
    "tenants": {"": TENANTS},
    "priority scheduling": {"": TENANTS, "servers.0.engine.scheduling_policy": "priority"},
    "queue_timeout": {"servers.0.engine.queue_timeout": "30 s"},
    "long prompts limited": {"servers.0.engine.long_prefill_token_threshold": "512"},
    "no chunks": {
        "servers.0.engine.enable_chunked_prefill": "false",
        "servers.0.engine.max_num_batched_tokens": "32768",
    },
    "system prompt, no cache": {
        "workload.0.system_prompt": "500",
        "servers.0.engine.enable_prefix_caching": "false",
    },
    "system prompt, cached": {"workload.0.system_prompt": "500"},
    "sessions, no cache": {
        "workload.0.sessions": SESSIONS,
        "servers.0.engine.enable_prefix_caching": "false",
    },
    "sessions, cached": {"workload.0.sessions": SESSIONS},
    "sessions, prefix-aware": {
        "workload.0.sessions": SESSIONS,
        "routing": "{policy: prefix-aware}",
    },
    "prefill and decode pools": {"": POOLS},
    "random": {"routing": "{policy: random}"},
    "round-robin": {"routing": "{policy: round-robin}"},
    "power-of-two": {"routing": "{policy: power-of-two}"},
    "signal_delay 500 ms": {"routing": "{policy: least-outstanding, signal_delay: 500 ms}"},
    "experts (H100)": {
        "workload.0.model": EXPERTS,
        "servers.0.model": EXPERTS,
        "servers.0.server": "dgx-h100",
        "servers.0.power": "{model: board-limit}",
    },
}
"""By variant: dotted path and YAML value; the empty path replaces top-level keys."""


def scenario_text(name: str, duration_s: float) -> str:
    """The scenario of a variant."""
    data = yaml.safe_load(BASE.format(duration_s=duration_s))
    for path, text in CHANGES[name].items():
        value = yaml.safe_load(text)
        if not path:
            data |= value
            continue
        *way, last = path.split(".")
        part = data
        for step in way:
            part = part[int(step)] if isinstance(part, list) else part.setdefault(step, {})
        part[last] = value
    return str(yaml.safe_dump(data))


def play(name: str, duration_s: float) -> dict[str, float]:
    """One run in this process."""
    from dcsim.engine.simulation import Simulation
    from dcsim.plant import Plant
    from dcsim.scenario.load import loads
    from dcsim.seeds import branch
    from dcsim.workload import requests

    simulation = Simulation(Plant.build(loads(scenario_text(name, duration_s))))
    scenario = simulation.scenario
    fleet = simulation.fleet
    started = time.process_time()
    fleet.feed(requests(scenario, branch(scenario.seed, "workload")))
    simulation.clock.play(scenario.duration_s)
    cpu_s = time.process_time() - started
    fleet.close(scenario.duration_s)
    return {
        "cpu_s": cpu_s,
        "requests": fleet.arrived,
        "prompt_tokens": fleet.prompt_tokens,
        "cached_tokens": fleet.log.cached_tokens,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="simulated time of a run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(CHANGES), help="variants to play")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(play(options.child, options.seconds)))
        return
    best: dict[str, dict[str, float]] = {}
    names = ["as it was", *(name for name in options.only if name != "as it was")]
    for _ in range(options.repeats):
        for name in names:
            command = [sys.executable, "-m", "benchmarks.serving_features", "--child", name]
            command += ["--seconds", str(options.seconds)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row = json.loads(done.stdout)
            if name not in best or row["cpu_s"] < best[name]["cpu_s"]:
                best[name] = row
    print(f"{'variant':26} {'requests':>9} {'from cache':>10} {'us/request':>10} {'cost':>6}")
    plain = best["as it was"]["cpu_s"] / best["as it was"]["requests"]
    for name in names:
        row = best[name]
        each = row["cpu_s"] / row["requests"]
        cached = row["cached_tokens"] / row["prompt_tokens"]
        print(
            f"{name:26} {row['requests']:9,.0f} {cached:10.1%} {1e6 * each:10.2f} "
            f"{each / plain:5.2f}x"
        )


if __name__ == "__main__":
    main()
