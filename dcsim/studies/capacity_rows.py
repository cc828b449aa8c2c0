"""The answer of `dcsim serving capacity`: what a site can serve, and what that draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dcsim.plant import Plant
from dcsim.scenario.models import Scenario
from dcsim.serving.site_capacity import (
    estimator,
    finite,
    lengths,
    pooled,
    replica_counts,
    target_of,
)
from dcsim.studies.bench_site import PLAYED_S, SiteBench


def capacity_rows(
    scenario: Scenario, shares: Sequence[float] = (), *, played: bool = True
) -> dict[str, Any]:
    """`groups`: the estimate of each server group; `models`: of each served model the site's
    estimate and the rate at which its SLO was just kept when played; `watts`: what a server of
    each group draws at shares of that rate. Models that nobody asks for are absent.

    Played are up to eight replicas of each group with Poisson arrivals, without facility and
    policies; the site's rate is theirs times the replicas that it has. Raises TraceError for a bad
    row of a replayed log.
    """
    plant = Plant.build(scenario)
    placed = replica_counts(plant)
    groups: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []
    watts: list[dict[str, Any]] = []
    for model, sample in lengths(scenario).items():
        mine = [group for group in plant.groups if group.model.name == model]
        if not mine:
            continue
        per_s: dict[str, float] = {}
        for group in mine:
            count = placed[group.name]
            capacity = estimator(scenario, group, sample, count).capacity()
            per_s[group.name] = capacity.requests_per_s
            groups.append(
                {
                    "group": group.name,
                    "model": model,
                    "replicas": count,
                    "max_num_seqs": group.spec.engine.max_num_seqs,
                    "capacity_per_s_replica": capacity.requests_per_s,
                    "capacity_per_s": capacity.requests_per_s * count,
                    "binds": capacity.binds,
                    "running": capacity.at.batch,
                    "kv_share": capacity.at.kv_share,
                }
            )
        bench = SiteBench(plant, model, sample)
        whole_per_s = pooled((g, per_s[g.name] * placed[g.name]) for g in mine)
        part_per_s = pooled((g, per_s[g.name] * bench.replicas[g.name]) for g in mine)
        kept_per_s = bench.highest(part_per_s) if played else None
        target = target_of(scenario, model)
        models.append(
            {
                "model": model,
                "prompt_tokens_mean": float(sample.prompts.mean()),
                "output_tokens_mean": float(sample.outputs.mean()),
                "slo": {
                    "ttft_s": finite(target.ttft_s),
                    "tpot_s": finite(target.tpot_s),
                    "share": target.share,
                    "promised": target.promised,
                },
                "estimate_per_s": whole_per_s,
                "played_per_s": None
                if kept_per_s is None
                else kept_per_s * whole_per_s / part_per_s,
                "played_replicas": sum(bench.replicas.values()) if played else None,
            }
        )
        for share in shares:
            if not kept_per_s:
                break
            done = bench.play(share * kept_per_s, played_s=PLAYED_S / 2, watts=True)
            watts += [
                {
                    "group": name,
                    "share": share,
                    "requests_per_s": share * kept_per_s * whole_per_s / part_per_s,
                    "ttft_s": finite(done.ttft_s),
                    "tpot_s": finite(done.tpot_s),
                    "server_w": server_w,
                }
                for name, server_w in done.server_w.items()
            ]
    return {"groups": groups, "models": models, "watts": watts}
